//! The device's timestamps and its clock.

use approx::{abs_diff_eq, assert_abs_diff_eq};
use std::time::Instant;

use crate::common;
use pollster::block_on;
use proptest::prelude::*;
use wgrad::Gpu;
use wgrad::gpu::{Bracket, DeviceClock, Timestamps};
use wgrad::wgpu;

fn has_timestamps(gpu: &Gpu) -> bool {
    gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
}

/// A kernel that takes a while; each run waits for the one before.
struct Work {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
}

impl Work {
    fn new(gpu: &Gpu) -> Self {
        let device = gpu.device();
        let source = "@group(0) @binding(0) var<storage, read_write> x: array<f32>;
            @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
                var y = x[id.x];
                for (var i = 0; i < 2000; i++) { y = y * 1.0001 + 1.0; }
                x[id.x] = y;
            }";
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let x = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4 * 64 * 64,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: x.as_entire_binding() }],
        });
        Self { pipeline, bind_group }
    }

    /// Submits passes `passes`, each with its timestamps and `dispatches` dispatches.
    fn submit(
        &self,
        gpu: &Gpu,
        timestamps: &Timestamps,
        passes: std::ops::Range<u32>,
        dispatches: u32,
    ) {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        for pass in passes {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: timestamps.writes(pass),
            });
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.bind_group, &[]);
            for _ in 0..dispatches {
                pass.dispatch_workgroups(64, 1, 1);
            }
        }
        gpu.queue().submit([encoder.finish()]);
    }
}

fn seconds_since(origin: Instant) -> f64 {
    origin.elapsed().as_secs_f64()
}

/// The device's clock and room for `passes` passes, or nothing if it has no timestamps: then the test
/// is that it says so.
fn timed(gpu: &Gpu, origin: Instant, passes: u32) -> Option<(DeviceClock, Timestamps)> {
    let clock = block_on(DeviceClock::calibrate(gpu, origin)).expect("a calibration");
    let timestamps = block_on(Timestamps::new(gpu, passes)).expect("room");
    // Metal writes none for the empty passes by which the clock is set.
    let metal = gpu.info().backend == wgpu::Backend::Metal;
    assert!(
        clock.is_some() == has_timestamps(gpu) || clock.is_none() && metal,
        "timestamps that cannot be times"
    );
    assert_eq!(timestamps.is_some(), has_timestamps(gpu));
    clock.zip(timestamps)
}

fn read(timestamps: &mut Timestamps, passes: u32, clock: &DeviceClock) -> Vec<Option<(f64, f64)>> {
    block_on(timestamps.read(passes, clock)).expect("timestamps")
}

#[test]
fn devices_of_ours_have_timestamps_where_their_adapters_do() {
    let gpu = Gpu::new_blocking().expect("a device");
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapters = block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let offers =
        |adapter: &wgpu::Adapter| adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY);
    let same = |adapter: &&wgpu::Adapter| adapter.get_info() == *gpu.info();
    let adapter = adapters.iter().find(same).expect("the device's adapter");
    assert_eq!(has_timestamps(&gpu), offers(adapter));
}

#[test]
fn a_device_without_the_feature_has_no_timestamps() {
    let (device, queue) = common::device::plain_device();
    let gpu = Gpu::from_device(&device, &queue);
    assert!(timed(&gpu, Instant::now(), 4).is_none());
}

#[test]
fn a_device_that_writes_no_times_has_no_clock() {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor {
        required_features: wgpu::Features::TIMESTAMP_QUERY,
        ..Default::default()
    });
    let gpu = Gpu::from_device(&device, &queue);
    assert!(block_on(Timestamps::new(&gpu, 1)).expect("room").is_some());
    assert_eq!(block_on(DeviceClock::calibrate(&gpu, Instant::now())).expect("an answer"), None);
}

#[test]
fn passes_run_one_after_the_other_within_the_host_s_times() {
    let gpu = common::gpu();
    let origin = Instant::now();
    let Some((clock, mut timestamps)) = timed(&gpu, origin, 8) else { return };
    let work = Work::new(&gpu);
    // Twice: numbers can be used again.
    for _ in 0..2 {
        let before = seconds_since(origin);
        for pass in 0..8 {
            let dispatches = if pass % 2 == 0 { 1 } else { 8 };
            work.submit(&gpu, &timestamps, pass..pass + 1, dispatches);
        }
        let times = read(&mut timestamps, 8, &clock);
        let after = seconds_since(origin);
        let times: Vec<(f64, f64)> = times.into_iter().map(|time| time.expect("a time")).collect();
        assert!(times.iter().all(|(start, end)| start <= end), "{times:?}");
        assert!(times.is_sorted_by(|a, b| a.1 <= b.0), "{times:?}");
        let (first, last) = (times[0].0, times[7].1);
        let slack = clock.uncertainty();
        assert!(slack > 0.0 && slack.is_finite());
        assert!(before - slack <= first, "begun {first} s, submitted after {before} s");
        assert!(last <= after + slack, "done {last} s, read before {after} s");
        // Eight times the work takes longer. Least times: others use this machine too.
        let least = |odd: usize| {
            let these = times.iter().skip(odd).step_by(2);
            these.map(|(start, end)| end - start).fold(f64::INFINITY, f64::min)
        };
        assert!(least(1) > 2.0 * least(0), "{times:?}");
    }
}

#[test]
fn devices_share_an_axis() {
    let origin = Instant::now();
    let lanes = [common::gpu(), Gpu::new_blocking().expect("a device")];
    let lanes = lanes.map(|gpu| timed(&gpu, origin, 1).map(|timed| (Work::new(&gpu), gpu, timed)));
    let [Some(a), Some(b)] = lanes else { return };
    let (mut lanes, mut last) = ([a, b], 0.0);
    for turn in 0..6 {
        let (work, gpu, (clock, timestamps)) = &mut lanes[turn % 2];
        work.submit(gpu, timestamps, 0..1, 1);
        let (start, end) = read(timestamps, 1, clock)[0].expect("a time");
        assert!(last <= start + clock.uncertainty(), "{last} s before {start} s");
        last = end - clock.uncertainty();
    }
}

#[test]
fn more_passes_than_a_query_set_holds() {
    let gpu = common::gpu();
    let Some((clock, mut timestamps)) = timed(&gpu, Instant::now(), 2050) else { return };
    assert_eq!(timestamps.passes(), 2050);
    assert!(timestamps.writes(2050).is_none());
    let error = block_on(timestamps.read(2051, &clock)).expect_err("no room");
    assert!(error.to_string().contains("2051"), "{error}");
    assert_eq!(read(&mut timestamps, 0, &clock), []);

    let work = Work::new(&gpu);
    let written = [0, 2047, 2048, 2049];
    for pass in written {
        work.submit(&gpu, &timestamps, pass..pass + 1, 1);
    }
    let counted = gpu.counters();
    let times = read(&mut timestamps, 2050, &clock);
    let made = gpu.counters() - counted;
    assert_eq!((made.submissions, made.buffers), (1, 0));
    let ran = (0..).zip(&times).filter(|(_, time)| time.is_some()).map(|(pass, _)| pass);
    assert_eq!(ran.collect::<Vec<u32>>(), written);
    let times: Vec<_> = times.into_iter().flatten().collect();
    assert!(times.is_sorted_by(|a, b| a.1 <= b.0), "{times:?}");
    // Of a part, too.
    assert_eq!(read(&mut timestamps, 2049, &clock).iter().flatten().count(), 3);
    assert_eq!(read(&mut timestamps, 2048, &clock).iter().flatten().count(), 2);
    assert_eq!(read(&mut timestamps, 1, &clock).iter().flatten().count(), 1);
}

#[test]
fn clocks_that_cannot_be_are_none() {
    let bracket = |before, begin, end, after| Bracket { before, begin, end, after };
    let fit = |brackets: &[Bracket]| DeviceClock::fit(Instant::now(), 1e-9, brackets);
    let (first, second) =
        (bracket(1.0, 5000, 5200, 1.001), bracket(1.002, 2_005_000, 2_005_100, 1.003));
    assert!(fit(&[first, second]).is_some());
    assert!(fit(&[]).is_none(), "no bracket");
    let zero = Bracket { begin: 0, end: 0, ..first };
    assert!(fit(&[zero]).is_none(), "never written");
    assert!(fit(&[zero, zero]).is_none(), "never written");
    assert!(fit(&[first, zero]).is_none(), "not written again");
    assert!(fit(&[second, first]).is_none(), "backwards from pass to pass");
    assert!(fit(&[Bracket { begin: 5200, end: 5000, ..first }, second]).is_none(), "backwards");
    let still = Bracket { before: 1.002, after: 1.003, ..first };
    assert!(fit(&[first, still]).is_none(), "a clock that stands still");
    let fast = bracket(1.002, 90_000_000, 90_000_100, 1.003);
    assert!(fit(&[first, fast]).is_none(), "90 ms on the device during 3 ms of the host's");
    for period in [0.0, -1e-9, f64::NAN, f64::INFINITY] {
        assert!(DeviceClock::fit(Instant::now(), period, &[first, second]).is_none());
    }
    let odd = Bracket { before: f64::NAN, after: f64::NAN, ..first };
    assert!(fit(&[odd]).is_none(), "no times of the host's");
}

#[test]
fn times_that_cannot_be_are_none() {
    // Counts nanoseconds since 1970: floats would lose some.
    let base = 1_800_000_000_123_456_789;
    let bracket = Bracket { before: 2.0, begin: base, end: base + 1000, after: 2.000_001 };
    let clock = DeviceClock::fit(Instant::now(), 1e-9, &[bracket]).expect("a clock");
    let (start, end) = clock.times((base + 1_000_000, base + 1_000_001), 3.0).expect("times");
    assert!(abs_diff_eq!(start, 2.001, epsilon = 1e-8), "{start}");
    assert_abs_diff_eq!(end - start, 1e-9, epsilon = 1e-15);
    assert_abs_diff_eq!(clock.at(base - 1_000_000_000), 1.0, epsilon = 1e-8);
    assert_eq!(clock.times((base, base), 3.0).map(|(start, end)| end - start), Some(0.0));
    for (ticks, why) in [
        ((0, 0), "never written"),
        ((base, 0), "no end"),
        ((0, base), "no begin"),
        ((base + 2, base + 1), "backwards"),
        ((base - 1, base + 1), "before the calibration"),
        ((base, base + 1_100_000_000), "after it was read"),
        ((u64::MAX, u64::MAX), "far after"),
    ] {
        assert_eq!(clock.times(ticks, 3.0), None, "{why}");
    }
}

proptest! {
    #[test]
    fn clocks_are_off_by_their_uncertainty_at_most(
        start in 0.0..10_f64,
        base in 1..u64::MAX / 2,
        period in prop_oneof![Just(1e-9), Just(1.0 / 24e6), Just(83.333e-9), Just(1e-4)],
        gaps in proptest::collection::vec((1e-6..1e-3_f64, 1e-6..1e-3_f64, 1e-6..1e-3_f64), 1..12),
    ) {
        // The device ticks at `base` when the host's time is `start`, and no tick is in between.
        let tick = |time: f64| base + ((time - start) / period).floor() as u64;
        let (mut now, mut brackets) = (start, Vec::new());
        for (queued, runs, noticed) in gaps {
            // Long enough for the coarsest clock to move.
            now += 10.0 * period;
            let before = now;
            let (begin, end) = (tick(before + queued), tick(before + queued + runs));
            now += queued + runs + noticed;
            brackets.push(Bracket { before, begin, end, after: now });
        }
        let clock = DeviceClock::fit(Instant::now(), period, &brackets).expect("a clock");
        let error = (clock.at(base) - start).abs();
        prop_assert!(error <= clock.uncertainty() + 1e-12, "off by {error}: {clock:?}");
        let widths = brackets.iter().map(|b| b.after - b.before - (b.end - b.begin) as f64 * period);
        let tightest = widths.fold(f64::INFINITY, f64::min);
        prop_assert!(clock.uncertainty() <= tightest / 2.0 + period + 1e-12);
    }
}

/// Polls `future` so often at most, and drops it.
fn give_up<F: Future>(future: F, polls: usize) {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..polls {
        if future.as_mut().poll(&mut context).is_ready() {
            return;
        }
    }
}

/// A read that is given up anywhere takes nothing along: the next one has the times of all passes.
#[test]
fn reads_that_are_given_up_can_be_read_again() {
    let gpu = common::gpu();
    let Some((clock, mut timestamps)) = timed(&gpu, Instant::now(), 8) else { return };
    let work = Work::new(&gpu);
    for polls in [0, 1, 1, 1, 2, 3, 5, 1000] {
        work.submit(&gpu, &timestamps, 0..8, 40);
        for passes in [8, 3, 8] {
            give_up(timestamps.read(passes, &clock), polls);
        }
        let before = gpu.counters();
        let times = block_on(timestamps.read(8, &clock)).unwrap();
        assert!(times.len() == 8 && times.iter().all(Option::is_some), "{polls} polls: {times:?}");
        assert_eq!((gpu.counters() - before).buffers, 0, "{polls} polls");
    }
}

/// Nor does a calibration.
#[test]
fn calibrations_that_are_given_up_can_be_made_again() {
    let gpu = common::gpu();
    for polls in [0, 1, 1, 2, 3, 5, 8, 13] {
        give_up(DeviceClock::calibrate(&gpu, Instant::now()), polls);
        timed(&gpu, Instant::now(), 1);
    }
}
