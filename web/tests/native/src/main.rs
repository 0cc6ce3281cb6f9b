//! Trains the article's net (10-64-1, ReLU, MSE, SGD, 1000 rows, batches of 32, 10 epochs) natively
//! and prints adapter, losses and predictions as JSON.

use wgrad::data::Dataset;
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{Compile, Fit};

fn main() -> Result<(), wgrad::Error> {
    let gpu = wgrad::Gpu::new_blocking()?;
    let features: Vec<f32> =
        (0..10_000).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets: Vec<f32> = features.chunks(10).map(|row| row.iter().sum::<f32>().tanh()).collect();
    let data = Dataset::regression(features.clone(), 10, targets, 1)?;
    let mut runs = Vec::new();
    for (name, optimizer, shuffle) in
        [("sgd", Optimizer::sgd(0.05), None), ("adam", Optimizer::adam(0.01), Some(7))]
    {
        let how = Compile::new(Loss::MeanSquaredError, optimizer).metric(Metric::RSquared);
        let net = Sequential::new(10).dense(64).relu().dense(1).seed(42);
        let mut model = net.compile_blocking(&gpu, how)?;
        let fit = Fit::new(10).batch_size(32);
        let fit = match shuffle {
            Some(seed) => fit.shuffle(seed),
            None => fit.in_order(),
        };
        let history = model.fit_blocking(&data, fit)?;
        let evaluation = model.evaluate_blocking(&data)?;
        let predictions = model.predict_blocking(&features[..100])?;
        runs.push(format!(
            "  \"{name}\": {{\n    \"epochLosses\": {:?},\n    \"batchLosses\": {:?},\n    \
             \"r_squared\": {:?},\n    \"loss\": {:?},\n    \"predictions\": {predictions:?}\n  }}",
            history.values("loss")?,
            history.batch_losses,
            history.values("r_squared")?,
            evaluation.loss,
        ));
    }
    println!("{{\n  \"adapter\": {:?},\n{}\n}}", gpu.describe(), runs.join(",\n"));
    Ok(())
}
