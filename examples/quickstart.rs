//! Trains a classifier of handwritten digits, and shows what it makes of digits it has not seen.
//!
//! The 1797 digits of 8×8 pixels come with the crate. A fifth of them is held out, the rest trains a
//! net of 64 → 128 → 10 units. The last line is the accuracy on the digits held out.
//!
//! ```sh
//! cargo run --release --features digits,progress --example quickstart
//! ```

mod common;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::{Options, Outcome, Report};
use wgrad::data::{Dataset, Targets, digits};
use wgrad::prelude::*;
use wgrad::train::{BatchLog, Callback, ProgressBar, Signal};

/// Trains a classifier of handwritten digits
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Passes over the training digits [default: 40]
    #[arg(long)]
    epochs: Option<NonZeroUsize>,
    /// Seed of the split, the first weights and the order of the digits
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("quickstart", &args.options);
    let epochs = args.options.size(args.epochs, 40, 5);
    const BATCH: usize = 32;

    // A device, and data in two parts: one to learn from, one to be tested on.
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let (train, test) = digits()?.dataset.split(0.2, args.seed)?;

    // The layers; still without a device.
    let model = Sequential::new(64)
        .dense_with(128, Init::HeUniform)
        .relu()
        .dense_with(10, Init::HeUniform)
        .seed(args.seed);
    println!("{}", model.summary());

    // What to minimise and how: AdamW, its learning rate falling to zero along half a cosine.
    let steps = epochs * train.rows().div_ceil(BATCH);
    let optimizer =
        Optimizer::adamw(6e-3, 0.1).schedule(LearningRateSchedule::cosine(steps as u64, 0.0));
    let how = TrainingConfig::new(Loss::SoftmaxCrossEntropy, optimizer).metric(Metric::Accuracy);
    let mut model = model.compile_blocking(&gpu, how)?;
    println!("kernels: {}", model.kernels(BATCH)?);

    let mut progress = ProgressBar::new();
    let mut first = FirstStep { start: Instant::now(), seconds: None };
    let before = report.elapsed();
    let fit = FitOptions::new(epochs).batch_size(BATCH).shuffle(args.seed);
    let history = model.fit_blocking(&train, fit.callback(&mut progress).callback(&mut first))?;
    drop(progress);

    let evaluation = model.evaluate_blocking(&test)?;
    let accuracy = evaluation.metric(Metric::Accuracy).ok_or("the model has no accuracy")?;
    let predicted = model.predict_classes_blocking(test.features())?;
    let truth = labels(&test)?;
    let right = predicted.iter().zip(truth).filter(|(p, t)| p == t).count();

    // Three digits as they come, and after them the first mistake, if there is one.
    let mistake = (3..test.rows()).find(|&row| predicted.get(row) != truth.get(row));
    let shown = [0, 1, 2, mistake.unwrap_or(3)];
    draw(&test, &shown, &predicted, truth);

    report.set("epochs", epochs);
    report.set("losses", history.values("loss")?);
    report.set("train_accuracy", history.values("accuracy")?);
    report.set("accuracy", accuracy);
    report.set("right", right);
    report.set("rows", test.rows());
    report.seconds("first_step", before + first.seconds.unwrap_or_default());
    report.seconds("train", history.last().map_or(0.0, |epoch| epoch.seconds));
    report.counters(gpu.counters());
    println!("time: {:.2} s", report.elapsed());
    println!("test accuracy: {accuracy:.4} ({right} of {})", test.rows());
    report.write()
}

/// Notes when the first step is known to be done: kernels were compiled before it.
struct FirstStep {
    start: Instant,
    seconds: Option<f64>,
}

impl Callback for FirstStep {
    fn on_batch_end(&mut self, _: &BatchLog) -> Signal {
        self.seconds.get_or_insert(self.start.elapsed().as_secs_f64());
        Signal::Continue
    }
}

fn labels(data: &Dataset) -> Outcome<&[u32]> {
    match data.targets() {
        Targets::Classes { labels, .. } => Ok(labels),
        Targets::Values { .. } => Err("the digits have no labels".into()),
    }
}

/// Draws digits side by side, each pixel two characters wide, the model's answer below.
fn draw(data: &Dataset, rows: &[usize], predicted: &[u32], truth: &[u32]) {
    const SHADES: [&str; 5] = ["  ", "░░", "▒▒", "▓▓", "██"];
    let shade = |ink: f32| SHADES[((ink * 4.0).round() as usize).min(4)];
    for line in 0..8 {
        for row in rows.iter().filter_map(|&row| data.row(row)) {
            let pixels: String = row.iter().skip(8 * line).take(8).map(|&ink| shade(ink)).collect();
            print!("{pixels}    ");
        }
        println!();
    }
    for (predicted, truth) in rows.iter().filter_map(|&row| predicted.get(row).zip(truth.get(row)))
    {
        let verdict = if predicted == truth { "" } else { "  ✗" };
        print!("{:<20}", format!("says {predicted}, is {truth}{verdict}"));
    }
    println!();
}
