//! The second of two programs from an article on high-performance machine learning: the net of
//! `data_parallel` with its training step written by hand, in three passes: forward, backward and
//! update.
//!
//! The parallelism to look for is between tasks: a layer's weight gradient and the gradient of its
//! input need the same numbers, but not each other. The plan, which this program prints, puts such
//! dispatches on one level. All go to one queue, level by level; how much of a level the device runs
//! at once is up to its driver.
//!
//! At the end it checks that `fit` comes to the same losses and weights, bit for bit.
//!
//! ```sh
//! cargo run --release --example task_parallel
//! ```

mod common;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use common::{Options, Outcome, Report, article, fingerprint};
use wgrad::exec::{Executor, ExecutorOptions, MAX_STEPS, Parameters, Step};
use wgrad::graph::{Graph, Loss, Tensor, Unary, UpdateRule};
use wgrad::plan::{Plan, PlanOptions, Target};
use wgrad::prelude::*;

/// A small net with a training step written by hand
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Passes over the samples [default: 10]
    #[arg(long)]
    epochs: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    common::exit(pollster::block_on(run(&Args::parse())))
}

const RULE: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

/// One step of training as a plan, and the tensors that the host writes.
struct StepPlan {
    plan: Plan,
    features: Tensor,
    targets: Tensor,
    order: Tensor,
}

/// A step that draws `batch` of `rows` samples and learns from them.
fn step_plan(rows: usize, batch: usize, target: &Target) -> Result<StepPlan, Error> {
    use article::{FEATURES, HIDDEN};
    let mut graph = Graph::new();

    // All samples are on the device; a step draws its batch from them.
    let features = graph.input("features", [rows, FEATURES])?;
    let targets = graph.input("targets", [rows, 1])?;
    let order = graph.index_input("order", [rows])?;
    let x = graph.batch(features, order, batch)?;
    let t = graph.batch(targets, order, batch)?;

    // Forward: y = relu(x·W₀ + b₀)·W₁ + b₁, and the loss.
    let w0 = graph.parameter("dense_0.weight", [FEATURES, HIDDEN])?;
    let b0 = graph.parameter("dense_0.bias", [HIDDEN])?;
    let product = graph.matmul(x, w0)?;
    let z = graph.bias_add(product, b0)?;
    let h = graph.unary(Unary::Relu, z)?;
    let w1 = graph.parameter("dense_2.weight", [HIDDEN, 1])?;
    let b1 = graph.parameter("dense_2.bias", [1])?;
    let product = graph.matmul(h, w1)?;
    let y = graph.bias_add(product, b1)?;
    let loss = graph.loss(Loss::MeanSquaredError, y, t)?;

    // Backward: the loss differentiated by each parameter.
    let parameters = [w0, b0, w1, b1];
    let gradients = graph.gradients(loss, &parameters)?;

    // Update: every parameter takes a step against its gradient.
    let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
    graph.update(RULE, None, loss, &pairs)?;

    // The loss of every step comes back in the results table.
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with(&graph, &options, target)?;
    Ok(StepPlan { plan, features, targets, order })
}

/// The step on a device, with all samples; parameters are shared if some are given.
async fn executor(
    gpu: &Gpu,
    step: StepPlan,
    data: &Dataset,
    parameters: Option<Parameters>,
) -> Outcome<Executor> {
    let Targets::Values { data: targets, .. } = data.targets() else {
        return Err("no values".into());
    };
    let options = ExecutorOptions { parameters, ..Default::default() };
    let executor = Executor::with(gpu, step.plan, options).await?;
    executor.write(step.features, data.features())?;
    executor.write(step.targets, targets)?;
    executor.write_indices(step.order, &(0..u32::try_from(data.rows())?).collect::<Vec<_>>())?;
    Ok(executor)
}

/// The dispatches that may run side by side: those of one level.
fn print_levels(plan: &Plan) {
    println!("levels whose dispatches do not depend on each other:");
    for group in plan.dispatches().chunk_by(|a, b| a.level == b.level) {
        if let [first, _, ..] = group {
            let names = group.iter().map(|d| format!("{}: {}", d.pass.name(), d.launch.name));
            println!("  level {}  {}", first.level, names.collect::<Vec<_>>().join(" | "));
        }
    }
}

/// The sum of the losses of what was submitted, each as often as its batch has rows.
async fn drain(executor: &mut Executor, rows: usize) -> Outcome<f64> {
    let mut sum = 0.0;
    while let Some(results) = executor.results().await? {
        if let Some(step) = results.halted_at {
            return Err(format!("the loss of step {step} was not finite").into());
        }
        let losses = results.rows.iter().flatten();
        sum = losses.fold(sum, |sum, &loss| sum + f64::from(loss) * rows as f64);
    }
    Ok(sum)
}

async fn run(args: &Args) -> Outcome {
    let mut report = Report::new("task_parallel", &args.options);
    let epochs = args.options.size(args.epochs, 10, 2);
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let data = article::samples(article::SAMPLES)?;

    // Shapes are static, so the 8 samples that are left of 31 batches have a plan of their own.
    let (batches, rest) = (data.rows() / article::BATCH, data.rows() % article::BATCH);
    let full = step_plan(data.rows(), article::BATCH, &gpu.target())?;
    print!("{}", full.plan);
    print_levels(&full.plan);
    let dispatches = full.plan.dispatches();
    report.set("dispatches_per_step", dispatches.len());
    report.set("levels_per_step", dispatches.last().map_or(0, |last| last.level + 1));
    let mut full = executor(&gpu, full, &data, None).await?;
    let tail = step_plan(data.rows(), rest, &gpu.target())?;
    let mut tail = executor(&gpu, tail, &data, Some(full.parameters().clone())).await?;
    for (number, spec) in article::network().parameters().iter().enumerate() {
        full.parameters().write(number, &spec.initial)?;
    }

    // The loop: 32 steps per epoch, recorded into two submissions.
    let (start, mut number) = (Instant::now(), 0);
    let mut losses = Vec::new();
    for epoch in 1..=epochs {
        let mut step = |batch: usize| {
            let first_row = (batch * article::BATCH) as u32;
            number += 1;
            Step::training(RULE, number - 1, first_row, article::LEARNING_RATE)
        };
        let steps: Vec<Step> = (0..batches).map(&mut step).collect();
        for steps in steps.chunks(MAX_STEPS) {
            full.submit(steps).await?;
        }
        tail.submit(&[step(batches)]).await?;
        let sum = drain(&mut full, article::BATCH).await? + drain(&mut tail, rest).await?;
        let loss = sum / data.rows() as f64;
        losses.push(loss);
        println!("epoch {epoch:>2}  loss {loss:.6}");
    }
    let seconds = start.elapsed().as_secs_f64();
    let weights = full.parameters().read_all().await?;
    let hash = fingerprint(weights.iter().map(Vec::as_slice));
    println!("time: {seconds:.3} s for {number} steps");
    println!("weights: {hash} (the same in data_parallel)");
    report.counters(gpu.counters());

    // The witness: `fit` with the same samples, weights and order.
    let how = Compile::new(Loss::MeanSquaredError, Optimizer::sgd(article::LEARNING_RATE));
    let mut model = article::network().compile(&gpu, how).await?;
    let fit = Fit::new(epochs).batch_size(article::BATCH).in_order();
    let history = model.fit(&data, fit).await?;
    let fitted: Vec<_> = model.weights().await?.into_iter().map(|(_, values)| values).collect();
    let same = history.values("loss") == losses && fitted == weights;
    report.set("losses", losses);
    report.set("weights", hash);
    report.set("steps", number);
    report.set("same_bits_as_fit", same);
    report.seconds("train", seconds);
    report.write()?;
    if !same {
        return Err("this loop and `fit` came to different bits".into());
    }
    println!("the same losses and weights as `fit`, bit for bit");
    Ok(())
}
