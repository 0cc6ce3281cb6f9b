//! Devices share nothing: what is of one is refused by another, whether the two are of one instance of
//! wgpu or of two, whose things have equal numbers.

use wgrad::exec::{Executor, ExecutorOptions, Parameters, Step};
use wgrad::graph::{Graph, Loss, Tensor, UpdateRule};
use wgrad::nn::{Optimizer, Sequential};
use wgrad::plan::{Plan, PlanOptions};
use wgrad::train::TrainingConfig;
use wgrad::{Error, Gpu};

fn noop_device() -> (wgpu::Device, wgpu::Queue) {
    wgpu::Device::noop(&wgpu::DeviceDescriptor::default())
}

fn of((device, queue): &(wgpu::Device, wgpu::Queue)) -> Gpu {
    Gpu::from_device(device, queue)
}

/// Two devices of one instance.
fn siblings() -> [(wgpu::Device, wgpu::Queue); 2] {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop = wgpu::NoopBackendOptions::enabled();
    let instance = wgpu::Instance::new(descriptor);
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    [(), ()].map(|()| pollster::block_on(adapter.request_device(&Default::default())).unwrap())
}

/// Pairs of different devices: of two instances, of one, and (with a driver) two that wgrad made.
fn pairs() -> Vec<[Gpu; 2]> {
    let own = || Gpu::new_blocking().expect("a GPU, or lavapipe (Mesa)");
    vec![
        [noop_device(), noop_device()].each_ref().map(of),
        siblings().each_ref().map(of),
        [own(), own()],
    ]
}

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

fn step() -> Step {
    Step::training(SGD, 0, 0, 0.1)
}

struct Net {
    graph: Graph,
    x: Tensor,
    loss: Tensor,
}

/// Learns `w`, of `units` numbers.
fn net(units: usize) -> Net {
    let mut graph = Graph::new();
    let (x, t) = (graph.input("x", [2, 3]).unwrap(), graph.input("t", [2, units]).unwrap());
    let w = graph.parameter("w", [3, units]).unwrap();
    let y = graph.matmul(x, w).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, t).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    graph.update(SGD, None, loss, &[(w, gradients[0])]).unwrap();
    Net { graph, x, loss }
}

impl Net {
    fn executor(&self, gpu: &Gpu, options: ExecutorOptions) -> Result<Executor, Error> {
        let results = PlanOptions { results: vec![self.loss], ..PlanOptions::default() };
        Executor::with_options_blocking(
            gpu,
            Plan::with_options(&self.graph, &results, &gpu.target())?,
            options,
        )
    }
}

fn refused<T>(what: &str, result: Result<T, Error>, words: &[&str]) {
    let Err(error) = result else { panic!("{what}: accepted") };
    assert!(matches!(error, Error::Argument { .. } | Error::Shape { .. }), "{what}: {error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "{what}: '{error}' does not say '{word}'");
    }
}

/// That both devices still work: nothing of an earlier refusal is told by a later call.
fn work(gpus: &[Gpu; 2]) {
    for gpu in gpus {
        let mut executor = net(2).executor(gpu, ExecutorOptions::default()).unwrap();
        executor.run_blocking(&[step()]).map(drop).unwrap();
    }
}

#[test]
fn parameters_are_of_the_executors_device() {
    for gpus in pairs() {
        let [a, b] = &gpus;
        let net = net(2);
        let parameters = net.executor(a, ExecutorOptions::default()).unwrap().parameters().clone();
        let with = |gpu: &Gpu| {
            let parameters = Some(parameters.clone());
            net.executor(gpu, ExecutorOptions { parameters, ..Default::default() })
        };
        refused("another device", with(b), &["shared parameters", &a.describe(), &b.describe()]);
        // The same device, however its handle was come by.
        for same in [a.clone(), a.clone().busy(3), Gpu::from_device(a.device(), a.queue())] {
            with(&same).unwrap();
        }
        work(&gpus);
    }
}

#[test]
fn snapshots_are_of_the_same_parameters() {
    for gpus in pairs() {
        let [a, b] = &gpus;
        let parameters = |gpu: &Gpu, units| {
            let plan = Plan::new(&net(units).graph, &[], &gpu.target()).unwrap();
            pollster::block_on(Parameters::new(gpu, plan.arena(), Some(0))).unwrap()
        };
        let (small, large, far) = (parameters(a, 2), parameters(a, 4), parameters(b, 2));
        large.write(0, &[0.5; 12]).unwrap();
        let before = pollster::block_on(large.read(0)).unwrap();
        let snapshot = small.snapshot_blocking().unwrap();
        let words = ["'w' 3×4", "'w' 3×2"];
        refused("another model", large.restore_blocking(&snapshot), &words);
        refused("another model", pollster::block_on(large.save_to(&snapshot)), &words);
        let words = ["snapshot", &a.describe()];
        refused("another device", far.restore_blocking(&snapshot), &words);
        refused("another device", pollster::block_on(far.save_to(&snapshot)), &words);
        assert_eq!(pollster::block_on(large.read(0)).unwrap(), before);
        // Other parameters of the same layout take it.
        small.restore_blocking(&snapshot).unwrap();
        parameters(a, 2).restore_blocking(&snapshot).unwrap();
        work(&gpus);
    }
}

#[test]
fn buffers_of_inputs_are_of_the_executors_device() {
    use wgpu::BufferUsages as Usage;
    for gpus in pairs() {
        let [a, b] = &gpus;
        let net = net(2);
        let buffer = |gpu: &Gpu, usage, mapped_at_creation| {
            let size = 24;
            let descriptor =
                wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation };
            gpu.device().create_buffer(&descriptor)
        };
        let with = |buffer: &wgpu::Buffer| {
            let inputs = vec![(net.x, buffer.clone())];
            net.executor(a, ExecutorOptions { inputs, ..Default::default() })
        };
        for usage in [Usage::STORAGE, Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC] {
            let own = buffer(a, usage, false);
            with(&own).unwrap();
            with(&own).unwrap();
            // Being asked where it is of leaves no trace.
            let mut executor = with(&own).unwrap();
            executor.run_blocking(&[step()]).map(drop).unwrap();
            refused("another device", with(&buffer(b, usage, false)), &["'x'", &a.describe()]);
        }
        let mapped = buffer(a, Usage::STORAGE, true);
        let mut executor = with(&mapped).unwrap();
        mapped.unmap();
        executor.run_blocking(&[step()]).map(drop).unwrap();
        work(&gpus);
    }
}

#[test]
fn a_queue_is_its_devices() {
    for [(device, own), (_other, queue)] in [[noop_device(), noop_device()], siblings()] {
        let compile = |gpu: &Gpu| {
            let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
            Sequential::new(3).dense(1).compile_blocking(gpu, how)
        };
        let mixed = Gpu::from_device(&device, &queue);
        for _ in 0..2 {
            refused(
                "another queue",
                compile(&mixed),
                &["queue", "another device's", "request_device"],
            );
        }
        compile(&Gpu::from_device(&device, &own)).unwrap();
    }
}

/// Of another instance, whose pipelines have other numbers or none; nothing is submitted.
#[test]
fn an_encoder_of_another_device_is_no_panic() {
    let [a, b] = [noop_device(), noop_device()].each_ref().map(of);
    let mut executor = net(2).executor(&a, ExecutorOptions::default()).unwrap();
    let mut encoder = b.device().create_command_encoder(&Default::default());
    let result = executor.record(&mut encoder, &[step()]);
    refused("another device", result, &["encoder", &a.describe()]);
    let mut encoder = a.device().create_command_encoder(&Default::default());
    executor.record(&mut encoder, &[step()]).unwrap();
    a.queue().submit([encoder.finish()]);
    executor.submitted();
    assert!(executor.results_blocking().unwrap().is_some());
}
