//! The first of two programs from an article on high-performance machine learning: a net of
//! 10 → 64 (ReLU) → 1 units, mean squared error, gradient descent with batches of 32, ten epochs
//! over 1,000 random samples. In Keras it is `compile` and `fit`, and so it is here.
//!
//! The parallelism is in the data: every dispatch spreads the samples of a batch and the units of a
//! layer over the threads of the GPU, and no line below speaks of it. The second program,
//! `task_parallel`, writes the training step by hand and comes to the same bits.
//!
//! ```sh
//! cargo run --release --example data_parallel
//! ```

mod common;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use common::{Options, Outcome, Report, article, fingerprint};
use wgrad::prelude::*;

/// A small net through `compile` and `fit`
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Passes over the samples [default: 10]
    #[arg(long)]
    epochs: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("data_parallel", &args.options);
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let data = article::samples(article::SAMPLES)?;
    let model = article::network();
    println!("{}", model.summary());

    // Compile: the net goes to the device, with its loss and its optimizer.
    let optimizer = Optimizer::sgd(article::LEARNING_RATE);
    let mut model =
        model.compile_blocking(&gpu, Compile::new(Loss::MeanSquaredError, optimizer))?;

    // Fit: 31 batches of 32 samples and one of the 8 that are left, ten times over.
    let epochs = args.options.size(args.epochs, 10, 2);
    let fit = Fit::new(epochs).batch_size(article::BATCH).in_order();
    let history = model.fit_blocking(&data, fit)?;

    for epoch in &history.epochs {
        println!("epoch {:>2}  loss {:.6}", epoch.epoch, epoch.loss);
    }
    let seconds = history.last().map_or(0.0, |epoch| epoch.seconds);
    let weights = model.weights_blocking()?;
    let hash = fingerprint(weights.iter().map(|(_, values)| values.as_slice()));
    println!("time: {seconds:.3} s for {} steps", model.steps());
    println!("weights: {hash} (the same in task_parallel)");

    report.set("losses", history.values("loss"));
    report.set("weights", hash);
    report.set("steps", model.steps());
    report.seconds("train", seconds);
    report.counters(gpu.counters());
    report.write()
}
