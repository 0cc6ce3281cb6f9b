//! Devices that have less than WebGPU guarantees: what runs, runs; what does not is an error that says
//! what it needs and what there is, before anything is compiled.

use std::collections::BTreeSet;

use crate::common;
use crate::common::gpu;
use crate::common::random::Random;
use crate::shaders::listed;
use crate::support::bits;
use wgrad::data::Dataset;
use wgrad::exec::Executor;
use wgrad::graph::{Graph, Loss, Tensor, Unary, UpdateRule};
use wgrad::kernel::matmul::Tiling;
use wgrad::kernel::needs::Needs;
use wgrad::kernel::{Launch, reflect};
use wgrad::nn::{Metric, Optimizer, Sequential};
use wgrad::plan::{AdapterClass, Plan, PlanOptions, Target};
use wgrad::train::{FitOptions, Kernels, Residency, TrainingConfig};
use wgrad::{Error, Gpu, Result};

/// A device of the adapter that the tests run on.
fn with(limits: wgpu::Limits) -> Gpu {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let name = gpu().info().name.clone();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == name).unwrap();
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Gpu::from_device(&device, &queue)
}

fn noop(limits: wgpu::Limits) -> Gpu {
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = wgpu::Device::noop(&descriptor);
    Gpu::from_device(&device, &queue)
}

fn data(rows: usize, width: usize, outputs: usize) -> Dataset {
    let number = |i: usize| ((i * 37) % 101) as f32 / 101.0;
    let features = (0..rows * width).map(number).collect();
    let targets = (0..rows * outputs).map(|i| number(i + 5)).collect();
    Dataset::regression(features, width, targets, outputs).unwrap()
}

fn net() -> Sequential {
    Sequential::new(5).dense(12).relu().dense(8).tanh().dense(3).seed(3)
}

fn general(optimizer: Optimizer) -> TrainingConfig {
    let compile = TrainingConfig::new(Loss::MeanSquaredError, optimizer).kernels(Kernels::General);
    compile.metric(Metric::MeanAbsoluteError)
}

/// Losses, predictions and an evaluation's loss, by their bits.
fn trained(gpu: &Gpu, optimizer: Optimizer) -> Result<Vec<u32>> {
    let data = data(50, 5, 3);
    let mut model = net().compile_blocking(gpu, general(optimizer))?;
    let history = model.fit_blocking(&data, FitOptions::new(2).batch_size(16))?;
    let mut all = history.batch_losses.clone();
    all.extend(model.predict_blocking(data.features())?);
    all.push(model.evaluate_blocking(&data)?.loss as f32);
    Ok(bits(&all))
}

/// With four storage buffers, plain descent trains, to the same bits; Adam binds six.
#[test]
fn what_a_downlevel_device_can_do_it_does() {
    let small = with(wgpu::Limits::downlevel_defaults());
    let usual = with(wgpu::Limits::default());
    let sgd = || Optimizer::sgd(0.05);
    assert_eq!(trained(&small, sgd()).unwrap(), trained(&usual, sgd()).unwrap());
    let error = trained(&small, Optimizer::adam(0.01)).expect_err("six storage buffers");
    let Error::Limit { what, needed: 6, unit, limit, allowed: 4, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(what.contains("adam") && *unit == "storage buffers", "{error}");
    assert!(limit.contains("maxStorageBuffersPerShaderStage"), "{error}");
    // A kernel that holds a whole training takes more: the general ones do without asking.
    let compile = TrainingConfig::new(Loss::MeanSquaredError, sgd());
    let model = net().compile_blocking(&small, compile.clone()).unwrap();
    assert!(model.kernels(16).unwrap().starts_with("general"), "{:?}", model.kernels(16));
    let compile = compile.kernels(Kernels::WholeStep);
    let error = net().compile_blocking(&small, compile).map(drop).expect_err("asked for");
    assert!(error.to_string().contains("maxStorageBuffersPerShaderStage"), "{error}");
}

#[test]
fn each_limit_is_named() {
    let limits = wgpu::Limits::default;
    for (limits, name, needed, allowed) in [
        (
            wgpu::Limits { max_compute_invocations_per_workgroup: 128, ..limits() },
            "maxComputeInvocationsPerWorkgroup",
            256,
            128,
        ),
        (
            wgpu::Limits { max_compute_workgroup_size_x: 128, ..limits() },
            "maxComputeWorkgroupSizeX",
            256,
            128,
        ),
        (
            wgpu::Limits { max_compute_workgroup_storage_size: 1000, ..limits() },
            "maxComputeWorkgroupStorageSize",
            1024,
            1000,
        ),
        (
            wgpu::Limits { max_uniform_buffer_binding_size: 16, ..limits() },
            "maxUniformBufferBindingSize",
            28,
            16,
        ),
        (
            wgpu::Limits { max_storage_buffers_per_shader_stage: 3, ..limits() },
            "maxStorageBuffersPerShaderStage",
            4,
            3,
        ),
        (wgpu::Limits { max_bind_groups: 0, ..limits() }, "maxBindGroups", 1, 0),
    ] {
        let error = trained(&noop(limits), Optimizer::sgd(0.1)).expect_err(name);
        match &error {
            Error::Limit { limit, needed: n, allowed: a, .. } => {
                assert!(limit.contains(name), "{name}: {error}");
                assert_eq!(*a, allowed, "{name}: {error}");
                assert!(*n >= needed.min(allowed + 1), "{name}: {error}");
            }
            error => panic!("{name}: {error:?}"),
        }
    }
}

/// On devices of every size below the default each call works or says what is missing.
#[test]
fn small_devices_say_what_they_lack() {
    let mut random = Random::new(1);
    let (mut worked, mut lacked) = (0, 0);
    for run in 0..60 {
        let mut limits = wgpu::Limits::default();
        let mut halved = |value: &mut u32, most: usize| {
            if random.below(3) == 0 {
                *value >>= random.below(most);
            }
        };
        halved(&mut limits.max_compute_invocations_per_workgroup, 7);
        halved(&mut limits.max_compute_workgroup_size_x, 7);
        halved(&mut limits.max_compute_workgroup_storage_size, 15);
        halved(&mut limits.max_storage_buffers_per_shader_stage, 4);
        halved(&mut limits.max_uniform_buffers_per_shader_stage, 4);
        halved(&mut limits.max_dynamic_uniform_buffers_per_pipeline_layout, 5);
        halved(&mut limits.max_bindings_per_bind_group, 11);
        halved(&mut limits.max_compute_workgroups_per_dimension, 18);
        let mut halved = |value: &mut u64, most: usize| {
            if random.below(3) == 0 {
                *value >>= random.below(most);
            }
        };
        halved(&mut limits.max_uniform_buffer_binding_size, 14);
        halved(&mut limits.max_storage_buffer_binding_size, 24);
        halved(&mut limits.max_buffer_size, 20);
        let gpu = noop(limits.clone());
        let optimizers = [
            Optimizer::sgd(0.1),
            Optimizer::momentum(0.1, 0.9),
            Optimizer::adam(0.1).clip_norm(1.0),
        ];
        for optimizer in optimizers {
            match trained(&gpu, optimizer) {
                Ok(_) => worked += 1,
                Err(Error::Limit { .. }) => lacked += 1,
                Err(error) => panic!("{run}: {error}\n{limits:#?}"),
            }
        }
        // Plans that were made for another device, too.
        let mut net = common::cases::Net::new(run);
        let x = net.before([40, 30]);
        let y = net.graph.softmax(x, 1).unwrap();
        let y = net.graph.unary(Unary::Tanh, y).unwrap();
        let of = net.weighted_sum(y);
        for target in [gpu.target(), Target::default()] {
            let plan = Plan::new(&net.graph, &[of], &target);
            match plan.and_then(|plan| Executor::new_blocking(&gpu, plan)).map(drop) {
                Ok(()) => worked += 1,
                Err(Error::Limit { .. }) => lacked += 1,
                Err(error) => panic!("{run}: {error}\n{limits:#?}"),
            }
        }
    }
    assert!(worked > 20 && lacked > 20, "{worked} worked, {lacked} did not");
}

/// What naga says that a launch takes.
fn as_naga_has_it(launch: &Launch) -> Needs {
    as_naga_has(&reflect::source(&launch.parts), &launch.constants)
}

/// What naga says that a shader takes with these constants.
fn as_naga_has(text: &str, constants: &[(&'static str, f64)]) -> Needs {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let module = naga::front::wgsl::parse_str(text).unwrap();
    let info =
        Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).unwrap();
    let constants = constants.iter().map(|&(name, value)| (name.to_string(), value));
    let constants = constants.collect();
    let (module, _) =
        naga::back::pipeline_constants::process_overrides(&module, &info, None, &constants)
            .unwrap();
    let mut needs = Needs::default();
    for (_, variable) in module.global_variables.iter() {
        let bytes = u64::from(module.types[variable.ty].inner.size(module.to_ctx()));
        match variable.space {
            naga::AddressSpace::Uniform => {
                needs.uniform_buffers += 1;
                needs.uniform_bytes = needs.uniform_bytes.max(bytes);
            }
            naga::AddressSpace::Storage { .. } => needs.storage_buffers += 1,
            naga::AddressSpace::WorkGroup => needs.workgroup_bytes += bytes.next_multiple_of(16),
            _ => {}
        }
    }
    needs.invocations = module.entry_points[0].workgroup_size.iter().product();
    needs
}

/// A net with products, losses, softmaxes, reductions and updates, planned for every kind of device.
fn launches() -> Vec<Launch> {
    let mut launches = Vec::new();
    let kinds = [
        (AdapterClass::Software, false, None, true),
        (AdapterClass::Software, true, Some(8), true),
        (AdapterClass::Software, false, Some(4), false),
        (AdapterClass::Gpu, false, None, true),
    ];
    for (class, words, subgroup, fuse) in kinds {
        let target = Target { class, words, subgroup, ..Target::default() };
        for (graph, outputs) in graphs(300) {
            let options = PlanOptions { fuse, outputs, ..PlanOptions::default() };
            let plan = Plan::with_options(&graph, &options, &target).unwrap();
            launches.extend(plan.dispatches().iter().map(|d| d.launch.clone()));
        }
    }
    let mut distinct: Vec<Launch> = Vec::new();
    for launch in launches {
        let same = |l: &Launch| l.parts == launch.parts && l.constants == launch.constants;
        if !distinct.iter().any(same) {
            distinct.push(launch);
        }
    }
    distinct
}

fn graphs(rows: usize) -> Vec<(Graph, Vec<Tensor>)> {
    let mut all = Vec::new();
    let losses = [Loss::MeanSquaredError, Loss::Huber { delta: 1.0 }, Loss::BinaryCrossEntropy];
    for (number, loss) in losses.into_iter().enumerate() {
        let (inputs, outputs) = ([20, 33, 8][number], [4, 8, 5][number]);
        let mut graph = Graph::new();
        let features = graph.input("features", [rows, inputs]).unwrap();
        let targets = graph.input("targets", [rows, outputs]).unwrap();
        let order = graph.index_input("order", [rows]).unwrap();
        let x = graph.batch(features, order, rows / 2).unwrap();
        let t = graph.batch(targets, order, rows / 2).unwrap();
        let net = Sequential::new(inputs).dense(40).relu().dense(outputs);
        let (y, parameters) = net.build(&mut graph, x).unwrap();
        let value = graph.loss(loss, y, t).unwrap();
        let gradients = graph.gradients(value, &parameters).unwrap();
        let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
        let rules = [
            UpdateRule::Sgd { weight_decay: 0.1 },
            UpdateRule::Momentum { momentum: 0.9, nesterov: true, weight_decay: 0.0 },
            UpdateRule::Adam {
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-8,
                weight_decay: 0.0,
                decoupled: false,
            },
        ];
        graph.update(rules[number], (number > 0).then_some(1.0), value, &pairs).unwrap();
        all.push((graph, vec![value]));
    }
    for case in common::cases::all() {
        all.push((case.graph.clone(), vec![case.of]));
    }
    all
}

#[test]
fn needs_are_those_that_naga_finds() {
    let launches = launches();
    assert!(launches.len() > 60, "{} launches", launches.len());
    for launch in &launches {
        let read = Needs::of(&launch.parts, &launch.constants).unwrap();
        assert_eq!(read, as_naga_has_it(launch), "{}", launch.name);
    }
}

/// Those of every kernel that there is, and of the whole-step kernels, which count them from the net.
#[test]
fn needs_of_all_kernels_are_those_that_naga_finds() {
    let mut seen = Vec::new();
    for launch in listed::all_launches() {
        let same = |(parts, constants): &(Vec<_>, Vec<_>)| {
            *parts == launch.parts && *constants == launch.constants
        };
        if !seen.iter().any(same) {
            let read = Needs::of(&launch.parts, &launch.constants).unwrap();
            let found = as_naga_has_it(&launch);
            // Of memory that is declared and not used, naga tells nothing.
            assert!(read.workgroup_bytes >= found.workgroup_bytes, "{}", launch.name);
            let workgroup_bytes = found.workgroup_bytes;
            assert_eq!(Needs { workgroup_bytes, ..read }, found, "{}", launch.name);
            seen.push((launch.parts, launch.constants));
        }
    }
    let nets = listed::whole_step_nets();
    assert!(seen.len() > 300 && nets.len() > 50, "{} and {}", seen.len(), nets.len());
    for net in nets {
        assert_eq!(net.needs(), as_naga_has(&net.source().unwrap(), &[]), "{net:?}");
    }
}

/// On a device of 128 invocations, no kernel of 256 is tried: whatever plan has one, made for that device
/// or for another, is a limit.
#[test]
fn kernels_of_too_many_invocations_are_a_limit() {
    let most = 128;
    let limits =
        wgpu::Limits { max_compute_invocations_per_workgroup: most, ..wgpu::Limits::default() };
    let gpu = noop(limits);
    let is_large =
        |launch: &Launch| Needs::of(&launch.parts, &launch.constants).unwrap().invocations > most;
    let file = |launch: &Launch| launch.parts.last().unwrap().name;
    let large: BTreeSet<&str> =
        listed::all_launches().iter().filter(|launch| is_large(launch)).map(file).collect();
    assert!(large.len() > 5, "{large:?}");
    let mut met = BTreeSet::new();
    let refused = |name: &str, error: Error| match &error {
        Error::Limit { limit, needed: 256, allowed: 128, .. } => {
            assert!(limit.contains("maxComputeInvocationsPerWorkgroup"), "{name}: {error}");
        }
        _ => panic!("{name}: {error:?}"),
    };
    let mut all = graphs(300);
    // With their gradients, and a loss over so many rows that its sum takes two dispatches.
    all.extend(common::cases::all().into_iter().map(|mut case| {
        let outputs = case.graph.gradients(case.of, &case.wrt).unwrap();
        (case.graph, outputs)
    }));
    all.extend(graphs(200_000).into_iter().take(1));
    let mut graph = Graph::new();
    let x = graph.input("x", [300, 9]).unwrap();
    let places = graph.arg_max(x).unwrap();
    all.push((graph, vec![places]));
    for (fuse, tiling) in [(true, None), (false, Some(Tiling::Shared { side: 16 }))] {
        let on = |target: Target| Target { tiling, ..target };
        for (number, (graph, outputs)) in all.iter().enumerate() {
            let name = format!("graph {number}, fused: {fuse}, {tiling:?}");
            let options = PlanOptions { fuse, outputs: outputs.clone(), ..PlanOptions::default() };
            let plan = Plan::with_options(graph, &options, &on(Target::default())).unwrap();
            let too_large = plan.dispatches().iter().map(|d| &d.launch).filter(|l| is_large(l));
            let too_large: Vec<&str> = too_large.map(file).collect();
            met.extend(too_large.iter().copied());
            match Executor::new_blocking(&gpu, plan).map(drop) {
                Ok(()) => assert!(too_large.is_empty(), "{name}: {too_large:?} ran"),
                Err(error) => refused(&name, error),
            }
            match Plan::with_options(graph, &options, &on(gpu.target())) {
                Ok(plan) => {
                    assert!(!plan.dispatches().iter().any(|d| is_large(&d.launch)), "{name}");
                    Executor::new_blocking(&gpu, plan).map(drop).unwrap();
                }
                Err(error) => refused(&name, error),
            }
        }
    }
    let missed: Vec<&&str> = large.difference(&met).collect();
    assert!(missed.is_empty(), "no graph has {missed:?}");
}

/// Streamed blocks too.
#[test]
fn streaming_is_limited_alike() {
    let limits = wgpu::Limits { max_storage_buffers_per_shader_stage: 2, ..Default::default() };
    let data = data(50, 5, 3);
    let mut model = net().compile_blocking(&noop(limits), general(Optimizer::sgd(0.1))).unwrap();
    let fit = FitOptions::new(1).residency(Residency::Streamed);
    let error = model.fit_blocking(&data, fit).expect_err("two storage buffers");
    assert!(matches!(error, Error::Limit { .. }), "{error:?}");
}
