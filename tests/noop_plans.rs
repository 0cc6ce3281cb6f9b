//! Plans: how they print, what they save, and what they and their executors refuse. On wgpu's noop device.

use crate::counted::*;
use crate::support::golden;
use wgrad::Error;
use wgrad::data::Dataset;
use wgrad::exec::{Executor, ExecutorOptions, Parameters};
use wgrad::graph::{DType, Graph, Loss};
use wgrad::nn::{Optimizer, Sequential};
use wgrad::plan::{Barriers, Plan, PlanOptions, Target};
use wgrad::train::{Residency, TrainingConfig};

/// A plan prints as a table. Where a change of the plan is meant, the file is to be replaced by what
/// the failure prints.
#[test]
fn the_plan_prints_as_a_table() {
    let (gpu, data) = (noop(), article_data());
    let mut model = article(&gpu);
    let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Resident)).unwrap();
    let printed = trainer.plan().to_string();
    let expected = std::fs::read_to_string(golden("plan_article.txt")).unwrap_or_default();
    assert_eq!(printed, expected, "the plan is now:\n{printed}");
    let lines: Vec<&str> = printed.lines().collect();
    let columns = lines[0].split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        columns,
        ["level", "pass", "kernel", "reads", "writes", "to", "groups", "fill", "bytes"]
    );
    // The columns start where their titles do.
    for line in &lines[1..=trainer.plan().dispatches().len()] {
        for title in &columns {
            let start = lines[0].find(title).unwrap();
            let before = line.chars().nth(start - start.min(1)).unwrap();
            assert!(start == 0 || before == ' ', "'{title}' in {line}");
        }
    }
}

/// And it says why sums are split, and what trains in place of its dispatches.
#[test]
fn the_plan_says_why() {
    let (gpu, data) = (noop().busy(16), article_data());
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
    let net = Sequential::new(10).dense(64).relu().dense(1);
    let mut model = pollster::block_on(net.compile(&gpu, how)).unwrap();
    let trainer = pollster::block_on(model.trainer(&data, 1000, Residency::Resident)).unwrap();
    let printed = trainer.plan().to_string();
    let last: Vec<&str> = printed.lines().rev().take(2).collect();
    assert!(last[0].starts_with("kernels: whole-step: 97 parameters in each of "), "{printed}");
    assert_eq!(last[0], format!("kernels: {}", model.kernels(1000).unwrap()));
    assert_eq!(last[1], "sums in 3 parts: fewer tiles than keep the device busy", "{printed}");
}

/// Tensors whose lives do not meet share a buffer.
#[test]
fn memory_is_reused() {
    let bytes = |widths: &[usize], reuse_memory: bool| {
        let mut net = Sequential::new(10);
        for &width in widths {
            net = net.dense(width).tanh();
        }
        let mut graph = Graph::new();
        let x = graph.input("x", [256, 10]).unwrap();
        let (y, parameters) = net.build(&mut graph, x).unwrap();
        let t = graph.input("t", graph.shape(y).unwrap().clone()).unwrap();
        let loss = graph.loss(Loss::MeanSquaredError, y, t).unwrap();
        let gradients = graph.gradients(loss, &parameters).unwrap();
        let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
        graph.update(SGD, None, loss, &pairs).unwrap();
        let options = PlanOptions { results: vec![loss], reuse_memory, ..PlanOptions::default() };
        // One that is full at once, so that no sums are split, which takes memory too.
        let target = Target { filled_by: 1, ..Target::default() };
        let plan = Plan::with_options(&graph, &options, &target).unwrap();
        (plan.memory().bytes(), plan.memory().bytes_without_reuse, plan.memory().slots.len())
    };
    let deep = [64; 8];
    let (with, without, slots) = bytes(&deep, true);
    let (separate, same, more_slots) = bytes(&deep, false);
    assert_eq!((separate, without), (same, same));
    assert!(slots < more_slots);
    // Eight activations must be kept for the backward pass; of the gradients two are alive at once.
    let activation = 256 * 64 * 4;
    assert!(with <= 11 * activation && without >= 15 * activation, "{with} of {without} bytes");
    // The article's net has one hidden layer: there is little to share.
    let (with, without, _) = bytes(&[64, 1], true);
    assert!(with < without, "{with} of {without}");
}

/// Fusion saves dispatches and memory, and plans are a function of graph, options and target.
#[test]
fn plans_are_reproducible_and_fusion_saves() {
    let (gpu, data) = (noop(), article_data());
    let mut model = article(&gpu);
    let mut plan = |batch: usize| {
        let trainer = pollster::block_on(model.trainer(&data, batch, Residency::Resident)).unwrap();
        trainer.plan().clone()
    };
    let (first, second) = (plan(32), plan(32));
    assert_eq!(first.to_string(), second.to_string());
    assert_eq!(first.dispatches(), second.dispatches());
    assert_ne!(first.to_string(), plan(16).to_string());
    assert_eq!(first.multiply_adds(), 32 * (10 * 64 + 64) * 2 + 32 * 64);
}

#[test]
fn executors_refuse_what_does_not_fit_the_plan() {
    let gpu = noop();
    let (graph, w, x, loss) = descent(16);
    let plan = || Plan::new(&graph, &[loss], &gpu.target()).unwrap();
    let executor = Executor::new_blocking(&gpu, plan()).unwrap();
    let message = |result: Result<(), Error>| result.expect_err("must be refused").to_string();
    // Length, element type, a tensor that is computed.
    let text = message(executor.write(x, &[0.0; 15]));
    assert!(text.contains("'x'") && text.contains("15") && text.contains("16"), "{text}");
    let text = message(executor.write_indices(x, &[0; 16]));
    assert!(text.contains("'x'") && text.contains(&format!("{:?}", DType::U32)), "{text}");
    let text = message(executor.write(loss, &[0.0]));
    assert!(text.contains("neither an input nor a parameter"), "{text}");
    let text = message(executor.write(w, &[f32::NAN; 16]));
    assert!(text.contains("'w'[0]") && text.contains("NaN"), "{text}");
    // Parameters of another model, or without room for the optimizer.
    let with = |parameters: Option<Parameters>, inputs| {
        let options = ExecutorOptions { parameters, inputs };
        pollster::block_on(Executor::with_options(&gpu, plan(), options))
    };
    let (other, ..) = descent(17);
    let other = Plan::new(&other, &[], &gpu.target()).unwrap();
    let parameters = |plan: &Plan, states| {
        pollster::block_on(Parameters::new(&gpu, plan.arena(), states)).unwrap()
    };
    let error = with(Some(parameters(&other, Some(0))), vec![]).expect_err("another model");
    assert!(error.to_string().contains("another model"), "{error}");
    let error = with(Some(parameters(&plan(), None)), vec![]).expect_err("no gradients");
    assert!(error.to_string().contains("optimizer"), "{error}");
    assert!(with(Some(parameters(&plan(), Some(0))), vec![]).is_ok());
    // A buffer that is too short.
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let buffer = |size| {
        let descriptor =
            wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        gpu.device().create_buffer(&descriptor)
    };
    let error = with(None, vec![(x, buffer(60))]).expect_err("60 bytes for 64");
    assert!(error.to_string().contains("60") && error.to_string().contains("64"), "{error}");
    assert!(with(None, vec![(x, buffer(64))]).is_ok());
}

/// A value that is not among the outputs has a buffer, which holds another one by now.
#[test]
fn what_is_not_kept_cannot_be_read() {
    let gpu = noop();
    let (graph, _, x, loss) = descent(16);
    let plan = Plan::new(&graph, &[loss], &gpu.target()).unwrap();
    let executor = Executor::new_blocking(&gpu, plan).unwrap();
    let product = graph.nodes()[0].output;
    let error = executor.read_blocking(product).expect_err("not kept").to_string();
    assert!(error.contains("outputs"), "{error}");
    assert!(executor.buffer_of(product).is_err());
    for kept in [loss, x] {
        assert!(executor.buffer_of(kept).is_ok() && executor.read_blocking(kept).is_ok());
    }
}

#[test]
fn plans_refuse_what_they_cannot_do() {
    let (graph, _, x, loss) = descent(16);
    let mut larger = graph.clone();
    let foreign = larger.input("foreign", [1]).unwrap();
    let error = Plan::new(&graph, &[foreign], &Target::default()).expect_err("foreign");
    assert!(error.to_string().contains("not of this graph"), "{error}");
    for result in [x, graph.nodes()[0].output] {
        let options = PlanOptions { results: vec![result], ..PlanOptions::default() };
        let error =
            Plan::with_options(&graph, &options, &Target::default()).expect_err("no scalar");
        assert!(error.to_string().contains("scalar"), "{error}");
    }
    let _ = loss;
}

/// Of a six-layer net: a barrier between levels, one for each layer and pass. Differentiation already
/// lists the gradient of a layer's weights beside that of its input, which shares it, so the graph's own
/// order is as good; a runner that puts one after every dispatch needs five more.
#[test]
fn barriers_of_a_six_layer_net() {
    let gpu = noop();
    let net = (0..6).fold(Sequential::new(16), |net, _| net.dense(16).relu());
    let data = Dataset::regression(vec![0.5; 32 * 16], 16, vec![0.5; 32 * 16], 16).unwrap();
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
    let mut model = net.compile_blocking(&gpu, how).unwrap();
    let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Auto)).unwrap();
    let barriers = trainer.plan().barriers();
    assert_eq!(barriers, Barriers { by_level: 15, naive: 15, one_at_a_time: 20 });
}
