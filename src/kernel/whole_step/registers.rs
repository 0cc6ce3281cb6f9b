//! The training kernel for small nets: many mini-batches in one dispatch of one workgroup. Weights,
//! gradients and the optimizer's state stay in variables of the invocations from the first step to the last;
//! forward, loss, backward and update follow each other without leaving them. Every weight is a variable with
//! a name of its own, since arrays that are indexed in a loop fall out of the registers; so the kernel's `main`
//! is written here for a stack of dense layers, section by section, each in a file of its own.
//!
//! Who holds what. There are INVOCATIONS invocations. Unit j of a hidden layer belongs to invocation
//! j % INVOCATIONS, slot j / INVOCATIONS; with it its bias, its activations and
//!   - the weights by which it sees its inputs (hidden layers): `w<layer>_<input>_<slot>`; inputs are
//!     spread from the invocations that hold them;
//!   - the weights by which the output layer sees it: `w<layer>_<slot>_<output>`; an output is a sum over
//!     invocations that ends in every invocation, and so are the loss and its gradient.
//!
//! So a net with one hidden layer needs no other exchange, neither forward nor backward. On GPUs there are several teams
//! of INVOCATIONS, each with all parameters; a team has rows of its own, and before the update all add up what they found.
//! `g…` is the
//! gradient of `w…`; `s1_…`, `s2_…` are the optimizer's states. Slots beyond a layer's units hold zeros, which
//! nothing moves. What is of one row of several ends in its number, `…_<row>`.

mod backward;
mod forward;
mod loss;
mod moving;
mod rows;
mod teams;
mod update;

use super::writer::{Writer, line, list};
use super::{Dense, Net, formulas};

/// The net with what its sections want to know.
struct Kernel<'n> {
    net: &'n Net,
    hidden: Vec<Layer<'n>>,
    out: Layer<'n>,
}

/// A layer as an invocation has it.
struct Layer<'n> {
    /// Its number.
    l: usize,
    inputs: usize,
    dense: &'n Dense,
    /// Units, and inputs, that an invocation holds.
    slots: usize,
    input_slots: usize,
    /// Weights that an invocation holds, besides a row of biases.
    rows: usize,
    columns: usize,
    /// What the derivative of its activation is computed from: the beginning of a variable's name.
    saved: String,
}

/// The activations, and the kernel's `main`.
pub(super) fn source(net: &Net) -> String {
    let Some(kernel) = Kernel::of(net) else { return String::new() };
    let mut w = Writer::new();
    kernel.write_activations(&mut w);
    kernel.write_head(&mut w);
    kernel.write_load(&mut w);
    line!(w, "// What went wrong in an earlier step, or 0; and in which of these, plus one.");
    line!(w, "var halted_by = status[0];");
    line!(w, "var halted_at = 0u;");
    w.blank();
    line!(w, "for (var t = 0u; t < run.steps; t++) {{");
    kernel.write_step(&mut w);
    line!(w, "}}");
    w.blank();
    kernel.write_store(&mut w);
    let reports = kernel.of_one_team("(invocation == 0u) & (halted_at != 0u)");
    line!(w, "if {reports} {{");
    line!(w, "report(halted_at - 1u, halted_by);");
    line!(w, "}}");
    line!(w, "}}");
    w.text()
}

impl<'n> Kernel<'n> {
    /// Of a net that has layers.
    fn of(net: &'n Net) -> Option<Self> {
        let layers = net.widths().enumerate();
        let mut hidden: Vec<Layer> =
            layers.map(|(l, (inputs, dense))| Layer::of(net, l, inputs, dense)).collect();
        let out = hidden.pop()?;
        Some(Self { net, hidden, out })
    }

    fn layers(&self) -> impl Iterator<Item = &Layer<'n>> {
        self.hidden.iter().chain([&self.out])
    }

    /// The names of all parameters of an invocation.
    fn names(&self) -> Vec<String> {
        self.layers().flat_map(Layer::names).collect()
    }

    /// The numbers of the optimizer's states.
    fn states(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.net.rule.states()
    }

    /// Rows that a turn of the loop over a batch takes.
    fn samples(&self) -> std::ops::Range<usize> {
        0..self.net.samples
    }

    /// fₗ, and its derivative from what was saved of it, its output or its input.
    fn write_activations(&self, w: &mut Writer) {
        for layer in self.layers() {
            if let Some(function) = layer.dense.activation {
                let (l, (value, derivative)) = (layer.l, formulas(function));
                line!(w, "fn f{l}(x: f32) -> f32 {{ return {value}; }}");
                line!(w, "fn slope{l}(saved: f32) -> f32 {{ return {derivative}; }}");
                w.blank();
            }
        }
    }

    /// A step: the gradients of a batch's rows, a few at a time, and the update.
    fn write_step(&self, w: &mut Writer) {
        line!(w, "let record = run.records[t];");
        for name in self.names() {
            line!(w, "var g{name} = 0.0;");
        }
        line!(w, "var loss = 0.0;");
        for n in 0..self.net.counts.len() {
            line!(w, "var count{n} = 0.0;");
        }
        w.blank();
        // Rows beyond the batch repeat its last one, with an error of 0.
        match (self.net.samples, self.net.teams) {
            (samples, 1) => {
                line!(w, "for (var first = 0u; first < record.rows; first += {samples}u) {{");
            }
            (samples, teams) => {
                line!(w, "// Rows of a team, in pairs.");
                let pairs = format!("(record.rows + {}u) / {}u", 2 * teams - 1, 2 * teams);
                line!(w, "let share = {pairs} * 2u;");
                line!(w, "for (var turn = 0u; turn < share; turn += {samples}u) {{");
                line!(w, "let first = team * share + turn;");
            }
        }
        self.write_rows(w);
        for layer in &self.hidden {
            self.write_forward(w, layer);
        }
        self.write_outputs(w);
        self.write_loss(w);
        self.write_backward_of_outputs(w);
        for layer in self.hidden.iter().rev() {
            self.write_backward(w, layer);
        }
        line!(w, "}}");
        w.blank();
        self.write_totals_of_teams(w);
        self.write_update(w);
    }

    /// Where unit `slot·INVOCATIONS + invocation` of `units` is, held within the layer.
    fn unit(&self, slot: usize, units: usize) -> String {
        let first = slot * self.net.invocations;
        match first + self.net.invocations > units {
            true => format!("min({first}u + invocation, {}u)", units - 1),
            false => format!("{first}u + invocation"),
        }
    }

    /// `x`, or 0 for invocations whose slot is beyond `units`.
    fn padded(&self, x: &str, slot: usize, units: usize) -> String {
        let first = slot * self.net.invocations;
        match first + self.net.invocations > units {
            true => format!("select(0.0, {x}, {first}u + invocation < {units}u)"),
            false => x.into(),
        }
    }
}

impl<'n> Layer<'n> {
    fn of(net: &Net, l: usize, inputs: usize, dense: &'n Dense) -> Self {
        let last = l + 1 == net.layers.len();
        // Outputs after the activation, or before it.
        let saved = match dense.activation {
            Some(function) if function.grad_from_output() => {
                if last {
                    "p"
                } else {
                    "h"
                }
            }
            _ => {
                if last {
                    "y"
                } else {
                    "z"
                }
            }
        };
        let saved = if last { saved.into() } else { format!("{saved}{l}_") };
        let (rows, columns) = net.own(l);
        let (slots, input_slots) = (net.slots(dense.units), net.slots(inputs));
        Self { l, inputs, dense, slots, input_slots, rows, columns, saved }
    }

    /// The names of an invocation's parameters of the layer, row by row, then the biases; without what tells
    /// weights, gradients and states apart.
    fn names(&self) -> Vec<String> {
        let Self { l, rows, columns, .. } = *self;
        let of_row = |row: String| (0..columns).map(move |column| format!("{l}_{row}_{column}"));
        (0..rows).map(|row| row.to_string()).chain(["b".into()]).flat_map(of_row).collect()
    }

    /// The activation of the variable `z`.
    fn activated(&self, z: &str) -> String {
        match self.dense.activation {
            Some(_) => format!("f{}({z})", self.l),
            None => z.into(),
        }
    }

    /// ` * ` the slope of the activation, of what was saved under `name`; nothing without one.
    fn times_slope(&self, name: &str) -> String {
        match self.dense.activation {
            Some(_) => format!(" * slope{}({}{name})", self.l, self.saved),
            None => String::new(),
        }
    }
}

/// Lines that add the products of all pairs to the variable `sum`, in their order, eight to a line: written
/// from the last one inwards, `fma(a1, b1, fma(a0, b0, sum))`.
fn add_products(w: &mut Writer, sum: &str, pairs: &[(String, String)]) {
    for block in pairs.chunks(8) {
        let with = |sum: String, (a, b): &(String, String)| format!("fma({a}, {b}, {sum})");
        let sums = block.iter().fold(sum.into(), with);
        line!(w, "{sum} = {sums};");
    }
}

/// Four names from `4·q` on of `count`, as a vector with zeros beyond the last.
fn four(q: usize, count: usize, name: impl Fn(usize) -> String) -> String {
    let numbers = list(4, |c| {
        let n = 4 * q + c;
        if n < count { name(n) } else { "0.0".into() }
    });
    format!("vec4<f32>({numbers})")
}
