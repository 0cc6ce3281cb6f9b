//! The first of two programs from an article on high-performance machine learning: a net of
//! 10 → 64 (ReLU) → 1 units, mean squared error, gradient descent with batches of 32, ten epochs
//! over 1,000 random samples. In Keras it is `compile` and `fit`, and so it is here.
//!
//! The parallelism is in the data. Within a device every dispatch spreads the rows of a batch over
//! its threads. Across devices, each lane has a copy of the net and takes a share of the batch's
//! micro-batches; the gradients of all are summed, and every copy takes the same step.
//!
//! The same is trained serially beside it, to the same bits, and every schedule is measured: whether
//! several lanes pay depends on the net and on the machine.
//!
//! ```sh
//! cargo run --release --features timeline --example data_parallel -- --timeline lanes
//! ```

mod common;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use common::lanes::{LaneOptions, ScheduleName, Task, race};
use common::{Options, Outcome, Report};
use wgrad::lanes::Parallel;
use wgrad::train::FitOptions;

/// A small net over lanes that share the rows
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    lanes: LaneOptions,
    /// Passes over the samples [default: 10]
    #[arg(long)]
    epochs: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("data_parallel", &args.options);
    let usual = ScheduleName::DataParallel;
    let (schedule, lanes) = args.lanes.lay_out(&args.options, usual, &mut report)?;
    // Compile: the net, its loss and its optimizer.
    let task = Task::article(args.options.size(args.lanes.micro_batches, 4, 2))?;
    println!("{}", task.model.summary());
    task.advise(&lanes, if args.options.quick { 2 } else { 16 }, &mut report)?;

    // Fit: 31 batches of 32 samples and one of the 8 that are left, epoch after epoch.
    let epochs = args.options.size(args.epochs, 10, 2);
    let epoch = |parallel: &mut Parallel| {
        let history = parallel.fit_blocking(FitOptions::new(1).in_order())?;
        Ok(history.last().map_or(f64::NAN, |log| log.loss))
    };
    race(&task, (&schedule, &lanes), epochs, epoch, &args.lanes, &mut report)?;
    report.counters_of_lanes(&lanes);
    report.write()
}
