//! Trains 784 → 128 → 10 units on a folder of IDX files, as MNIST, Fashion-MNIST and their relatives
//! come, gzipped or not: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
//! `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, each perhaps with `.gz`.
//!
//! It prints the accuracy on the test images and a hash of the weights: on the same adapter and
//! driver two runs with the same seed print the same hash.
//!
//! ```sh
//! cargo run --release --features gzip,progress --example mnist -- FOLDER
//! ```

mod common;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::{Options, Outcome, Report, fingerprint};
use wgrad::data::load_idx_folder;
use wgrad::prelude::*;
use wgrad::train::ProgressBar;

/// A classifier of the images in a folder of IDX files
#[derive(Parser)]
struct Args {
    /// The folder
    folder: PathBuf,
    #[command(flatten)]
    options: Options,
    /// Passes over the training images [default: 5]
    #[arg(long)]
    epochs: Option<NonZeroUsize>,
    /// Images per step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Adam's learning rate at the start; it falls to zero along half a cosine
    #[arg(long, default_value_t = 2e-3)]
    rate: f32,
    /// Seed of the first weights and of the order of the images
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("mnist", &args.options);
    let epochs = args.options.size(args.epochs, 5, 1);

    let start = Instant::now();
    let (train, test) = load_idx_folder(&args.folder, 255.0)?;
    let size = [train.image_rows, train.image_columns];
    let (mut train, test) = (train.dataset, test.dataset);
    if args.options.quick && train.rows() > 6_000 {
        train = train.split_at(6_000)?.0;
    }
    report.seconds("read", start.elapsed().as_secs_f64());
    let (rows, [height, width]) = (train.rows(), size);
    println!("{rows} images of {height}×{width} to train on, {} to test on", test.rows());

    let Targets::Classes { classes, .. } = *train.targets() else {
        return Err("the images have no labels".into());
    };
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let model = Sequential::new(train.width())
        .dense_with(128, Init::HeUniform)
        .relu()
        .dense(classes)
        .seed(args.seed);
    println!("{}", model.summary());

    let steps = epochs * rows.div_ceil(args.batch.max(1));
    let optimizer =
        Optimizer::adam(args.rate).schedule(LearningRateSchedule::cosine(steps as u64, 0.0));
    let how = TrainingConfig::new(Loss::SoftmaxCrossEntropy, optimizer).metric(Metric::Accuracy);
    let mut model = model.compile_blocking(&gpu, how)?;
    println!("kernels: {}", model.kernels(args.batch)?);
    let mut progress = ProgressBar::new();
    let fit =
        FitOptions::new(epochs).batch_size(args.batch).shuffle(args.seed).callback(&mut progress);
    let history = model.fit_blocking(&train, fit)?;
    drop(progress);

    let evaluation = model.evaluate_blocking(&test)?;
    let accuracy = evaluation.metric(Metric::Accuracy).ok_or("the model has no accuracy")?;
    let weights = model.weights_blocking()?;
    let hash = fingerprint(weights.iter().map(|(_, values)| values.as_slice()));
    let seconds = history.last().map_or(0.0, |epoch| epoch.seconds);

    report.set("epochs", epochs);
    report.set("losses", history.values("loss")?);
    report.set("train_accuracy", history.values("accuracy")?);
    report.set("accuracy", accuracy);
    report.set("rows", test.rows());
    report.set("weights", hash.as_str());
    report.set("images_per_second", (epochs * rows) as f64 / seconds);
    report.seconds("train", seconds);
    report.counters(gpu.counters());
    println!("time: {seconds:.2} s of training, {:.2} s in all", report.elapsed());
    println!("weights: {hash}");
    let right = (accuracy * test.rows() as f64).round();
    println!("test accuracy: {accuracy:.4} ({right} of {})", test.rows());
    report.write()
}
