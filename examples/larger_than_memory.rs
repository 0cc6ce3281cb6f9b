//! Trains 784 → 512 → 512 → 10 units on a file of rows that need not fit in memory: it writes one of 6 GB, reads it in
//! blocks, shuffles within windows, and holds out the last blocks. `--rows` and `--window` say how large both are.
//!
//! The last lines say how fast it was, how much memory the process took at most (on Linux), and a hash of the
//! weights. `--in-memory` reads the same file whole, and trains on the data set that it is: to the same hash if the
//! window holds all rows.
//!
//! ```sh
//! cargo run --release --features progress --example larger_than_memory -- --quick
//! ```

mod common;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::{Options, Outcome, Report, fingerprint};
use wgrad::data::{ArrayFile, NpyWriter, OwnedData, Source};
use wgrad::prelude::*;
use wgrad::train::ProgressBar;

/// Trains on a file that is larger than memory
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// The folder of the two files, which are written unless they are there; by default a temporary one, removed at the end
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Rows of 784 numbers, 3 kB each [default: 2,000,000]
    #[arg(long)]
    rows: Option<NonZeroUsize>,
    /// Rows within which rows are shuffled; two windows are in memory [default: 40,000]
    #[arg(long)]
    window: Option<NonZeroUsize>,
    /// Rows per step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Passes over the rows
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Reads the whole file first, and trains on the data set that it is
    #[arg(long)]
    in_memory: bool,
}

const WIDTH: usize = 784;
const CLASSES: usize = 10;

fn main() -> ExitCode {
    let args = Args::parse();
    let own = args.folder.is_none();
    let usual = std::env::temp_dir().join(format!("wgrad-larger-{}", std::process::id()));
    let folder = args.folder.clone().unwrap_or(usual);
    let outcome = run(&args, &folder);
    if own {
        // What is left of it is the system's to remove.
        let _ = std::fs::remove_dir_all(&folder);
    }
    common::exit(outcome)
}

/// Noise with a pattern in it that depends on the class; a thousand rows at a time, each made of its number alone. Under
/// their names there are whole files only.
fn write(x: &Path, y: &Path, rows: usize) -> Outcome {
    let (part_of_x, part_of_y) = (x.with_extension("part"), y.with_extension("part"));
    let mut features = NpyWriter::create(&part_of_x, WIDTH)?;
    let mut labels = NpyWriter::create(&part_of_y, 1)?;
    for first in (0..rows).step_by(1000) {
        let (mut some, mut classes) = (Vec::new(), Vec::new());
        for row in first..(first + 1000).min(rows) {
            let mut state = (row as u32).wrapping_mul(0x9e37_79b9) | 1;
            let class = row * 7919 % 1013 % CLASSES;
            for column in 0..WIDTH {
                // Xorshift (Marsaglia, 2003).
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                let pattern = ((class * 131 + column * 7919) % 97) as f32 / 97.0;
                some.push(0.25 * pattern + (state >> 8) as f32 / (1 << 24) as f32);
            }
            classes.push(class as f32);
        }
        features.write(&some)?;
        labels.write(&classes)?;
    }
    features.finish()?;
    labels.finish()?;
    std::fs::rename(part_of_x, x)?;
    Ok(std::fs::rename(part_of_y, y)?)
}

fn run(args: &Args, folder: &Path) -> Outcome {
    let mut report = Report::new("larger_than_memory", &args.options);
    let rows = args.options.size(args.rows, 2_000_000, 3_000);
    let window = args.options.size(args.window, 40_000, 1_000);
    let (x, y) = (folder.join("features.npy"), folder.join("labels.npy"));
    let there = |path: &Path| path.exists().then(|| Source::npy(path)).transpose();
    if there(&x)?.and_then(|x| x.rows()) != Some(rows) || !y.exists() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let start = Instant::now();
        write(&x, &y, rows)?;
        report.seconds("write", start.elapsed().as_secs_f64());
    }

    // Two files, read side by side: nothing of them is in memory yet.
    let source = Source::npy(&x)?.with_labels(ArrayFile::npy(&y)?, CLASSES)?;
    let block = window.div_ceil(100);
    let source = source.block_rows(block)?.window_rows(window)?;
    let (training, held_out) = source.split_last(0.05)?;
    let (rows, tested) = (training.count()?, held_out.count()?);
    let training = match args.in_memory {
        true => OwnedData::from(training.read()?),
        false => OwnedData::from(training),
    };
    let bytes = std::fs::metadata(&x)?.len();
    println!("{rows} rows to train on, {tested} held out, {:.2} GB", 1e-9 * bytes as f64);

    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let model = Sequential::new(WIDTH).dense(512).relu().dense(512).relu().dense(CLASSES).seed(1);
    println!("{}", model.summary());
    let how = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::sgd(0.05));
    let mut model = model.compile_blocking(&gpu, how.metric(Metric::Accuracy))?;

    let mut progress = ProgressBar::new();
    let fit = FitOptions::new(args.epochs).batch_size(args.batch).shuffle(7);
    let start = Instant::now();
    let history = model.fit_blocking(&training, fit.callback(&mut progress))?;
    let seconds = start.elapsed().as_secs_f64();
    drop(progress);

    let evaluation = model.evaluate_blocking(&held_out)?;
    let accuracy = evaluation.metric(Metric::Accuracy).ok_or("the model has no accuracy")?;
    let weights = model.weights_blocking()?;
    let hash = fingerprint(weights.iter().map(|(_, values)| values.as_slice()));
    let steps = history.batch_losses.len() as f64;
    report.set("rows", rows);
    report.set("bytes", bytes);
    report.set("window", window);
    report.set("in_memory", args.in_memory);
    report.set("losses", history.values("loss")?);
    report.set("accuracy", accuracy);
    report.set("weights", hash.as_str());
    report.set("steps_per_second", steps / seconds);
    report.seconds("train", seconds);
    report.counters(gpu.counters());
    println!("time: {seconds:.2} s of training, {:.1} steps/s", steps / seconds);
    if let Some(kilobytes) = most_memory() {
        report.set("most_memory", kilobytes * 1024);
        println!("memory: {:.0} MB at most", kilobytes as f64 * 1.024e-3);
    }
    println!("weights: {hash}");
    println!("accuracy on held-out rows: {accuracy:.4}");
    report.write()
}

/// Kilobytes that the process had in memory at most, as Linux counts them.
fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
