// cargo add --path .../wgrad --features digits
use wgrad::prelude::*;

/// Trains the net and returns what it comes to on the rows for testing.
fn train(gpu: &Gpu) -> wgrad::Result<Evaluation> {
    let optimizer = Optimizer::momentum(0.03, 0.9).weight_decay(0.001);
    let config = TrainingConfig::new(Loss::SoftmaxCrossEntropy, optimizer).metric(Metric::Accuracy);
    let net = Sequential::new(64)
        .dense_with(24, Init::HeUniform)
        .leaky_relu(0.01)
        .dense(10)
        .seed(3);
    let mut model = net.compile_blocking(gpu, config)?;
    let (train, test) = digits()?;
    // The seed is that of the order of the rows.
    model.fit_blocking(&train, FitOptions::new(1).batch_size(64).shuffle(3))?;
    model.evaluate_blocking(&test)
}

fn main() -> wgrad::Result<()> {
    println!("{:?}", train(&Gpu::new_blocking()?)?);
    Ok(())
}

/// The digits that come with wgrad, in the page's two parts.
fn digits() -> wgrad::Result<(Dataset, Dataset)> {
    let all = wgrad::data::digits()?.dataset;
    // The page's shuffling: Fisher and Yates, with numbers of mulberry32 from seed 8.
    let mut state = 8_u32;
    let mut uniform = || {
        state = state.wrapping_add(0x6d2b_79f5);
        let mut t = (state ^ (state >> 15)).wrapping_mul(1 | state);
        t = t.wrapping_add((t ^ (t >> 7)).wrapping_mul(61 | t)) ^ t;
        f64::from(t ^ (t >> 14)) / 4_294_967_296.0
    };
    let mut order: Vec<usize> = (0..all.rows()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, (uniform() * (i + 1) as f64) as usize);
    }
    Ok((all.select(&order[450..])?, all.select(&order[..450])?))
}
