//! Products that read their operands through textures, which larger ones do on software adapters whose processor has no
//! AVX-512. That they compute what others do, `kernels_matmul.rs` says of every tiling.

use std::sync::Arc;

use crate::common::lanes;
use crate::common::random::Random;
use crate::support::bits;
use crate::support::parallel::{start, state_bits};
use wgrad::Gpu;
use wgrad::data::Dataset;
use wgrad::exec::{Executor, ExecutorOptions};
use wgrad::graph::Graph;
use wgrad::kernel::matmul::{Memory, Tiling};
use wgrad::lanes::timeline::Span;
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::plan::{Plan, Target};
use wgrad::train::TrainingConfig;

/// A buffer of the app's own that cannot be copied from cannot be an operand, and the error says so.
#[test]
fn operands_lie_in_buffers_that_can_be_copied() {
    use wgpu::{BufferUsages, Features};
    let described = wgpu::DeviceDescriptor {
        required_features: Features::SHADER_INT64,
        ..wgpu::DeviceDescriptor::default()
    };
    let (device, queue) = wgpu::Device::noop(&described);
    let gpu = Gpu::from_device(&device, &queue);
    let mut graph = Graph::new();
    let (x, w) = (graph.input("x", [256, 64]).unwrap(), graph.input("w", [64, 512]).unwrap());
    let y = graph.matmul(x, w).unwrap();
    let of_usage = |usage| {
        let target = Target { texels_from: Some(1 << 20), ..gpu.target() };
        let plan = Plan::new(&graph, &[y], &target).unwrap();
        assert!(plan.to_string().contains("texels"), "{plan}");
        let (label, size, mapped_at_creation) = (None, 256 * 64 * 4, false);
        let described = wgpu::BufferDescriptor { label, size, usage, mapped_at_creation };
        let inputs = vec![(x, device.create_buffer(&described))];
        let options = ExecutorOptions { inputs, ..ExecutorOptions::default() };
        pollster::block_on(Executor::with_options(&gpu, plan, options))
    };
    of_usage(BufferUsages::STORAGE | BufferUsages::COPY_SRC).unwrap();
    let error = of_usage(BufferUsages::STORAGE).unwrap_err().to_string();
    assert!(error.contains("STORAGE") && error.contains("with COPY_SRC"), "{error}");
}

/// The numbers are the same bits as without, over lanes as well; and passes that copies cut in pieces are timed as a
/// whole.
#[test]
fn lanes_train_to_the_same_bits_with_and_without() {
    let mut random = Random::new(5);
    let (rows, width) = (192, 256);
    let x = random.many(rows * width, |r| r.uniform(-1.0, 1.0));
    let data = Arc::new(Dataset::regression(x.clone(), width, x[..rows].to_vec(), 1).unwrap());
    let net = Sequential::new(width).dense(320).relu().dense(256).tanh().dense(1).seed(3);
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(1e-3));
    let trained = |schedule: Schedule, devices: &[Gpu], recorded: bool| {
        let options = ParallelOptions::new(96, 2, schedule);
        let before: Vec<u64> = devices.iter().map(|gpu| gpu.counters().buffer_bytes).collect();
        let mut parallel = start((net.clone(), how.clone(), &data), options, devices).unwrap();
        for (lane, held) in parallel.memory().iter().enumerate() {
            let created = devices[lane].counters().buffer_bytes - before[lane];
            assert_eq!(held.total(), created, "lane {lane}: {held:?}");
        }
        parallel.record(recorded);
        let losses: Vec<f32> = parallel.run(0..2).unwrap().iter().map(|step| step.loss).collect();
        for (lane, commands) in parallel.commands().unwrap().iter().enumerate() {
            let Some(timeline) = parallel.timeline() else { continue };
            let is_pass = |span: &&Span| span.lane == lane && span.activity.is_compute();
            let passes = timeline.spans.iter().filter(is_pass).count();
            assert_eq!(passes, 2 * commands.passes(), "lane {lane}");
        }
        (bits(&losses), state_bits(parallel.state()))
    };
    let target = lanes(1)[0].target();
    let subgroup = target.subgroup;
    let (strips, columns, halves) = (3, 8, false);
    let of = |memory| Tiling::Registers { subgroup, strips, columns, halves, memory };
    if !(target.reads_words() && of(Memory::Texels).runs_with(subgroup, true, target.texels)) {
        let mut graph = Graph::new();
        let (x, w) = (graph.input("x", [256, 64]).unwrap(), graph.input("w", [64, 512]).unwrap());
        let y = graph.matmul(x, w).unwrap();
        let plan = Plan::new(&graph, &[y], &target).unwrap();
        assert!(!plan.to_string().contains("texels"), "{plan}");
        return;
    }
    let tiled = |count, memory| -> Vec<Gpu> {
        lanes(count).into_iter().map(|gpu| gpu.tiled(Some(of(memory)))).collect()
    };
    let without = trained(Schedule::Serial, &tiled(1, Memory::Words), false);
    for (schedule, count) in
        [(Schedule::Serial, 1), (Schedule::data_parallel(), 2), (Schedule::pipeline(), 2)]
    {
        let devices = tiled(count, Memory::Texels);
        assert!(trained(schedule.clone(), &devices, true) == without, "{schedule:?}");
    }
}
