//! The picture of the README: a deep net of narrow layers, whose dispatches are too small to fill a
//! device, under every schedule. On one queue they stand in line; two queues take them side by side.
//!
//! Writes `serial`, `pipeline` and `data-parallel`, each as `.png`, `.svg` and as `.json` for
//! <https://ui.perfetto.dev>.
//!
//! ```sh
//! cargo run --release --features timeline --example timeline -- --folder docs/timeline
//! ```

mod common;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::lanes::{LaneOptions, ScheduleName, Task, describe, record, write};
use common::{Options, Outcome, Report, article};
use serde_json::{Map, json};
use wgrad::lanes::Schedule;
use wgrad::lanes::{ParallelOptions, Trial};
use wgrad::prelude::*;

/// What ran when, on which lane, under every schedule
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    lanes: LaneOptions,
    /// Where files go; without it none is written
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Dense layers [default: 32]
    #[arg(long)]
    layers: Option<NonZeroUsize>,
    /// Units of each layer [default: 32]
    #[arg(long)]
    width: Option<NonZeroUsize>,
    /// Rows of a micro-batch [default: 8]
    #[arg(long)]
    rows: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("timeline", &args.options);
    let usual = ScheduleName::Pipeline;
    let (_, lanes) = args.lanes.lay_out(&args.options, usual, &mut report)?;
    let layers = args.options.size(args.layers, 32, 4);
    let width = args.options.size(args.width, 32, 8);
    let rows = args.options.size(args.rows, 8, 2);
    let micro_batches = args.options.size(args.lanes.micro_batches, 16, 4);
    let hidden = |model: Sequential, _| model.dense(width).relu();
    let model = (1..layers).fold(Sequential::new(article::FEATURES), hidden).dense(1);
    println!(
        "{layers} dense layers of {width} units, batches of {micro_batches} × {rows} rows, Adam"
    );
    let batch = micro_batches * rows;
    let task = Task {
        model: model.seed(article::SEED),
        compile: TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(1e-3)),
        data: article::samples(8 * batch)?.into(),
        options: ParallelOptions::new(batch, micro_batches, Schedule::Serial),
    };
    let advice = task.advise(&lanes, if args.options.quick { 1 } else { 16 }, &mut report)?;
    let speed = |schedule: &Schedule| {
        let is_it = |trial: &&Trial| {
            trial.schedule.as_ref() == Some(schedule) && trial.micro_batches == micro_batches
        };
        let trial = advice.trials.iter().rfind(is_it)?.outcome.as_ref().ok()?;
        Some(advice.serial()? / trial.seconds)
    };
    if let Some(folder) = &args.folder {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }

    let mut figures = Map::new();
    for schedule in [Schedule::Serial, Schedule::pipeline(), Schedule::data_parallel()] {
        let mut parallel = task.start(&schedule, &lanes)?;
        let losses: Vec<f32> = parallel.run(0..2)?.iter().map(|step| step.loss).collect();
        let mut timeline = record(&mut parallel, 4)?;
        timeline.times_serial = speed(&schedule).filter(|_| schedule != Schedule::Serial);
        println!("\n{}: {timeline}", schedule.name());
        for (lane, held) in parallel.memory().iter().enumerate() {
            println!("lane {lane} holds {}", describe(held));
        }
        args.lanes.print_commands(&parallel)?;
        let busy: Vec<f64> = (0..timeline.lanes.len()).map(|lane| timeline.busy(lane)).collect();
        let seen = json!({
            "wall_s": timeline.wall(), "busy": busy, "overlap": timeline.overlap(),
            "exchange_hidden": timeline.exchange_hidden(),
            "exchange_beside_compute": timeline.exchange_beside_compute(),
            "times_serial": timeline.times_serial, "clock": timeline.clock.to_string(),
            "losses": losses,
        });
        figures.insert(schedule.name().into(), seen);
        if let Some(folder) = &args.folder {
            // One step, so that the numbers of its micro-batches can be read.
            write(&timeline.steps(5..6), &folder.join(schedule.name()))?;
        }
    }
    report.set("timelines", figures);
    report.counters_of_lanes(&lanes);
    report.write()
}
