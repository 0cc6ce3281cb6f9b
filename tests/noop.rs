//! What a device is asked to do, counted on wgpu's noop device: it accepts every call and computes
//! nothing, so every sum it reads back is 0. The counts hold on every GPU.

mod support;

use proptest::prelude::RngCore;
use support::golden;
use wgrad::data::Dataset;
use wgrad::exec::{Executor, ExecutorOptions, MAX_STEPS, Parameters, Step};
use wgrad::graph::{DType, Graph, Loss, Reduction, Tensor, UpdateRule};
use wgrad::nn::{Metric, Optimizer, Sequential};
use wgrad::plan::{AdapterClass, Barriers, Plan, PlanOptions, Target};
use wgrad::train::{Compile, Fit, Kernels, Model, Residency};
use wgrad::{Counters, Error, Gpu};

/// Bytes that say whether a step went wrong, and which.
const STATUS: u64 = 20;
const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

fn noop_with(limits: wgpu::Limits) -> Gpu {
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = wgpu::Device::noop(&descriptor);
    Gpu::from_device(&device, &queue)
}

/// A noop device with WebGPU's default limits.
fn noop() -> Gpu {
    noop_with(wgpu::Limits::default())
}

/// A noop device whose buffers and bindings end at `bytes`.
fn small(bytes: u64) -> Gpu {
    noop_with(wgpu::Limits {
        max_storage_buffer_binding_size: bytes,
        max_buffer_size: bytes,
        ..Default::default()
    })
}

/// The README's data: 1000 rows of 10 features and one target.
fn article_data() -> Dataset {
    let features: Vec<f32> = (0..10_000).map(|i| (i % 17) as f32 / 17.0).collect();
    Dataset::regression(features, 10, vec![0.5; 1000], 1).unwrap()
}

/// Mean squared error and `optimizer`, with the kernels of the plan.
fn general(optimizer: Optimizer) -> Compile {
    Compile::new(Loss::MeanSquaredError, optimizer).kernels(Kernels::General)
}

/// The README's network: 10, 64 and 1 units.
fn article(gpu: &Gpu) -> Model {
    let net = Sequential::new(10).dense(64).relu().dense(1).seed(42);
    net.compile_blocking(gpu, general(Optimizer::sgd(0.05))).unwrap()
}

/// What `work` made the device do.
fn counted<T>(gpu: &Gpu, work: impl FnOnce() -> T) -> (Counters, T) {
    let before = gpu.counters();
    let result = work();
    (gpu.counters() - before, result)
}

fn created(counters: &Counters) -> [u64; 3] {
    [counters.buffers, counters.bind_groups, counters.pipelines]
}

/// `Σ w·x` with a parameter `w` and SGD.
fn descent(elements: usize) -> (Graph, Tensor, Tensor, Tensor) {
    let mut graph = Graph::new();
    let w = graph.parameter("w", [elements]).unwrap();
    let x = graph.input("x", [elements]).unwrap();
    let product = graph.mul(w, x).unwrap();
    let loss = graph.sum(product, 0).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    graph.update(SGD, None, loss, &[(w, gradients[0])]).unwrap();
    (graph, w, x, loss)
}

#[test]
fn the_device_has_the_limits_that_every_device_has() {
    let target = noop().target();
    // wgpu calls its noop adapter a software one, and those work on the processors there are.
    let Target { busy, .. } = target;
    assert!(busy >= 1);
    assert_eq!(target, Target { class: AdapterClass::Software, busy, ..Target::default() });
    assert_eq!(target.max_tensor_bytes(), 128 << 20);
}

/// A plan prints as a table. Where a change of the plan is meant, the file is to be replaced by what
/// the failure prints.
#[test]
fn the_plan_prints_as_a_table() {
    let (gpu, data) = (noop(), article_data());
    let model = article(&gpu);
    let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Resident)).unwrap();
    let printed = trainer.plan().to_string();
    let expected = std::fs::read_to_string(golden("plan_article.txt")).unwrap_or_default();
    assert_eq!(printed, expected, "the plan is now:\n{printed}");
    let lines: Vec<&str> = printed.lines().collect();
    let columns = lines[0].split_whitespace().collect::<Vec<_>>();
    assert_eq!(columns, ["level", "pass", "kernel", "reads", "writes", "to", "groups", "bytes"]);
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
    let how = Compile::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
    let net = Sequential::new(10).dense(64).relu().dense(1);
    let model = pollster::block_on(net.compile(&gpu, how)).unwrap();
    let trainer = pollster::block_on(model.trainer(&data, 1000, Residency::Resident)).unwrap();
    let printed = trainer.plan().to_string();
    let last: Vec<&str> = printed.lines().rev().take(2).collect();
    assert!(last[0].starts_with("kernels: resident: 97 parameters in each of "), "{printed}");
    assert_eq!(last[0], format!("kernels: {}", model.kernels(1000).unwrap()));
    assert_eq!(last[1], "sums in 3 parts: fewer tiles than keep the device busy", "{printed}");
}

#[test]
fn a_step_of_the_article_net_is_eight_dispatches() {
    let (gpu, data) = (noop(), article_data());
    let model = article(&gpu);
    let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Resident)).unwrap();
    assert_eq!(trainer.plan().dispatches().len(), 8);
    assert_eq!(trainer.batches(), 32);
    assert_eq!((trainer.batch_rows(30), trainer.batch_rows(31)), (32, 8));
    assert_eq!(trainer.batches_per_submission(), MAX_STEPS);
    let names: Vec<&str> =
        trainer.plan().dispatches().iter().map(|d| d.launch.name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("update")).count(), 1);
    assert_eq!(names.iter().filter(|name| name.contains("relu")).count(), 2);
}

/// A submission holds what a device does in a fraction of a second, and one step at least.
#[test]
fn large_steps_make_short_submissions() {
    let (gpu, data) = (noop(), article_data());
    let batches = |units: usize, batch: usize| {
        let net = Sequential::new(10).dense(units).relu().dense(units).relu().dense(1);
        let compile = general(Optimizer::sgd(0.05));
        let model = net.compile_blocking(&gpu, compile).unwrap();
        let trainer = pollster::block_on(model.trainer(&data, batch, Residency::Resident)).unwrap();
        (trainer.batches_per_submission(), trainer.plan().multiply_adds())
    };
    assert_eq!(batches(64, 32).0, MAX_STEPS);
    let (steps, multiply_adds) = batches(512, 500);
    assert!((2..MAX_STEPS).contains(&steps), "{steps} steps of {multiply_adds}");
    assert!(steps as u64 * multiply_adds <= 1 << 31);
    assert_eq!(batches(2048, 1000).0, 1);
}

/// After the first step nothing is created, and nothing is uploaded but the record of each step.
#[test]
fn steps_create_nothing() {
    let gpu = noop();
    let (graph, _, x, loss) = descent(100);
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with(&graph, &options, &gpu.target()).unwrap();
    let dispatches = plan.dispatches().len() as u64;
    let (building, mut executor) = counted(&gpu, || Executor::new_blocking(&gpu, plan).unwrap());
    assert_eq!(building.bind_groups, dispatches);
    assert!(building.pipelines <= dispatches && building.pipelines > 0);
    assert_eq!((building.submissions, building.dispatches, building.host_waits), (0, 0, 0));
    let (writing, ()) = counted(&gpu, || executor.write(x, &[1.0; 100]).unwrap());
    assert_eq!(writing, Counters { bytes_uploaded: 400, ..Counters::default() });
    for steps in [1, 7, MAX_STEPS] {
        let records: Vec<Step> =
            (0..steps).map(|i| Step::training(SGD, i as u64, 0, 0.1)).collect();
        let (running, rows) = counted(&gpu, || executor.run_blocking(&records).unwrap());
        assert_eq!(rows, vec![vec![0.0]; steps]);
        assert_eq!(created(&running), [0; 3], "{steps} steps");
        assert_eq!(running.submissions, 1);
        assert_eq!(running.dispatches, steps as u64 * dispatches);
        assert_eq!(running.bytes_uploaded, steps as u64 * 256, "a record per step, aligned");
        assert_eq!(running.bytes_read_back, STATUS + 4 * steps as u64, "the status and the losses");
        assert!(running.host_waits <= 1);
    }
    // More steps than a submission holds.
    let records = vec![Step::training(SGD, 0, 0, 0.1); 2 * MAX_STEPS + 1];
    let (running, rows) = counted(&gpu, || executor.run_blocking(&records).unwrap());
    assert_eq!(
        (rows.len(), running.submissions, created(&running)),
        (2 * MAX_STEPS + 1, 3, [0; 3])
    );
}

/// 32 batches are one submission; epochs after the first create nothing.
#[test]
fn fit_submits_an_epoch_at_once() {
    let data = article_data();
    let fit = |epochs: usize| {
        let gpu = noop();
        let mut model = article(&gpu);
        let (counters, history) = counted(&gpu, || {
            model.fit_blocking(&data, Fit::new(epochs).batch_size(32).in_order()).unwrap()
        });
        assert_eq!(history.batch_losses, vec![0.0; 32 * epochs]);
        assert_eq!(model.steps(), 32 * epochs as u64);
        counters
    };
    let (one, ten) = (fit(1), fit(10));
    assert_eq!(created(&one), created(&ten), "buffers, bind groups, pipelines");
    let more = ten - one;
    assert_eq!(more.submissions, 9);
    assert_eq!(more.dispatches, 9 * 32 * 8);
    assert_eq!(more.bytes_uploaded, 9 * 32 * 256, "one record per step");
    // The loss of each step, and the status: of full batches and of the last one.
    assert_eq!(more.bytes_read_back, 9 * (32 * 4 + 2 * STATUS));
}

/// A shuffled epoch uploads the order, a streamed one the rows.
#[test]
fn what_an_epoch_uploads() {
    let data = article_data();
    let uploaded = |fit: fn(Fit<'static>) -> Fit<'static>| {
        let run = |epochs: usize| {
            let gpu = noop();
            let mut model = article(&gpu);
            let fit = fit(Fit::new(epochs).batch_size(32));
            counted(&gpu, || model.fit_blocking(&data, fit).unwrap()).0.bytes_uploaded
        };
        run(3) - run(2)
    };
    let records = 32 * 256;
    assert_eq!(uploaded(|fit| fit.in_order().residency(Residency::Resident)), records);
    assert_eq!(uploaded(|fit| fit.shuffle(1).residency(Residency::Resident)), records + 4000);
    assert_eq!(
        uploaded(|fit| fit.in_order().residency(Residency::Streamed)),
        records + 1000 * 11 * 4
    );
}

/// A metric is a column of the results table and no further reading.
#[test]
fn metrics_cost_a_dispatch_and_four_bytes() {
    let (gpu, data) = (noop(), article_data());
    let net = || Sequential::new(10).dense(64).relu().dense(1);
    let compile = || general(Optimizer::sgd(0.05));
    let run = |compile: Compile| {
        let mut model = net().compile_blocking(&gpu, compile).unwrap();
        let fit = || Fit::new(1).batch_size(250).in_order();
        counted(&gpu, || model.fit_blocking(&data, fit()).unwrap()).0
    };
    let (plain, measured) = (run(compile()), run(compile().metric(Metric::RSquared)));
    assert_eq!(measured.dispatches - plain.dispatches, 4);
    assert_eq!(measured.bytes_read_back - plain.bytes_read_back, 4 * 4);
    assert_eq!(measured.submissions, plain.submissions);
}

/// Nothing but the last batch waits: four submissions may be under way.
#[test]
fn submissions_do_not_wait_while_there_is_room() {
    let gpu = noop();
    let (graph, _, _, loss) = descent(8);
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with(&graph, &options, &gpu.target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
    let (submitting, ()) = counted(&gpu, || {
        for step in 0..4 {
            let record = Step::training(SGD, step, 0, 0.1);
            pollster::block_on(executor.submit(&[record])).unwrap();
        }
    });
    assert_eq!((submitting.submissions, submitting.host_waits), (4, 0));
    assert_eq!(submitting.bytes_read_back, 0);
    // A fifth takes the oldest results in first.
    pollster::block_on(executor.submit(&[Step::training(SGD, 4, 0, 0.1)])).unwrap();
    let mut taken = 0;
    while pollster::block_on(executor.results()).unwrap().is_some() {
        taken += 1;
    }
    assert_eq!(taken, 5);
}

#[test]
fn too_many_steps_or_untaken_results_are_refused() {
    let gpu = noop();
    let (graph, _, _, loss) = descent(8);
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with(&graph, &options, &gpu.target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
    for steps in [0, MAX_STEPS + 1] {
        let error =
            pollster::block_on(executor.submit(&vec![Step::training(SGD, 0, 0, 0.1); steps]));
        let message = error.expect_err("steps").to_string();
        assert!(message.contains(&steps.to_string()) && message.contains("64"), "{message}");
    }
    let record = |executor: &mut Executor| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let result = executor.record(&mut encoder, &[Step::training(SGD, 0, 0, 0.1)]);
        if result.is_ok() {
            gpu.queue().submit([encoder.finish()]);
            executor.submitted();
        }
        result
    };
    for _ in 0..4 {
        record(&mut executor).unwrap();
    }
    let error = record(&mut executor).expect_err("a fifth recording");
    assert!(matches!(error, Error::Argument { .. }), "{error:?}");
    assert!(error.to_string().contains("results"), "{error}");
    // Taking results makes room again.
    assert!(pollster::block_on(executor.results()).unwrap().is_some());
    record(&mut executor).unwrap();
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
        let plan = Plan::with(&graph, &options, &Target::default()).unwrap();
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
    let model = article(&gpu);
    let plan = |batch: usize| {
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
fn tensors_over_the_binding_limit_are_refused() {
    let mut graph = Graph::new();
    let elements = (128 << 20) / 4 + 1;
    let x = graph.input("big", [elements]).unwrap();
    let y = graph.scale(x, 2.0).unwrap();
    let error = Plan::new(&graph, &[y], &Target::default()).expect_err("too large");
    let Error::Limit { what, needed, limit, allowed, remedy, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(what.contains("big"), "{what}");
    assert_eq!((*needed, *allowed), ((128 << 20) + 4, 128 << 20));
    assert_eq!(*limit, "the device's maxStorageBufferBindingSize");
    assert!(remedy.contains("smaller"), "{remedy}");
    // Exactly the limit is not over it.
    let mut graph = Graph::new();
    let x = graph.input("fits", [elements - 1]).unwrap();
    let y = graph.scale(x, 2.0).unwrap();
    assert!(Plan::new(&graph, &[y], &Target::default()).is_ok());
    // The same for a parameter, before anything is allocated.
    let gpu = noop();
    let net = Sequential::new(1 << 13).dense(1 << 13);
    let compile = general(Optimizer::sgd(0.1));
    let (counters, error) =
        counted(&gpu, || net.compile_blocking(&gpu, compile).expect_err("256 MiB"));
    assert!(matches!(error, Error::Limit { .. }), "{error:?}");
    assert!(error.to_string().contains("dense_0.weight"), "{error}");
    assert_eq!(counters.buffers, 0);
}

/// Parameters beyond one binding lie in several buffers; each is one more dispatch of the update.
#[test]
fn parameters_over_a_binding_lie_in_chunks() {
    let gpu = small(64 << 10);
    let data = Dataset::regression(vec![0.5; 100 * 4], 4, vec![0.5; 100], 1).unwrap();
    let dispatches = |units: usize| {
        let net = Sequential::new(4).dense(units).relu().dense(units).relu().dense(1);
        let compile = general(Optimizer::adam(1e-3));
        let mut model = net.compile_blocking(&gpu, compile).unwrap();
        let chunks = model.parameters().layout().chunks.len();
        let layout = model.parameters().layout().clone();
        for (number, entry) in layout.entries.iter().enumerate() {
            assert_eq!(entry.offset % 256, 0, "bindable");
            let end = entry.offset + entry.shape.bytes() as u64;
            assert!(end <= layout.chunks[entry.chunk] && end <= 64 << 10);
            let next = layout.entries.get(number + 1);
            assert!(next.is_none_or(|n| n.chunk > entry.chunk || n.offset >= end), "no overlap");
        }
        let fit = Fit::new(1).full_batch();
        let counters = counted(&gpu, || model.fit_blocking(&data, fit).unwrap()).0;
        (chunks, counters.dispatches)
    };
    let (one, few) = dispatches(8);
    let (several, more) = dispatches(128);
    assert_eq!((one, several), (1, 3));
    assert_eq!(more - few, 2, "one update for each further chunk");
}

#[test]
fn data_over_the_limit_is_streamed_or_refused() {
    let gpu = small(64 << 10);
    let rows = 5000;
    let data = Dataset::regression(vec![0.5; rows * 4], 4, vec![0.5; rows], 1).unwrap();
    let net = || Sequential::new(4).dense(4).dense(1);
    let compile = || general(Optimizer::sgd(0.1));
    let mut model = net().compile_blocking(&gpu, compile()).unwrap();
    let fit = |residency| Fit::new(1).batch_size(50).residency(residency);
    let error = model.fit_blocking(&data, fit(Residency::Resident)).expect_err("80,000 bytes");
    let Error::Limit { what, needed: 80_000, allowed: 65_536, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(what.contains("features"), "{what}");
    for residency in [Residency::Auto, Residency::Streamed] {
        let history = model.fit_blocking(&data, fit(residency)).unwrap();
        assert_eq!(history.batch_losses.len(), 100);
    }
    // A single batch that is too large cannot be streamed either.
    let error = model.fit_blocking(&data, Fit::new(1).full_batch()).expect_err("a batch");
    assert!(matches!(error, Error::Limit { .. }), "{error:?}");
    // A failed call leaves the model as it was.
    assert_eq!(model.steps(), 200);
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
        pollster::block_on(Executor::with(&gpu, plan(), options))
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
        let error = Plan::with(&graph, &options, &Target::default()).expect_err("no scalar");
        assert!(error.to_string().contains("scalar"), "{error}");
    }
    // A parameter that the update forgot.
    let mut graph = Graph::new();
    let (w, forgotten) = (graph.parameter("w", [4]).unwrap(), graph.parameter("b", [4]).unwrap());
    let sum = graph.add(w, forgotten).unwrap();
    let total = graph.reduce(Reduction::Sum, sum, 0, 1).unwrap();
    let gradients = graph.gradients(total, &[w]).unwrap();
    graph.update(SGD, None, total, &[(w, gradients[0])]).unwrap();
    let error = Plan::new(&graph, &[], &Target::default()).expect_err("no gradient");
    assert!(error.to_string().contains("'b'"), "{error}");
    let _ = loss;
}

/// Predictions reuse what they created, whatever the number of rows: there are plans of 1, 2, 4, … 1024
/// rows, and with the largest one more block for each 1024.
#[test]
fn predictors_are_kept() {
    let gpu = noop();
    let mut model = article(&gpu);
    let rows = |n: usize| vec![0.5; n * 10];
    let mut random = proptest::test_runner::TestRng::deterministic_rng(Default::default());
    let mut rounds = [Counters::default(); 2];
    for round in &mut rounds {
        *round = counted(&gpu, || {
            for _ in 0..100 {
                let n = (1 + random.next_u32() % 3000) >> (random.next_u32() % 12);
                let n = n.max(1) as usize;
                assert_eq!(model.predict_blocking(&rows(n)).unwrap().len(), n);
            }
        })
        .0;
    }
    // Eleven plans of two products each. Those of up to 8 rows, and of more, may be tiled differently.
    assert!((2..=22).contains(&rounds[0].bind_groups), "{:?}", rounds[0]);
    assert!((1..=8).contains(&rounds[0].pipelines), "{:?}", rounds[0]);
    for n in (0..=10).map(|k| 1 << k) {
        model.predict_blocking(&rows(n)).unwrap();
    }
    let last = counted(&gpu, || {
        (1..100).map(|n| model.predict_blocking(&rows(n * 31)).unwrap().len()).sum::<usize>()
    });
    assert_eq!((created(&last.0), last.1), ([0; 3], 31 * 99 * 100 / 2));
}

/// A net whose hidden layer is so wide that 1024 rows of it fit no binding trains, is validated, evaluated
/// and predicts at WebGPU's default limits, whose blocks are as small as they must be.
#[test]
fn blocks_are_as_large_as_the_widest_layer_allows() {
    let gpu = noop();
    let net = Sequential::new(4).dense(40_000).dense(1);
    let mut model = net.compile_blocking(&gpu, general(Optimizer::sgd(0.05))).unwrap();
    let rows = 3000;
    let data = Dataset::regression(vec![0.5; rows * 4], 4, vec![0.5; rows], 1).unwrap();
    let history = model.fit_blocking(&data, Fit::new(1).validation_split(0.5)).unwrap();
    assert_eq!(history.last().unwrap().validation.as_ref().unwrap().rows, 1500);
    let (counters, evaluation) = counted(&gpu, || model.evaluate_blocking(&data).unwrap());
    assert_eq!(evaluation.rows, rows);
    // 32 MiB hold 209 rows of 160,000 bytes.
    assert_eq!(counters.dispatches, 3000_u64.div_ceil(209) * 5, "{counters:?}");
    assert_eq!(model.predict_blocking(&vec![0.5; rows * 4]).unwrap().len(), rows);
}

/// So it is on a device with less, and where the target is wider than the features.
#[test]
fn blocks_fit_smaller_devices() {
    let mut random = proptest::test_runner::TestRng::deterministic_rng(Default::default());
    for _ in 0..12 {
        let mut draw = |most: u32| 1 + (random.next_u32() % most) as usize;
        let gpu = small(1 << (15 + draw(5)));
        let (inputs, hidden, outputs, rows) = (draw(9), draw(700), draw(40), draw(2000));
        let net = Sequential::new(inputs).dense(hidden).relu().dense(outputs);
        let data = vec![0.5; rows * inputs];
        let data = Dataset::regression(data, inputs, vec![0.5; rows * outputs], outputs).unwrap();
        let said = format!("{inputs}-{hidden}-{outputs}, {rows} rows, {:?}", gpu.target());
        let mut model = match net.compile_blocking(&gpu, general(Optimizer::adam(0.05))) {
            Ok(model) => model,
            // A layer's weights that fit no binding are refused before anything runs.
            Err(Error::Limit { what, .. }) if what.contains("weight") => continue,
            Err(error) => panic!("{said}: {error}"),
        };
        for residency in [Residency::Auto, Residency::Streamed] {
            let fit = Fit::new(1).batch_size(1 + rows / 100).residency(residency);
            match model.fit_blocking(&data, fit.validation(&data)) {
                Ok(_) | Err(Error::Limit { .. }) => {}
                Err(error) => panic!("{said}: {error}"),
            }
        }
        let evaluation = model.evaluate_blocking(&data);
        assert_eq!(evaluation.unwrap_or_else(|error| panic!("{said}: {error}")).rows, rows);
        let predicted = model.predict_blocking(data.features());
        assert_eq!(
            predicted.unwrap_or_else(|error| panic!("{said}: {error}")).len(),
            rows * outputs
        );
    }
}

/// Of a six-layer net: a barrier between levels, one for each layer and pass. Differentiation already
/// lists the gradient of a layer's weights beside that of its input, which shares it, so the graph's own
/// order is as good; a runner that puts one after every dispatch needs five more.
#[test]
fn barriers_of_a_six_layer_net() {
    let gpu = noop();
    let net = (0..6).fold(Sequential::new(16), |net, _| net.dense(16).relu());
    let data = Dataset::regression(vec![0.5; 32 * 16], 16, vec![0.5; 32 * 16], 16).unwrap();
    let how = Compile::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
    let model = net.compile_blocking(&gpu, how).unwrap();
    let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Auto)).unwrap();
    let barriers = trainer.plan().barriers();
    assert_eq!(barriers, Barriers { by_level: 15, naive: 15, one_at_a_time: 20 });
}
