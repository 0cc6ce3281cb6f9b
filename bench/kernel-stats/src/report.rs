//! What was found, as a table and as JSON.

use serde::{Deserialize, Serialize};

use crate::assembly::{Mix, hottest_loop};
use crate::banks::Cycles;
use crate::model::{DEVICES, Estimate, Known};
use crate::vulkan::{Answer, Compiled};
use crate::workload::Workload;

/// A kernel of a workload, as the driver compiled it for a family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub workload: String,
    pub kernel: String,
    pub family: String,
    /// Registers of an invocation, where the driver says.
    pub vgprs: Option<f64>,
    pub spilled: f64,
    /// Bytes of workgroup memory.
    pub lds: f64,
    /// Subgroups that fit a SIMD.
    pub waves: f64,
    pub instructions: f64,
    pub subgroup: u32,
    /// Multiply-adds per vector instruction in the hottest loop, if it has any.
    pub fma_share: Option<f64>,
    /// In that loop: vector instructions, checks, loads, waits.
    pub mix: Option<[usize; 4]>,
    pub workgroups: u64,
    /// Invocations beside those that fill the device that the plan is for.
    pub fill: f64,
    /// Cycles of reads of workgroup memory per slab of 16 terms and 64 invocations, of products.
    pub conflicts: Option<u32>,
}

/// A workload's step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub workload: String,
    pub dispatches: usize,
    /// Modelled microseconds by device.
    pub modelled: Vec<(String, f64)>,
    /// Measured microseconds, where there is a device.
    pub measured: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The driver, by name and version.
    pub driver: String,
    pub kernels: Vec<Row>,
    pub workloads: Vec<Step>,
}

/// A figure of a driver by one of its names.
fn figure(compiled: &Compiled, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|&name| compiled.figures.get(name)).copied()
}

/// What the model takes of a kernel.
pub fn known(compiled: &Compiled, cycles: [Option<Cycles>; 2]) -> Known {
    Known {
        hottest: hottest_loop(&compiled.assembly),
        cycles,
        waves: figure(compiled, &["Subgroups per SIMD"]).unwrap_or(8.0),
    }
}

/// The rows of `workload`.
pub fn rows(
    workload: &Workload,
    family: &str,
    answer: &Answer,
    cycles: &[[Option<Cycles>; 2]],
) -> Vec<Row> {
    let row = |dispatch: &crate::workload::Dispatch| {
        let compiled = &answer.compiled[dispatch.kernel];
        let mix = hottest_loop(&compiled.assembly);
        Row {
            workload: workload.name.clone(),
            kernel: dispatch.name.clone(),
            family: family.into(),
            vgprs: figure(compiled, &["VGPRs"]),
            spilled: figure(compiled, &["Spilled VGPRs", "Spill count"]).unwrap_or(0.0),
            lds: figure(compiled, &["LDS size"]).unwrap_or(0.0),
            waves: figure(compiled, &["Subgroups per SIMD"]).unwrap_or(0.0),
            instructions: figure(compiled, &["Instructions", "Instruction Count"]).unwrap_or(0.0),
            subgroup: compiled.subgroup,
            fma_share: mix.map(|mix| (1e4 * mix.share()).round() / 1e4),
            mix: mix.map(|m: Mix| [m.vector, m.checks, m.loads, m.waits]),
            workgroups: dispatch.workgroups,
            fill: (1e4 * dispatch.invocations as f64 / workload.filled_by as f64).round() / 1e4,
            conflicts: cycles[dispatch.kernel][0].map(|cycles| cycles.reads),
        }
    };
    workload.dispatches.iter().map(row).collect()
}

/// Prints rows of one family, a line for each kernel of a workload.
pub fn print(rows: &[Row]) {
    let Some(first) = rows.first() else { return };
    println!("\n{}, {}", first.workload, first.family);
    println!(
        "{:<72} {:>6} {:>5} {:>7} {:>6} {:>5} {:>6} {:>9} {:>7} {:>5} {:>5} {:>5} {:>9}",
        "kernel",
        "groups",
        "VGPR",
        "spilled",
        "LDS",
        "waves",
        "fill",
        "FMA share",
        "of VALU",
        "check",
        "loads",
        "waits",
        "LDS reads"
    );
    let or = |number: Option<f64>| number.map_or("-".into(), |n| n.to_string());
    for row in rows {
        let share = row.fma_share.map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
        let mix = row.mix.map_or([const { String::new() }; 4], |mix| mix.map(|n| n.to_string()));
        let name: String = row.kernel.chars().take(72).collect();
        println!(
            "{name:<72} {:>6} {:>5} {:>7} {:>6} {:>5} {:>6.2} {share:>9} {:>7} {:>5} {:>5} {:>5} {:>9}",
            row.workgroups,
            or(row.vgprs),
            row.spilled,
            row.lds,
            row.waves,
            row.fill,
            mix[0],
            mix[1],
            mix[2],
            mix[3],
            or(row.conflicts.map(f64::from)),
        );
    }
}

/// Prints what the model says of a workload on each device, planned for it.
pub fn print_estimates(name: &str, estimates: &[(usize, f64, Estimate)]) {
    println!("\n{name}: microseconds of a step by the model, not measured");
    println!(
        "{:<12} {:>10} {:>8} {:>9} {:>9} {:>7} {:>18}",
        "device", "dispatches", "step", "launches", "products", "others", "fewest waves/SIMD"
    );
    for ((dispatches, waves, e), device) in estimates.iter().zip(&DEVICES) {
        println!(
            "{:<12} {dispatches:>10} {:>8.1} {:>9.1} {:>9.1} {:>7.1} {waves:>18.2}",
            device.name, e.whole, e.launches, e.products, e.others
        );
    }
}
