//! The second of two programs from an article on high-performance machine learning: the net of
//! `data_parallel` with its training step written by hand, in three passes: forward, backward and
//! update.
//!
//! The parallelism to look for is between tasks. On one queue: a layer's weight gradient and the
//! gradient of its input need the same numbers, but not each other, so the plan, which this program
//! prints, puts them on one level. Over several queues: each lane has some of the layers, and while
//! one computes the forward pass of a micro-batch, the next one is at the backward pass of another.
//!
//! It checks that the step written by hand comes to the losses and weights of `fit`, and the lanes to
//! those of serial training, bit for bit.
//!
//! ```sh
//! cargo run --release --features timeline --example task_parallel -- --timeline tasks
//! ```

#[path = "../common/mod.rs"]
mod common;
mod step;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use common::lanes::{LaneOptions, ScheduleName, Task, race};
use common::{Options, Outcome, Report, article};
use wgrad::lanes::Parallel;
use wgrad::prelude::*;
use wgrad::train::Kernels;

/// A small net with a training step written by hand, then over lanes that share the layers
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
    let mut report = Report::new("task_parallel", &args.options);
    let usual = ScheduleName::Pipeline;
    let (schedule, lanes) = args.lanes.lay_out(&args.options, usual, &mut report)?;
    let first = lanes.first().ok_or("no lane")?;
    let epochs = args.options.size(args.epochs, 10, 2);
    let task = Task::article(args.options.size(args.lanes.micro_batches, 4, 2))?;

    println!("\n== one lane, the step written by hand");
    let (losses, weights) =
        pollster::block_on(step::train(first, &task.data, epochs, &mut report))?;

    // The witness: `fit` with the same samples, weights and order, and the same kernels: left to
    // itself it takes the whole-step one, which rounds otherwise.
    let general = task.compile.clone().kernels(Kernels::General);
    let mut model = task.model.clone().compile_blocking(first, general)?;
    let fit = FitOptions::new(epochs).batch_size(article::BATCH).in_order();
    let history = model.fit_blocking(&task.data, fit)?;
    let fitted: Vec<_> = model.weights_blocking()?.into_iter().map(|(_, values)| values).collect();
    let same = history.values("loss")? == losses && fitted == weights;
    report.set("same_bits_as_fit", same);
    if !same {
        return Err("the step written by hand and `fit` came to different bits".into());
    }
    println!("the same losses and weights as `fit`, bit for bit");

    println!("\n== over lanes");
    task.advise(&lanes, if args.options.quick { 2 } else { 16 }, &mut report)?;

    // A loop of one's own: a few batches at a time.
    let epoch = |parallel: &mut Parallel| {
        let (batches, mut sum) = (parallel.batches(), 0.0);
        for first in (0..batches).step_by(8) {
            let results = parallel.run(first..batches.min(first + 8))?;
            let losses = results.iter().map(|step| f64::from(step.loss) * step.rows as f64);
            sum += losses.sum::<f64>();
        }
        Ok(sum / article::SAMPLES as f64)
    };
    race(&task, (&schedule, &lanes), epochs, epoch, &args.lanes, &mut report)?;
    report.counters_of_lanes(&lanes);
    report.write()
}
