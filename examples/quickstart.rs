use wgrad::data::digits;
use wgrad::nn::*;
use wgrad::train::*;
use wgrad::*;
fn main() -> Result<()> {
    let t0 = std::time::Instant::now();
    let gpu = Gpu::new_blocking()?;
    println!("{} {:?}", gpu.describe(), t0.elapsed());
    let (train, test) = digits()?.dataset.split(0.2, 7)?;
    let model = Sequential::new(64).dense_with(64, Init::HeUniform).relu().dense(10).seed(1);
    println!("{}", model.summary());
    let mut model = model.compile_blocking(
        &gpu,
        Compile::new(Loss::SoftmaxCrossEntropy, Optimizer::adam(1e-3)).metric(Metric::Accuracy),
    )?;
    let h = model.fit_blocking(&train, Fit::new(30).batch_size(32).validation(&test))?;
    for e in &h.epochs {
        println!(
            "{} {:.4} {:?} {:?} {:.2}s",
            e.epoch,
            e.loss,
            e.value("accuracy"),
            e.value("val_accuracy"),
            e.seconds
        );
    }
    println!("{:?}", model.evaluate_blocking(&test)?);
    println!("{:?} {:?}", gpu.counters(), t0.elapsed());
    Ok(())
}
