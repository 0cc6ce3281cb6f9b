//! A plan as a table for people.

use std::fmt;

use super::{AdapterClass, Dispatch, Place, Plan};
use crate::graph::{DType, Tensor};

impl Plan {
    fn operands(&self, tensors: &[Tensor]) -> String {
        let shapes = tensors.iter().filter_map(|&t| self.info(t)).map(|info| match info.dtype {
            DType::F16 => format!("{} f16", info.shape),
            DType::F32 | DType::U32 => info.shape.to_string(),
        });
        shapes.collect::<Vec<_>>().join(", ")
    }

    /// Invocations of `dispatch`, beside those that fill the device if it is a GPU.
    fn fill(&self, dispatch: &Dispatch) -> String {
        let invocations = dispatch.launch.invocations().unwrap_or(0);
        match self.target().class {
            AdapterClass::Gpu => format!("{invocations}/{}", self.target().filled_by),
            AdapterClass::Software => invocations.to_string(),
        }
    }

    fn places(&self, tensors: &[Tensor]) -> String {
        let names = tensors.iter().map(|&t| match self.place(t) {
            Place::Slot(slot) => format!("slot {slot}"),
            Place::Input(number) => format!("input {number}"),
            Place::Constant(number) => format!("constant {number}"),
            Place::Parameter(number) => format!("parameter {number}"),
            Place::Gradient(number) => format!("gradient {number}"),
            Place::Copy(number) => format!("copy {number}"),
            Place::Result(column) => format!("result {column}"),
            Place::Nowhere => "-".into(),
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

/// One line per dispatch: level, pass, kernel, shapes read and written, where the result lies, workgroups, their
/// invocations (on a GPU beside those that fill it), and bytes read and written; then the memory, why matrix products
/// are tiled and their sums split as they are, and, if it is a trainer's, which kernels train in fact.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header =
            ["level", "pass", "kernel", "reads", "writes", "to", "groups", "fill", "bytes"];
        // Where some parameters stay, an update moves a part of them.
        let whole = self.bytes_moved() == self.arena().bytes();
        let all = |what: &str| format!("{} {what}", if whole { "all" } else { "trained" });
        let rows: Vec<[String; 9]> = self
            .dispatches()
            .iter()
            .map(|d| {
                let or = |text: String, of_all: &str| {
                    if d.moves_arenas() { of_all.into() } else { text }
                };
                [
                    d.level.to_string(),
                    d.pass.name().into(),
                    d.launch.name.clone(),
                    or(self.operands(&d.reads), &all("gradients")),
                    or(self.operands(&d.writes), &all("parameters")),
                    or(self.places(&d.writes), "in place"),
                    d.launch.workgroups.to_string(),
                    self.fill(d),
                    self.bytes(d).to_string(),
                ]
            })
            .collect();
        let mut widths = header.map(|title| title.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut line = |cells: [&str; 9]| {
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
        if self.target().class == AdapterClass::Gpu {
            writeln!(f, "for a GPU that {} invocations fill", self.target().filled_by)?;
        }
        if let Some(loss_scale) = self.precision().loss_scale() {
            let copies = self.arena().bytes() / 2;
            writeln!(
                f,
                "f16: stored in 16 bits, gradients of activations times {loss_scale}; beside the parameters their copies: \
                 {copies} bytes"
            )?;
        }
        match &self.trains_with {
            Some(kernels) => writeln!(f, "kernels: {kernels}"),
            None => Ok(()),
        }
    }
}
