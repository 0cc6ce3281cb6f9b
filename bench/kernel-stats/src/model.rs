//! An estimate of what a step takes on a device, of what a compiler made of its kernels. A model: no figure of it
//! was measured. It takes it that
//!
//! - dispatches run one after another, and starting one takes [`LAUNCH`];
//! - the loops of products are, instruction by instruction, what AMD's compiler made for the family that is looked at;
//! - a vector instruction keeps a SIMD for two cycles per 64 invocations, multiply-adds for one where two issue at once;
//! - workgroup memory answers as `banks.rs` says, one after another the SIMDs that share it;
//! - a loop that loads ahead waits for what of the latency is longer than its turn, another one whenever it waits for what
//!   it has loaded; both only as long as no other subgroup can go on, of which as many are resident as registers allow;
//! - the tensors that a dispatch reads and writes cross memory once, and no faster than 16 bytes of each of its
//!   invocations in the time in which memory answers;
//! - each turn of a whole-step kernel's loops takes as long as one of its hottest loop, whose subgroups share the SIMDs
//!   of one processor; a workgroup alone takes so many steps in a dispatch that starting it counts for nothing.
//!
//! Caches, clocks that fall, turns of the general kernels' other loops and the ends of kernels are left out.

use crate::assembly::Mix;
use crate::banks::{Cycles, TOGETHER};
use crate::workload::{Dispatch, Workload};

/// Microseconds to start a dispatch: WebGPU's barriers and the driver; 3 to 10 are usual.
pub const LAUNCH: f64 = 5.0;

/// A GPU, by its maker's figures.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    pub name: &'static str,
    pub simds: f64,
    pub gigahertz: f64,
    /// SIMDs that share a workgroup memory, and the number among [`TOGETHER`] of invocations that it serves at a time.
    pub sharing: f64,
    pub together: usize,
    /// Whether multiply-adds issue two at once.
    pub dual: bool,
    /// 10⁹ bytes a second.
    pub bandwidth: f64,
    /// Cycles until memory answers.
    pub latency: f64,
    /// Invocations that fill it: four subgroups for each SIMD.
    pub filled_by: usize,
}

pub const DEVICES: [Device; 6] = [
    device("RX 6800", 120.0, 2.1, 2.0, false, 512.0, 250.0, 64),
    device("RX 7900 XTX", 192.0, 2.4, 2.0, true, 960.0, 280.0, 64),
    device("RTX 3060", 112.0, 1.78, 4.0, false, 360.0, 280.0, 32),
    device("RTX 4090", 512.0, 2.52, 4.0, false, 1008.0, 300.0, 32),
    device("Radeon 780M", 24.0, 2.6, 2.0, true, 90.0, 300.0, 64),
    device("Apple M2", 40.0, 1.4, 4.0, false, 100.0, 250.0, 32),
];

#[expect(clippy::too_many_arguments, reason = "a row of a table")]
const fn device(
    name: &'static str,
    simds: f64,
    gigahertz: f64,
    sharing: f64,
    dual: bool,
    bandwidth: f64,
    latency: f64,
    subgroup: usize,
) -> Device {
    let filled_by = simds as usize * 4 * subgroup;
    let together = if subgroup == 64 { 0 } else { 1 };
    Device { name, simds, gigahertz, sharing, together, dual, bandwidth, latency, filled_by }
}

/// What the model needs to know of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub hottest: Option<Mix>,
    /// By the numbers of [`TOGETHER`].
    pub cycles: [Option<Cycles>; 2],
    /// Subgroups that fit a SIMD.
    pub waves: f64,
}

/// Microseconds of a step, and what of them are dispatches starting, products and others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    pub whole: f64,
    pub launches: f64,
    pub products: f64,
    pub others: f64,
}

/// The estimate of `workload` on `device`; `known` by the numbers of kernels.
pub fn estimate(device: &Device, workload: &Workload, known: &[Known]) -> Estimate {
    let mut sum = Estimate::default();
    for dispatch in &workload.dispatches {
        let memory = memory(device, dispatch);
        if let Some(step) = whole_step(device, dispatch, &known[dispatch.kernel]) {
            sum.launches += if dispatch.workgroups == 1 { 0.0 } else { LAUNCH };
            sum.others += step;
            continue;
        }
        sum.launches += LAUNCH;
        match product(device, dispatch, &known[dispatch.kernel]) {
            Some(product) => sum.products += product.max(memory),
            None => sum.others += memory,
        }
    }
    Estimate { whole: sum.launches + sum.products + sum.others, ..sum }
}

/// Microseconds in which memory moves the tensors of a dispatch.
fn memory(device: &Device, dispatch: &Dispatch) -> f64 {
    // 10⁹ bytes a second, as bytes by nanoseconds are.
    let asked = 16.0 * dispatch.invocations as f64 / (device.latency / device.gigahertz);
    dispatch.bytes as f64 / (1e3 * device.bandwidth.min(asked))
}

/// Subgroups of 64 for each SIMD.
pub fn waves_per_simd(device: &Device, dispatch: &Dispatch) -> f64 {
    dispatch.invocations as f64 / 64.0 / device.simds
}

/// Vector instructions that one subgroup issues in a turn, in cycles.
fn issued(device: &Device, mix: &Mix) -> f64 {
    let of_multiply_add = if device.dual { 1.0 } else { 2.0 };
    2.0 * (mix.vector - mix.multiply_adds) as f64 + of_multiply_add * mix.multiply_adds as f64
}

/// Cycles in which workgroup memory answers a subgroup's turn, without conflicts where nothing is known of them.
fn answered(device: &Device, mix: &Mix, known: &Known) -> f64 {
    let times = (64 / TOGETHER[0] >> device.together) as u32;
    let cycles = known.cycles[device.together]
        .unwrap_or(Cycles { reads: times * mix.reads as u32, writes: times * mix.writes as u32 });
    f64::from(cycles.reads + cycles.writes)
}

/// Microseconds of a step in a whole-step kernel.
fn whole_step(device: &Device, dispatch: &Dispatch, known: &Known) -> Option<f64> {
    let mix = known.hottest?;
    let turns = dispatch.turns? as f64;
    let subgroups = (dispatch.invocations as f64 / dispatch.workgroups as f64 / 64.0).ceil();
    let (issued, answered) = (issued(device, &mix), answered(device, &mix, known));
    let alone = issued + answered + device.latency * mix.rounds_of_loads as f64;
    let turn = alone.max((subgroups / device.sharing).ceil() * issued).max(subgroups * answered);
    Some(turns * turn / (1e3 * device.gigahertz))
}

/// Microseconds of a product's loops.
fn product(device: &Device, dispatch: &Dispatch, known: &Known) -> Option<f64> {
    let [sums, terms] = dispatch.product?.map(f64::from);
    let mix = known.hottest?;
    let turns = (sums * terms / mix.multiply_adds as f64).ceil();
    let (issued, answered) = (issued(device, &mix), answered(device, &mix, known));
    let waited = match mix.loads_ahead {
        true => (device.latency - issued).max(0.0),
        false => device.latency * mix.rounds_of_loads as f64,
    };
    let alone = issued + waited;
    let waves = waves_per_simd(device, dispatch);
    // Some SIMDs have a subgroup more than others.
    let most = if waves < 3.0 { waves.ceil().max(1.0) } else { waves };
    let shared = device.sharing * answered * waves.min(1.0).max(most.min(waves));
    let rounds = (most / known.waves.max(1.0)).max(1.0);
    let turn = (most * issued).max(shared).max(alone * rounds);
    Some(turns * turn / (1e3 * device.gigahertz))
}

#[test]
fn a_device_without_work_waits_and_a_full_one_issues() {
    let mix = Mix {
        vector: 600,
        multiply_adds: 512,
        reads: 48,
        writes: 3,
        loads: 3,
        loads_ahead: true,
        ..Mix::default()
    };
    let known = [Known { hottest: Some(mix), cycles: [None; 2], waves: 8.0 }];
    let of = |invocations| {
        let dispatch = Dispatch {
            kernel: 0,
            name: "matmul".into(),
            product: Some([32, 1024]),
            turns: None,
            workgroups: 1,
            invocations,
            bytes: 0,
        };
        let workload =
            Workload { name: "product".into(), dispatches: vec![dispatch], filled_by: 1 };
        estimate(&DEVICES[0], &workload, &known).products
    };
    let one = of(120 * 64);
    // 64 turns of 1200 cycles at 2.1 GHz.
    assert!((one - 64.0 * 1200.0 / 2.1e3).abs() < 1e-9, "{one}");
    assert_eq!(of(64), one, "others are idle");
    assert_eq!(of(4 * 120 * 64), 4.0 * one, "four subgroups issue one after another");
}
