//! Rendering the resident kernel for a net.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};

use super::{Dense, MOST_STEPS, Net};
use crate::graph::{Count, Unary, UpdateRule};
use crate::kernel::reflect::{self, Binding};
use crate::kernel::{PRELUDE, Part, elementwise, part};
use crate::{Error, Result};

const TEMPLATE: &Part =
    &Part { name: "resident", source: include_str!("../../../shaders/resident.wgsl.jinja") };
const LOSS: &str = include_str!("../../../shaders/resident_loss.wgsl.jinja");

/// Whether there is a template to render.
pub(crate) const IS_PRESENT: bool = true;

impl Net {
    /// The bindings that the kernel declares.
    pub fn bindings(&self) -> Vec<Binding> {
        let mut bindings = reflect::bindings(&[TEMPLATE]);
        // The template declares targets for both of their types.
        bindings.dedup_by_key(|binding| binding.index);
        bindings.retain(|binding| binding.index < 7 + self.rule.states() as u32);
        bindings
    }

    /// The kernel's WGSL.
    ///
    /// # Errors
    /// [`Error::Shape`] if the net has no layer.
    pub fn source(&self) -> Result<String> {
        let error = |error: minijinja::Error| Error::shape("resident kernel", format!("{error:#}"));
        let Some((last, hidden)) = self.layers.len().checked_sub(1).map(|last| (last, 0..last))
        else {
            return Err(Error::shape("resident kernel", "a net without layers"));
        };
        let mut templates = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        templates.set_syntax(syntax.map_err(error)?);
        templates.add_template("resident", TEMPLATE.source).map_err(error)?;
        templates.add_template("resident_loss", LOSS).map_err(error)?;
        let layers: Vec<Value> = self
            .widths()
            .enumerate()
            .map(|(l, (inputs, layer))| self.layer(l, inputs, layer))
            .collect();
        let names: Vec<String> = (0..self.layers.len()).flat_map(|l| self.names(l)).collect();
        let replicated = format!("{last}_b_");
        let own_names: Vec<String> =
            names.iter().filter(|name| !name.starts_with(&replicated)).cloned().collect();
        let (rule, variant) = match self.rule {
            UpdateRule::Sgd { .. } => ("sgd", false),
            UpdateRule::Momentum { nesterov, .. } => ("momentum", nesterov),
            UpdateRule::Adam { decoupled, .. } => ("adam", decoupled),
        };
        let classes = self.loss.takes_classes();
        let masks: Vec<usize> = (0..self.lanes.trailing_zeros()).map(|bit| 1 << bit).collect();
        let text = templates
            .get_template("resident")
            .and_then(|template| {
                template.render(context! {
                    lanes => self.lanes,
                    subgroups => self.subgroups,
                    samples => self.samples,
                    inputs => self.inputs,
                    input_slots => self.slots(self.inputs),
                    target_width => if classes { 1 } else { self.output_width() },
                    classes,
                    hidden => layers.get(hidden).unwrap_or_default().to_vec(),
                    out => layers.get(last).cloned().unwrap_or_default(),
                    layers,
                    own_names,
                    names,
                    loss => self.loss.name(),
                    counts => self.counts.iter().map(|&c| count_name(c)).collect::<Vec<_>>(),
                    rule,
                    variant,
                    states => self.rule.states(),
                    clip => self.clip,
                    masks,
                    exchange => self.exchange() / 4,
                    tree => tree(0, self.lanes, ""),
                    tree_of => tree(0, self.lanes, "[c]"),
                    most_steps => MOST_STEPS,
                })
            })
            .map_err(error)?;
        // Slopes are literals here; as a constant to be overridden, the file's would have the whole
        // module validated twice.
        let activation = elementwise::ACTIVATION.source.replace("override SLOPE", "const SLOPE");
        let parts = [PRELUDE.source, part!("log1p").source, &activation, &text];
        Ok(reflect::announced(&parts))
    }

    /// The names of a lane's parameters of layer `l`, row by row, then the biases; without what tells
    /// weights, gradients and states apart.
    fn names(&self, l: usize) -> Vec<String> {
        let (rows, columns) = self.held(l);
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
        context! {
            l,
            inputs,
            units => layer.units,
            slots => self.slots(layer.units),
            input_slots => self.slots(inputs),
            weights_at => layer.weights_at,
            bias_at => layer.bias_at,
            rows => self.held(l).0,
            columns => self.held(l).1,
            names => self.names(l),
            activated => layer.activation.is_some(),
            function => layer.activation.map(|f| formulas(f).0),
            derivative => layer.activation.map(|f| formulas(f).1),
            saved,
        }
    }
}

/// A function of `x` and its derivative from `saved`, in the words of `activation.wgsl`; its
/// `activate` would bring the code of all functions to each of many calls.
fn formulas(function: Unary) -> (String, String) {
    let (forward, derivative) = match function {
        Unary::Relu => ("select(x, 0.0, x < 0.0)", "select(0.0, 1.0, saved > 0.0)"),
        Unary::LeakyRelu { slope } => {
            return (
                format!("select({slope:?} * x, x, x > 0.0)"),
                format!("select({slope:?}, 1.0, saved > 0.0)"),
            );
        }
        Unary::Sigmoid => ("sigmoid(x)", "saved * (1.0 - saved)"),
        Unary::Tanh => ("hyperbolic_tangent(x)", "(1.0 - saved) * (1.0 + saved)"),
        Unary::Gelu => ("x * normal_distribution(x)", "gelu_grad(saved)"),
        Unary::GeluTanh => ("x * sigmoid(2.0 * gelu_tanh_inner(x))", "gelu_tanh_grad(saved)"),
        Unary::Exp => ("exp(x)", "saved"),
        Unary::Log => ("natural_log(x)", "1.0 / saved"),
        Unary::Sqrt => ("sqrt(x)", "0.5 / saved"),
        Unary::Reciprocal => ("1.0 / x", "-saved * saved"),
        Unary::Square => ("x * x", "2.0 * saved"),
        Unary::Abs => ("abs(x)", "sign(saved)"),
    };
    (forward.into(), derivative.into())
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
