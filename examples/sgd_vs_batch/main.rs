//! Stochastic against batch gradient descent: the same net, samples and learning rate with batches
//! of 1, 32 and all samples. Seen by epochs, small batches learn faster: an epoch has more steps.
//! Seen by time it is another race: a GPU takes a step over all samples in little more time than a
//! step over one. Tables show both, and a chart, if one is asked for.
//!
//! The loss of an epoch is the mean over its batches, each as it was before its own step.
//!
//! ```sh
//! cargo run --release --example sgd_vs_batch -- --chart chart.png
//! ```

mod chart;
#[path = "../common/mod.rs"]
mod common;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::{Options, Outcome, Report, article};
use serde_json::json;
use wgrad::prelude::*;

/// Batch sizes compared, against epochs and against time
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Passes over the samples with batches of 1 [default: 10]
    #[arg(long)]
    epochs: Option<NonZeroUsize>,
    /// Draw the losses into FILE, a PNG
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
}

/// One batch size, with what happened in each epoch.
struct Race {
    batch: usize,
    name: String,
    /// Seconds since training began, and the loss.
    epochs: Vec<(f64, f64)>,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("sgd_vs_batch", &args.options);
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let samples = if args.options.quick { 200 } else { article::SAMPLES };
    let data = article::samples(samples)?;
    let epochs = args.options.size(args.epochs, 10, 3);

    // Batches of 1 set the time; the others may go on for as long.
    let single = race(&gpu, &data, 1, epochs, 0.0)?;
    let time = single.epochs.last().map_or(0.0, |&(seconds, _)| seconds);
    let mut races = vec![single];
    for batch in [article::BATCH, samples] {
        races.push(race(&gpu, &data, batch, epochs, time)?);
    }

    println!("\nloss by epochs");
    let mut rows = vec![1, epochs.div_ceil(4), epochs.div_ceil(2), epochs];
    rows.dedup();
    let at = |race: &Race, epoch: usize| race.epochs.get(epoch - 1).map(|&(_, loss)| loss);
    table(&races, rows.iter().map(|&epoch| (format!("epoch {epoch}"), epoch)).collect(), at);
    println!("\nloss by time");
    let rows = [0.01, 0.1, 0.5, 1.0].map(|share| (format!("{:.3} s", share * time), share * time));
    let at = |race: &Race, time: f64| {
        race.epochs.iter().take_while(|(seconds, _)| *seconds <= time).last().map(|&(_, l)| l)
    };
    table(&races, rows.to_vec(), at);
    println!("\n{:>12}  {:>10}  {:>12}", "batch", "epochs", "ms per epoch");
    for race in &races {
        let (count, seconds) = (race.epochs.len(), race.epochs.last().map_or(0.0, |e| e.0));
        println!("{:>12}  {count:>10}  {:>12.2}", race.name, 1e3 * seconds / count as f64);
    }

    let figures = races.iter().map(|race| {
        let (seconds, losses): (Vec<f64>, Vec<f64>) = race.epochs.iter().copied().unzip();
        json!({ "batch": race.batch, "seconds_at_epochs": seconds, "losses": losses })
    });
    let losses = races.iter().map(|race| {
        let losses: Vec<f64> = race.epochs.iter().take(epochs).map(|epoch| epoch.1).collect();
        (race.name.clone(), losses.into())
    });
    report.set("losses", losses.collect::<serde_json::Map<_, _>>());
    report.set("races", figures.collect::<Vec<_>>());
    report.set("epochs", epochs);
    report.set("samples", samples);
    report.seconds("train", time);
    report.counters(gpu.counters());
    if let Some(path) = &args.chart {
        chart::draw(path, &races, epochs)?;
    }
    report.write()
}

/// Ends training when both the epochs and the time are over.
struct Until {
    epochs: usize,
    seconds: f64,
}

impl Callback for Until {
    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        let over = log.epoch >= self.epochs && log.seconds >= self.seconds;
        if over { Signal::Stop } else { Signal::Continue }
    }
}

/// Trains with one batch size for at least so many epochs and seconds.
fn race(gpu: &Gpu, data: &Dataset, batch: usize, epochs: usize, seconds: f64) -> Outcome<Race> {
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.01));
    let mut model = article::network().compile_blocking(gpu, how)?;
    let mut until = Until { epochs, seconds };
    let fit =
        FitOptions::new(100_000).batch_size(batch).shuffle(article::SEED).callback(&mut until);
    let history = model.fit_blocking(data, fit)?;
    let name = if batch == data.rows() { "all".into() } else { batch.to_string() };
    println!("batch {name}: {} steps", model.steps());
    let epochs = history.epochs.iter().map(|epoch| (epoch.seconds, epoch.loss)).collect();
    Ok(Race { batch, name, epochs })
}

/// A line for each of `rows`, a column for each race.
fn table<T: Copy>(races: &[Race], rows: Vec<(String, T)>, at: impl Fn(&Race, T) -> Option<f64>) {
    let titles = races.iter().map(|race| format!("  {:>10}", format!("batch {}", race.name)));
    println!("{:>12}{}", "", titles.collect::<String>());
    for (name, row) in rows {
        let cell = |race| at(race, row).map_or("-".into(), |loss| format!("{loss:.4}"));
        let cells = races.iter().map(|race| format!("  {:>10}", cell(race)));
        println!("{name:>12}{}", cells.collect::<String>());
    }
}
