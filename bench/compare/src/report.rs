//! The rows of a comparison: as a table and as JSON.

use std::path::Path;

use bench_common::protocol::Description;
use serde::Serialize;

use crate::figures::{Spread, is_rate};

/// The peer that the others are compared with.
pub const SUBJECT: &str = "wgrad";

/// One peer's figure for one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub workload: String,
    pub peer: String,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub unit: String,
    pub rounds: usize,
    /// The last loss, or the mean magnitude of what was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<f64>,
    /// Of the adapter's own peak, for products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_peak: Option<f64>,
    pub version: String,
    pub adapter: String,
    pub driver: String,
}

/// What is the same in every row of a run.
#[derive(Clone, Debug)]
pub struct Place {
    pub adapter: String,
    pub driver: String,
}

impl Row {
    pub fn new(
        place: &Place,
        workload: &str,
        (peer, description): (&str, &Description),
        values: &[f64],
        unit: &str,
        check: Option<f64>,
    ) -> Self {
        let Spread { median, min, max } = Spread::of(values);
        Self {
            workload: workload.into(),
            peer: peer.into(),
            median,
            min,
            max,
            unit: unit.into(),
            rounds: values.len(),
            check,
            share_of_peak: None,
            version: description.version.clone(),
            adapter: place.adapter.clone(),
            driver: place.driver.clone(),
        }
    }
}

/// How many times better wgrad does than `row`: faster, or in less time.
pub fn advantage(rows: &[Row], row: &Row) -> Option<f64> {
    let mut of_workload = rows.iter().filter(|other| other.workload == row.workload);
    let subject = of_workload.find(|other| other.peer == SUBJECT)?;
    let ratio = subject.median / row.median;
    Some(if is_rate(&row.unit) { ratio } else { ratio.recip() })
}

/// Sets the shares of the peak that was measured beside the products.
pub fn relate_to_peak(rows: &mut [Row]) {
    let peak = rows.iter().find(|row| row.workload == "W4 peak").map(|row| row.median);
    for row in rows.iter_mut().filter(|row| row.unit == "GFLOP/s") {
        row.share_of_peak = peak.map(|peak| row.median / peak);
    }
}

pub fn print_header() {
    println!(
        "{:<24}{:<11}{:>11}{:>11}{:>11}  {:<9}{:>9}{:>9}",
        "workload", "peer", "median", "min", "max", "unit", "wgrad x", "of peak"
    );
}

pub fn print_row(row: &Row, advantage: Option<f64>) {
    let ratio = match advantage {
        Some(ratio) if row.peer != SUBJECT => format!("{ratio:.2}"),
        _ => String::new(),
    };
    let share = row.share_of_peak.map(|share| format!("{:.0}%", share * 100.0));
    println!(
        "{:<24}{:<11}{:>11}{:>11}{:>11}  {:<9}{ratio:>9}{:>9}",
        row.workload,
        row.peer,
        digits(row.median),
        digits(row.min),
        digits(row.max),
        row.unit,
        share.unwrap_or_default()
    );
}

/// Four significant digits.
fn digits(value: f64) -> String {
    let magnitude = value.abs().max(1e-9).log10().floor() as i32;
    format!("{value:.*}", (3 - magnitude).clamp(0, 6) as usize)
}

/// Writes the rows as an array of objects, one per line.
pub fn write_json(path: &Path, rows: &[Row]) -> Result<(), String> {
    let lines: Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
    let text = format!("[\n{}\n]\n", lines.map_err(|error| error.to_string())?.join(",\n"));
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
