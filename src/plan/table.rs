//! A plan as a table for people.

use std::fmt;

use super::{Place, Plan};
use crate::graph::{Pass, Tensor};

impl Plan {
    fn operands(&self, tensors: &[Tensor]) -> String {
        let shapes =
            tensors.iter().filter_map(|&t| self.info(t)).map(|info| info.shape.to_string());
        shapes.collect::<Vec<_>>().join(", ")
    }

    fn bytes(&self, tensors: &[Tensor]) -> u64 {
        tensors.iter().filter_map(|&t| self.info(t)).map(|info| info.shape.bytes() as u64).sum()
    }

    fn places(&self, tensors: &[Tensor]) -> String {
        let names = tensors.iter().map(|&t| match self.place(t) {
            Place::Slot(slot) => format!("slot {slot}"),
            Place::Input(number) => format!("input {number}"),
            Place::Constant(number) => format!("constant {number}"),
            Place::Parameter(number) => format!("parameter {number}"),
            Place::Gradient(number) => format!("gradient {number}"),
            Place::Result(column) => format!("result {column}"),
            Place::Nowhere => "-".into(),
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

/// One line per dispatch: level, pass, kernel, shapes read and written, where the result lies,
/// workgroups, and bytes read and written; then the memory, why matrix products are tiled and their
/// sums split as they are, and, if it is a trainer's, which kernels train in fact.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["level", "pass", "kernel", "reads", "writes", "to", "groups", "bytes"];
        let rows: Vec<[String; 8]> = self
            .dispatches()
            .iter()
            .map(|d| {
                // The update moves all parameters at once: arenas, not tensors.
                let arenas =
                    (d.pass == Pass::Update && d.writes.is_empty()).then(|| self.arena().bytes());
                let or = |text: String, of_all: &str| {
                    if arenas.is_some() { of_all.into() } else { text }
                };
                let bytes = self.bytes(&d.reads)
                    + self.bytes(&d.writes)
                    + arenas.map_or(0, |bytes| 3 * bytes);
                [
                    d.level.to_string(),
                    d.pass.name().into(),
                    d.launch.name.clone(),
                    or(self.operands(&d.reads), "all gradients"),
                    or(self.operands(&d.writes), "all parameters"),
                    or(self.places(&d.writes), "in place"),
                    d.launch.workgroups.to_string(),
                    bytes.to_string(),
                ]
            })
            .collect();
        let mut widths = header.map(|title| title.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut line = |cells: [&str; 8]| {
            let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())
        };
        line(header)?;
        for row in &rows {
            line(row.each_ref().map(String::as_str))?;
        }
        let memory = self.memory();
        writeln!(
            f,
            "{} dispatches in {} levels; intermediate tensors: {} bytes in {} buffers ({} bytes without reuse); \
             parameters: {} bytes",
            self.dispatches().len(),
            self.dispatches().last().map_or(0, |d| d.level + 1),
            memory.bytes(),
            memory.slots.len(),
            memory.bytes_without_reuse,
            self.arena().bytes(),
        )?;
        let mut reasons: Vec<String> = Vec::new();
        for choice in self.choices() {
            let reason = format!("{}: {}", choice.tiling, choice.why);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        if !reasons.is_empty() {
            writeln!(f, "matrix products in tiles of {}", reasons.join("; "))?;
        }
        let mut splits: Vec<String> = Vec::new();
        for choice in self.choices() {
            let split = choice.split.map(|why| format!("{} parts: {why}", choice.parts));
            splits.extend(split.filter(|split| !splits.contains(split)));
        }
        if !splits.is_empty() {
            writeln!(f, "sums in {}", splits.join("; "))?;
        }
        match &self.trains_with {
            Some(kernels) => writeln!(f, "kernels: {kernels}"),
            None => Ok(()),
        }
    }
}
