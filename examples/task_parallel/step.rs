//! The training step written by hand: a graph of forward, loss, backward and update, its plan, and a
//! loop that runs it on one lane.

use wgrad::exec::{Executor, ExecutorOptions, MAX_STEPS, Parameters, Step};
use wgrad::graph::{Graph, Loss, Tensor, Unary, UpdateRule};
use wgrad::plan::{Plan, PlanOptions, Target};
use wgrad::prelude::*;

use super::common::{Outcome, Report, article};

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
    let plan = Plan::with_options(&graph, &options, target)?;
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
    let executor = Executor::with_options(gpu, step.plan, options).await?;
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

/// Trains for `epochs` epochs; the losses of the epochs and the weights at the end.
pub async fn train(
    gpu: &Gpu,
    data: &Dataset,
    epochs: usize,
    report: &mut Report,
) -> Outcome<(Vec<f64>, Vec<Vec<f32>>)> {
    // Shapes are static, so the 8 samples that are left of 31 batches have a plan of their own.
    let (batches, rest) = (data.rows() / article::BATCH, data.rows() % article::BATCH);
    let full = step_plan(data.rows(), article::BATCH, &gpu.target())?;
    print!("{}", full.plan);
    print_levels(&full.plan);
    let barriers = full.plan.barriers();
    println!("barriers per step: {} by level, {} naive", barriers.by_level, barriers.naive);
    let dispatches = full.plan.dispatches();
    report.set("dispatches_per_step", dispatches.len());
    report.set("levels_per_step", dispatches.last().map_or(0, |last| last.level + 1));
    report.set("barriers_per_step", barriers.by_level);
    report.set("barriers_per_step_naive", barriers.naive);
    let mut full = executor(gpu, full, data, None).await?;
    let tail = step_plan(data.rows(), rest, &gpu.target())?;
    let mut tail = executor(gpu, tail, data, Some(full.parameters().clone())).await?;
    for (number, spec) in article::network().parameters()?.iter().enumerate() {
        full.parameters().write(number, &spec.initial)?;
    }

    // The loop: 32 steps per epoch, recorded into two submissions.
    let mut number = 0;
    let mut losses = Vec::new();
    for _ in 0..epochs {
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
        losses.push(sum / data.rows() as f64);
    }
    Ok((losses, full.parameters().read_all().await?))
}
