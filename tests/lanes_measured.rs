//! What lanes say of themselves: what overlaps, barriers, memory, and what recording costs.

use std::sync::Arc;

use crate::common;
use crate::common::{device, fresh, lanes};
use crate::support::parallel::start;
use wgrad::Gpu;
use wgrad::data::Dataset;
use wgrad::lanes::Schedule;
use wgrad::lanes::timeline::{Activity, ClockSource, Span, Timeline};
use wgrad::lanes::{Parallel, ParallelOptions};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::plan::{AdapterClass, Barriers};
use wgrad::train::{Residency, TrainingConfig};

const WIDTH: usize = 24;

fn data(rows: usize) -> Arc<Dataset> {
    let features: Vec<f32> =
        (0..rows * WIDTH).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(WIDTH).map(|row| row.iter().sum::<f32>().tanh()).collect();
    Arc::new(Dataset::regression(features, WIDTH, targets, 1).unwrap())
}

fn net(layers: usize) -> Sequential {
    (1..layers).fold(Sequential::new(WIDTH), |net, _| net.dense(WIDTH).relu()).dense(1).seed(7)
}

fn training(layers: usize, rows: usize, options: ParallelOptions, lanes: &[Gpu]) -> Parallel {
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(1e-3));
    start((net(layers), how, &data(rows)), options, lanes).unwrap()
}

/// Some steps, recorded when everything is compiled.
fn recorded(mut parallel: Parallel) -> Timeline {
    parallel.run(0..2).unwrap();
    parallel.record(true);
    parallel.run(0..parallel.batches()).unwrap();
    parallel.timeline().unwrap().clone()
}

fn spans(timeline: &Timeline, activity: Activity, step: u64) -> Vec<&Span> {
    let is_it = |span: &&Span| span.activity == activity && span.step == step;
    timeline.spans.iter().filter(is_it).collect()
}

fn is_software() -> bool {
    common::gpu().target().class == AdapterClass::Software
}

#[test]
fn the_next_batch_is_uploaded_while_the_device_computes() {
    for schedule in [Schedule::Serial, Schedule::Overlapped] {
        let mut options = ParallelOptions::new(512, 4, schedule.clone());
        options.residency = Residency::Streamed;
        let timeline = recorded(training(6, 4096, options, &lanes(1)));
        let ClockSource::Gpu { uncertainty } = timeline.clock else {
            // By the host's clock each pass is waited for, and nothing can overlap.
            let metal = common::gpu().info().backend == wgpu::Backend::Metal;
            assert!(metal || std::env::var("WGRAD_TEST_DEVICE").is_ok(), "timestamps are missing");
            continue;
        };
        let early = (3..10).filter(|&step| {
            let begun = spans(&timeline, Activity::Upload, step)[0].start;
            let updates = spans(&timeline, Activity::Update, step - 1);
            begun + uncertainty < updates.iter().map(|span| span.end).fold(0.0, f64::max)
        });
        // A busy machine may keep the host from it for once, a GPU may be done before.
        let early = early.count();
        let overlapped = schedule == Schedule::Overlapped;
        assert!(
            (early > 0) == overlapped || overlapped && !is_software(),
            "{schedule:?}: {early}\n{timeline}"
        );
    }
}

#[test]
fn lanes_work_side_by_side() {
    for schedule in [Schedule::pipeline(), Schedule::data_parallel()] {
        let options = ParallelOptions::new(128, 16, schedule.clone());
        let timeline = recorded(training(16, 512, options, &lanes(2)));
        let overlap = timeline.overlap();
        // A GPU may take the queues of two logical devices in turns.
        assert!(overlap > 0.1 || !is_software(), "{schedule:?}: {overlap}\n{timeline}");
        assert!(overlap <= timeline.busy(0).min(timeline.busy(1)), "{schedule:?}: {timeline}");
    }
    // One lane has nobody to overlap with.
    let options = ParallelOptions::new(128, 16, Schedule::Overlapped);
    assert_eq!(recorded(training(4, 512, options, &lanes(1))).overlap(), 0.0);
}

#[test]
fn a_lane_without_timestamps_makes_all_times_the_host_s() {
    let (device, queue) = device::plain_device();
    let lanes = [fresh(), Gpu::from_device(&device, &queue)];
    for schedule in [Schedule::pipeline(), Schedule::data_parallel()] {
        let options = ParallelOptions::new(32, 4, schedule.clone());
        let timeline = recorded(training(4, 128, options, &lanes));
        assert_eq!(timeline.clock, ClockSource::Host, "{schedule:?}");
        assert!(timeline.to_string().contains("(host times, each pass waited for)"), "{timeline}");
        for lane in 0..2 {
            assert!(timeline.busy(lane) > 0.0 && timeline.seconds(lane, Activity::Update) > 0.0);
        }
    }
}

/// Six layers: per micro-batch a barrier for each level, as a layer's weight gradient stands beside its
/// input gradient; then sums and update. Differentiation lists them so, and the graph's own order is
/// as good. Counted on a device without a driver, for which every plan is the same.
#[test]
fn barriers_of_a_six_layer_net() {
    let barriers = |schedule, micro_batches, count: usize| {
        let options = ParallelOptions::new(32, micro_batches, schedule);
        let noop = |_| {
            let (device, queue) = wgpu::Device::noop(&Default::default());
            Gpu::from_device(&device, &queue)
        };
        let lanes: Vec<Gpu> = (0..count).map(noop).collect();
        training(6, 64, options, &lanes).barriers().unwrap()
    };
    let count = |by_level, naive, one_at_a_time| Barriers { by_level, naive, one_at_a_time };
    let one = barriers(Schedule::Overlapped, 1, 1);
    assert_eq!(one, [count(15, 15, 27)]);
    let four = barriers(Schedule::Overlapped, 4, 1);
    assert_eq!(four, [count(60, 60, 103)]);
    // Serial and overlapped record the same; a stage has some of the layers, and a replica some of the
    // micro-batches.
    assert_eq!(barriers(Schedule::Serial, 4, 1), four);
    for schedule in [Schedule::pipeline(), Schedule::data_parallel()] {
        for lane in barriers(schedule.clone(), 4, 2) {
            assert!(lane.by_level < four[0].by_level, "{schedule:?}: {lane:?}");
            assert!(lane.by_level <= lane.naive && lane.naive < lane.one_at_a_time, "{lane:?}");
        }
    }
}

#[test]
fn lanes_say_what_they_hold_to_the_byte() {
    for (schedule, count) in [
        (Schedule::Serial, 1),
        (Schedule::Overlapped, 1),
        (Schedule::pipeline(), 3),
        (Schedule::DataParallel { shares: vec![3, 2] }, 2),
    ] {
        for residency in [Residency::Resident, Residency::Streamed] {
            let lanes = lanes(count);
            let before: Vec<u64> = lanes.iter().map(|gpu| gpu.counters().buffer_bytes).collect();
            // A last batch with fewer rows, and micro-batches of several sizes.
            let mut options = ParallelOptions::new(40, 5, schedule.clone());
            options.residency = residency;
            let mut parallel = training(6, 143, options, &lanes);
            let check = |parallel: &Parallel| {
                for (lane, held) in parallel.memory().iter().enumerate() {
                    let created = lanes[lane].counters().buffer_bytes - before[lane];
                    assert_eq!(held.total(), created, "lane {lane} of {schedule:?}: {held:?}");
                    assert!(held.activations > 0 && held.sums > 0 && held.tables > 0, "{held:?}");
                }
            };
            check(&parallel);
            parallel.run(0..4).unwrap();
            check(&parallel);
        }
    }
}

/// What a run of four steps makes the devices do, and whether it was recorded.
fn counted(parallel: &mut Parallel) -> (Vec<[u64; 5]>, bool) {
    let lanes = parallel.lanes();
    let before: Vec<_> = lanes.iter().map(Gpu::counters).collect();
    parallel.run(0..4).unwrap();
    let counts = lanes.iter().zip(before).map(|(gpu, before)| {
        let done = gpu.counters() - before;
        let moved = [done.bytes_uploaded, done.bytes_read_back];
        [done.submissions, done.dispatches, moved[0], moved[1], done.bind_groups]
    });
    (counts.collect(), parallel.timeline().is_some())
}

#[test]
fn recording_off_does_what_never_recording_does() {
    for (schedule, count) in
        [(Schedule::Serial, 1), (Schedule::pipeline(), 2), (Schedule::data_parallel(), 2)]
    {
        let options = ParallelOptions::new(32, 4, schedule.clone());
        let mut parallel = training(6, 128, options, &lanes(count));
        parallel.run(0..4).unwrap();
        let never = counted(&mut parallel);
        parallel.record(true);
        let recorded = counted(&mut parallel);
        parallel.record(false);
        let off = counted(&mut parallel);
        assert!(!never.1 && recorded.1 && never.0 != recorded.0, "{schedule:?}: {recorded:?}");
        assert_eq!(never, off, "{schedule:?}");
    }
}

/// The list of a step says what a step does: its submissions and dispatches are those that the devices
/// count.
#[test]
fn lanes_do_what_their_commands_say() {
    for (schedule, count) in [
        (Schedule::Serial, 1),
        (Schedule::Overlapped, 1),
        (Schedule::pipeline(), 3),
        (Schedule::data_parallel(), 2),
        (Schedule::DataParallel { shares: vec![3, 0, 2] }, 3),
    ] {
        for micro_batches in [1, 5] {
            let mut options = ParallelOptions::new(32, micro_batches, schedule.clone());
            options.buckets = 3;
            let mut parallel = training(6, 128, options, &lanes(count));
            let commands = parallel.commands().unwrap();
            parallel.run(0..1).unwrap();
            for (done, commands) in counted(&mut parallel).0.iter().zip(&commands) {
                let said = [commands.submissions(), commands.dispatches()].map(|n| 4 * n as u64);
                assert_eq!(done[..2], said, "{schedule:?}, {micro_batches}: {commands}");
            }
            // There is room for the times of every pass.
            parallel.record(true);
            parallel.run(0..3).unwrap();
            let timeline = parallel.timeline().unwrap();
            for (lane, commands) in commands.iter().enumerate() {
                let is_pass = |span: &&Span| span.lane == lane && span.activity.is_compute();
                let passes = timeline.spans.iter().filter(is_pass).count();
                assert_eq!(passes, 3 * commands.passes(), "{schedule:?}, {micro_batches}");
            }
        }
    }
    let options = ParallelOptions::new(32, 2, Schedule::Overlapped);
    let commands = training(2, 64, options, &lanes(1)).commands().unwrap();
    let names: Vec<String> = commands[0]
        .to_string()
        .lines()
        .map(|line| line.split(':').next().unwrap_or_default().to_string())
        .collect();
    let wanted = [
        "upload rows 0..32",
        "forward 0",
        "backward 0",
        "copy scalars 0",
        "store block 0, buckets 0..1",
        "forward 1",
        "backward 1",
        "copy scalars 1",
        "add block 0, buckets 0..1",
        "store block 0, buckets 0..1",
        "update",
        "stage report with state",
        "submit",
        "read report",
    ];
    assert_eq!(names[..names.len() - 1], wanted, "{}", commands[0]);
}
