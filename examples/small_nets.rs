//! Small nets through `fit`, with the kernels of their plans and with the whole-step kernels: time of the
//! first call (which compiles), and the median of the calls after it.
//!
//! ```sh
//! cargo run --release --features digits --example small_nets
//! ```

mod common;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::{Options, Outcome, Report, article};
use serde_json::json;
use wgrad::data::Dataset;
use wgrad::prelude::*;
use wgrad::train::Kernels;

/// Small nets with the general kernels and with the whole-step ones
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Timed calls of `fit` per net and kernel [default: 11]
    #[arg(long)]
    rounds: Option<NonZeroUsize>,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Without the general kernels
    #[arg(long)]
    whole_step: bool,
}

struct Case {
    name: &'static str,
    net: Sequential,
    loss: Loss,
    optimizer: Optimizer,
    data: Dataset,
    batch: usize,
    epochs: usize,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn cases() -> Outcome<Vec<Case>> {
    let article = |name, optimizer, batch, epochs| -> Outcome<Case> {
        let (net, data) = (article::network(), article::samples(article::SAMPLES)?);
        Ok(Case { name, net, loss: Loss::MeanSquaredError, optimizer, data, batch, epochs })
    };
    Ok(vec![
        article("10-64-1, SGD, batch 32", Optimizer::sgd(0.05), 32, 10)?,
        article("10-64-1, SGD, full batch", Optimizer::sgd(0.05), 1000, 320)?,
        article("10-64-1, Adam, batch 32", Optimizer::adam(1e-3), 32, 10)?,
        Case {
            name: "64-32-10, SGD, batch 32",
            net: Sequential::new(64).dense(32).relu().dense(10).seed(article::SEED),
            loss: Loss::SoftmaxCrossEntropy,
            optimizer: Optimizer::sgd(0.05),
            data: wgrad::data::digits()?.dataset,
            batch: 32,
            epochs: 10,
        },
        Case {
            name: "64-128-64-10, SGD, batch 32",
            net: Sequential::new(64)
                .dense(128)
                .relu()
                .dense(64)
                .relu()
                .dense(10)
                .seed(article::SEED),
            loss: Loss::SoftmaxCrossEntropy,
            optimizer: Optimizer::sgd(0.05),
            data: wgrad::data::digits()?.dataset,
            batch: 32,
            epochs: 10,
        },
    ])
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("small_nets", &args.options);
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let rounds = args.options.size(args.rounds, 11, 1);
    let mut nets = Vec::new();
    for case in cases()? {
        if !case.name.contains(&args.only) {
            continue;
        }
        println!("{}", case.name);
        let epochs = if args.options.quick { case.epochs.div_ceil(10) } else { case.epochs };
        'kernels: for kernels in [Kernels::WholeStep, Kernels::WholeStepInMemory, Kernels::General]
        {
            if args.whole_step && kernels == Kernels::General {
                continue;
            }
            let mut times = Vec::new();
            let (mut steps, mut losses) = (0, Vec::new());
            for _ in 0..rounds + 1 {
                let compile =
                    TrainingConfig::new(case.loss, case.optimizer.clone()).kernels(kernels);
                let mut model = match case.net.clone().compile_blocking(&gpu, compile) {
                    Err(error) if kernels == Kernels::WholeStep => {
                        println!("  {kernels:?}: {error}");
                        continue 'kernels;
                    }
                    model => model?,
                };
                let start = Instant::now();
                let fit = FitOptions::new(epochs).batch_size(case.batch).in_order();
                let history = model.fit_blocking(&case.data, fit)?;
                times.push(start.elapsed().as_secs_f64());
                steps = model.steps();
                losses = history.values("loss")?;
                if times.len() == 1 {
                    let last = losses.last().copied().unwrap_or_default();
                    println!("  {kernels:?}: first call {:.3} s, last loss {last:.6}", times[0]);
                }
            }
            let first = times.remove(0);
            times.sort_by(f64::total_cmp);
            let median = times[times.len() / 2];
            println!(
                "    {:.3} ms for {steps} steps: {:.2} µs each, {:.0} per second (best {:.3} ms)",
                1e3 * median,
                1e6 * median / steps as f64,
                steps as f64 / median,
                1e3 * times[0],
            );
            nets.push(json!({
                "net": case.name, "kernels": format!("{kernels:?}").to_lowercase(), "steps": steps,
                "first_call_s": first, "median_s": median, "best_s": times[0], "losses": losses,
            }));
        }
    }
    report.set("nets", nets);
    report.counters(gpu.counters());
    report.write()
}
