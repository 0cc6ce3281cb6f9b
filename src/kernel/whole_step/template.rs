//! Rendering the whole-step kernels for a net.

use super::jinja::{self, Value};
use super::{Dense, Held, MOST_STEPS, Net};
use crate::graph::rule::MOST_FIGURES;
use crate::graph::{Count, Unary};
use crate::kernel::activation::FUNCTIONS;
use crate::kernel::reflect::{self, Binding};
use crate::kernel::source::source;
use crate::kernel::{PRELUDE, Part, part, rule};
use crate::{Error, Result};

macro_rules! template {
    ($name:literal) => {
        &Part { name: $name, source: source!(concat!($name, ".wgsl.jinja")) }
    };
}

/// The templates that others include.
pub(super) const INCLUDED: [&Part; 5] = [
    template!("whole_step/run"),
    template!("whole_step/sums"),
    template!("whole_step/update"),
    template!("whole_step/registers_loss"),
    template!("whole_step/memory_loss"),
];

impl Net {
    /// The file that is rendered.
    pub(super) fn template(&self) -> &'static Part {
        match self.held {
            Held::Registers => template!("whole_step/registers"),
            Held::Memory => template!("whole_step/memory"),
        }
    }

    /// The bindings that the kernel declares.
    pub fn bindings(&self) -> Vec<Binding> {
        let mut parts = vec![self.template()];
        parts.extend(INCLUDED);
        parts.push(rule::of_numbers(self.rule));
        let mut bindings = reflect::bindings(&parts);
        // The results lie in the memory, if there is one. Targets are declared for both of their types.
        bindings.retain(|binding| self.held == Held::Registers || binding.name != "results");
        bindings.dedup_by_key(|binding| binding.index);
        bindings
    }

    /// The kernel's WGSL.
    ///
    /// # Errors
    /// [`Error::Shape`] if the net has no layer; [`Error::Bug`] if a template lacks a formula.
    pub fn source(&self) -> Result<String> {
        let included = INCLUDED.map(|part| (part.name, part.source));
        let text = jinja::render(self.template().source, &included, self.given()?)
            .map_err(|error| Error::bug(format!("a whole-step kernel does not render: {error}")))?;
        let mut parts = vec![PRELUDE.source];
        parts.extend(FUNCTIONS.map(|part| part.source));
        if self.clip {
            parts.push(part!("shared/norm").source);
        }
        if self.held == Held::Memory {
            let rows: &Part = match self.invocations {
                _ if !self.subgroups => part!("matmul/rows_alone"),
                4 => part!("matmul/rows_subgroup_4"),
                _ => part!("matmul/rows_subgroup_8"),
            };
            parts.extend([part!("matmul/block").source, rows.source]);
            if self.words {
                parts.push(part!("shared/words").source);
            }
        }
        parts.extend([rule::of_numbers(self.rule).source, self.rule.row().formula.source]);
        parts.push(&text);
        Ok(reflect::announced(&parts))
    }

    /// What the template is given.
    pub(super) fn given(&self) -> Result<Vec<(&'static str, Value)>> {
        if self.layers.is_empty() {
            return Err(Error::shape(
                "whole-step kernel",
                "a net without layers; give it at least one",
            ));
        }
        let mut given = self.given_to_both();
        given.extend(match self.held {
            Held::Registers => self.given_to_registers()?,
            Held::Memory => self.given_to_memory(),
        });
        Ok(given)
    }

    fn given_to_both(&self) -> Vec<(&'static str, Value)> {
        let figures: Vec<&str> = self.rule.figures().iter().map(|figure| figure.name).collect();
        let masks: Vec<usize> =
            (0..self.invocations.trailing_zeros()).map(|bit| 1 << bit).collect();
        vec![
            ("in_memory", (self.held == Held::Memory).into()),
            ("invocations", self.invocations.into()),
            ("subgroups", self.subgroups.into()),
            ("inputs", self.inputs.into()),
            ("classes", self.loss.takes_classes().into()),
            ("loss", self.loss.name().into()),
            ("counts", self.counts.iter().map(|&c| count_name(c)).collect::<Vec<_>>().into()),
            ("figures", figures.into()),
            ("most_figures", MOST_FIGURES.into()),
            ("states", self.rule.states().into()),
            ("clip", self.clip.into()),
            ("masks", masks.into()),
            ("exchange", (self.exchange() / 4).into()),
            ("tree", tree(0, self.invocations, "").into()),
            ("most_steps", MOST_STEPS.into()),
        ]
    }

    fn given_to_memory(&self) -> Vec<(&'static str, Value)> {
        let function = |&function: &Unary| {
            let (forward, derivative) = formulas(function);
            let fields = [("function", forward.into()), ("derivative", derivative.into())];
            Value::Record(fields.into())
        };
        vec![
            ("words", self.words.into()),
            ("shared", (self.workgroups > 1).into()),
            ("functions", self.functions().iter().map(function).collect::<Vec<_>>().into()),
            (
                "saves_inputs",
                self.functions().iter().any(|function| !function.grad_from_output()).into(),
            ),
            ("layers", self.layers.len().into()),
            ("outputs", self.output_width().into()),
            ("parameters", self.parameter_fours().into()),
            ("first_parameter", self.first_parameter().into()),
            ("totals", self.totals().into()),
            ("strips", self.strips().into()),
            ("across", self.across().into()),
            ("elementwise", self.loss.is_elementwise().into()),
        ]
    }

    fn given_to_registers(&self) -> Result<Vec<(&'static str, Value)>> {
        let layers = self.widths().enumerate();
        let layers: Vec<Value> =
            layers.map(|(l, (inputs, layer))| self.layer(l, inputs, layer)).collect();
        let Some((out, hidden)) = layers.split_last() else {
            return Err(Error::shape(
                "whole-step kernel",
                "a net without layers; give it at least one",
            ));
        };
        let names: Vec<String> = (0..self.layers.len()).flat_map(|l| self.names(l)).collect();
        let replicated = format!("{}_b_", hidden.len());
        let own_names: Vec<String> =
            names.iter().filter(|name| !name.starts_with(&replicated)).cloned().collect();
        Ok(vec![
            ("samples", self.samples.into()),
            ("input_slots", self.slots(self.inputs).into()),
            (
                "target_width",
                if self.loss.takes_classes() { 1 } else { self.output_width() }.into(),
            ),
            ("hidden", hidden.to_vec().into()),
            ("out", out.clone()),
            ("layers", layers.into()),
            ("own_names", own_names.into()),
            ("names", names.into()),
            ("tree_of", tree(0, self.invocations, "[c]").into()),
        ])
    }

    /// The names of an invocation's parameters of layer `l`, row by row, then the biases; without what tells
    /// weights, gradients and states apart.
    fn names(&self, l: usize) -> Vec<String> {
        let (rows, columns) = self.own(l);
        let of_row = |row: String| (0..columns).map(move |column| format!("{l}_{row}_{column}"));
        (0..rows).map(|row| row.to_string()).chain(["b".into()]).flat_map(of_row).collect()
    }

    fn layer(&self, l: usize, inputs: usize, layer: &Dense) -> Value {
        let last = l + 1 == self.layers.len();
        let saved = match (layer.activation, last) {
            (Some(function), false) if function.grad_from_output() => "h",
            (Some(function), true) if function.grad_from_output() => "p",
            (_, false) => "z",
            (_, true) => "y",
        };
        let (rows, columns) = self.own(l);
        let (function, derivative) = layer.activation.map(formulas).unzip();
        Value::Record(
            [
                ("l", l.into()),
                ("inputs", inputs.into()),
                ("units", layer.units.into()),
                ("slots", self.slots(layer.units).into()),
                ("input_slots", self.slots(inputs).into()),
                ("weights_at", layer.weights_at.into()),
                ("bias_at", layer.bias_at.into()),
                ("rows", rows.into()),
                ("columns", columns.into()),
                ("names", self.names(l).into()),
                ("activated", layer.activation.is_some().into()),
                ("function", function.into()),
                ("derivative", derivative.into()),
                ("saved", saved.into()),
            ]
            .into(),
        )
    }
}

/// A function of `x` and its derivative from `saved`. Its parameter is a literal here; as a constant to be
/// overridden it would have the whole module validated twice.
fn formulas(function: Unary) -> (String, String) {
    let row = function.row();
    let with_parameter = |formula: &str| match function.parameter() {
        Some((_, value)) => formula.replace("PARAMETER", &format!("{value:?}")),
        None => formula.into(),
    };
    (with_parameter(row.value), with_parameter(row.slope()))
}

fn count_name(count: Count) -> &'static str {
    match count {
        Count::Correct => "correct",
        Count::CorrectBinary => "correct_binary",
        Count::CorrectProbabilities => "correct_probabilities",
        Count::AbsoluteError => "absolute_error",
        Count::SquaredError => "squared_error",
    }
}

/// The sum of `count` entries of the exchange (or of a component of them) from `at + first` on:
/// neighbours, pairs, fours ….
fn tree(first: usize, count: usize, component: &str) -> String {
    match count / 2 {
        0 => format!("exchange[at + {first}u]{component}"),
        half => {
            format!("({} + {})", tree(first, half, component), tree(first + half, half, component))
        }
    }
}
