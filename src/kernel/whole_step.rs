//! The training kernels for small nets: many mini-batches in one dispatch of one workgroup. Weights,
//! gradients and the optimizer's state stay in the registers of its invocations (`whole_step/registers.rs`), or in memory if
//! they are too many (`whole_step/memory.wgsl`), where several workgroups may share the rows of a mini-batch and
//! take a dispatch for each. Both are put together for a [`Net`] from files under `shaders/` and from what is made
//! for it ([`Text`]); in registers every weight is a variable with a name of its own, so the `main` is made too.

mod exchange;
mod made;
mod memory;
mod registers;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use memory::{LayerOffsets, Memory};
pub use text::Text;

use super::needs::Needs;
use crate::graph::{Count, Loss, Unary, UpdateRule};

/// Steps in one submission, at most; the table of records is a uniform of 32 KiB.
pub const MOST_STEPS: usize = 1024;

/// Words of workgroup memory that every device has.
pub const WORKGROUP_WORDS: usize = 4096;

/// Where a net's numbers are while it trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// In the invocations' registers.
    Registers,
    /// In a buffer.
    Memory,
}

/// What the kernel is made for.
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    /// Invocations of a workgroup; a power of two from 4 to 64.
    pub invocations: usize,
    /// Whether the invocations are one subgroup that exchanges numbers by subgroup operations, rather than
    /// through workgroup memory. The bits are the same.
    pub subgroups: bool,
    /// Where the numbers are.
    pub held: Held,
    /// Whether memory is read in integers of 64 bits, as [`Target`](crate::plan::Target) has it.
    pub words: bool,
    /// Rows that a turn of the loop over a batch takes, if they are in registers.
    pub samples: usize,
    /// Groups of so many invocations in a workgroup, each with all parameters in its registers and rows of its own; 1
    /// if numbers are in memory.
    pub teams: usize,
    /// Workgroups that share the rows of a batch. One alone runs many steps in a dispatch; more, only with
    /// numbers in memory, a step. Their number is not part of the code.
    pub workgroups: usize,
    /// Features per row.
    pub inputs: usize,
    /// Dense layers, the output's last.
    pub layers: Vec<Dense>,
    /// The loss.
    pub loss: Loss,
    /// The sums for metrics.
    pub counts: Vec<Count>,
    /// The update rule; its figures are not part of the code.
    pub rule: UpdateRule,
    /// Whether gradients are clipped by their norm.
    pub clip: bool,
}

/// A dense layer with the activation that follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dense {
    /// Number of units.
    pub units: usize,
    /// The activation, if there is one.
    pub activation: Option<Unary>,
    /// Where its weights (inputs × units) begin in the arenas, in words.
    pub weights_at: u64,
    /// Where its biases begin.
    pub bias_at: u64,
}

impl Net {
    /// Each layer with the width of its inputs.
    fn widths(&self) -> impl Iterator<Item = (usize, &Dense)> {
        self.layers
            .iter()
            .scan(self.inputs, |width, layer| Some((std::mem::replace(width, layer.units), layer)))
    }

    /// Units that an invocation holds of `width`.
    fn slots(&self, width: usize) -> usize {
        width.div_ceil(self.invocations)
    }

    /// Parameters that an invocation holds, each a variable of the kernel.
    pub fn variables(&self) -> usize {
        let of_layer = |l| {
            let (rows, columns) = self.own(l);
            (rows + 1) * columns
        };
        (0..self.layers.len()).map(of_layer).sum()
    }

    /// Numbers that an invocation holds at once: its parameters, their gradients, the optimizer's state, and of so many
    /// rows what a layer that spreads over invocations reads.
    pub fn numbers_in_registers(&self) -> usize {
        let hidden = self.layers.len().saturating_sub(1);
        let widest = self.widths().take(hidden).map(|(inputs, _)| inputs).max().unwrap_or(0);
        self.variables() * (2 + self.rule.states()) + self.samples * widest
    }

    /// Multiply-adds of a step over `rows` rows, of all invocations together.
    pub fn multiply_adds(&self, rows: usize) -> u64 {
        let products = |(l, (inputs, layer)): (usize, (usize, &Dense))| {
            // Forward, weight gradient, and except for the first layer the gradient of the inputs.
            (inputs * layer.units * if l == 0 { 2 } else { 3 }) as u64
        };
        self.widths().enumerate().map(products).sum::<u64>().saturating_mul(rows as u64)
    }

    /// 1 / items of a batch of `rows` rows: losses are means over them.
    pub fn share(&self, rows: usize) -> f32 {
        let per_row = if self.loss.is_elementwise() { self.output_width() } else { 1 };
        (1.0 / (rows * per_row).max(1) as f64) as f32
    }

    /// Turns of the kernel's loops for a step of `rows` rows, at most.
    pub fn turns_of_step(&self, rows: usize) -> usize {
        match self.held {
            Held::Registers => {
                // Teams have pairs of rows.
                let pairs = if self.teams == 1 { 1 } else { 2 };
                let share = rows.div_ceil((self.teams * pairs).max(1)) * pairs;
                share.div_ceil(self.samples.max(1)) + 2
            }
            Held::Memory => self.turns_of_step_from_memory(rows),
        }
    }

    /// Turns of the loops that load and store everything.
    pub fn turns_of_dispatch(&self) -> usize {
        match self.held {
            Held::Registers => 2 * self.variables(),
            Held::Memory => self.turns_of_moving(),
        }
    }

    /// Steps of `rows` rows that one dispatch can hold whose loops take at most `most` turns.
    pub fn steps_of_dispatch(&self, rows: usize, most: u64) -> usize {
        let turns = usize::try_from(most).unwrap_or(usize::MAX);
        turns.saturating_sub(self.turns_of_dispatch()) / self.turns_of_step(rows).max(1)
    }

    /// Words of workgroup memory for a team: what the largest exchange puts there, in fours of each invocation.
    pub fn exchange(&self) -> usize {
        if self.held == Held::Memory {
            return 4 * self.invocations;
        }
        let last = self.layers.len().saturating_sub(1);
        let of_layer = |(l, (inputs, layer)): (usize, (usize, &Dense))| {
            let spread = self.samples * self.slots(inputs).div_ceil(4);
            let sums = if l == last {
                (self.samples * layer.units).div_ceil(4)
            } else {
                inputs.div_ceil(4)
            };
            spread.max(sums)
        };
        4 * self.invocations * self.widths().enumerate().map(of_layer).max().unwrap_or(1).max(1)
    }

    /// Fours of numbers of each invocation that the teams add up at once: as many as there is room for.
    fn fours_at_once(&self) -> usize {
        let numbers = self.variables() + self.columns();
        match self.subgroups {
            true => {
                let of_all = 4 * self.invocations * self.teams;
                (WORKGROUP_WORDS / of_all).clamp(1, numbers.div_ceil(4))
            }
            false => self.exchange() / 4 / self.invocations.max(1),
        }
    }

    /// Words of the workgroup's memory. Subgroups need none, unless there are several whose sums are added up.
    pub fn workgroup_words(&self) -> usize {
        match (self.subgroups, self.teams) {
            (true, ..=1) => 0,
            (true, teams) => 4 * self.fours_at_once() * self.invocations * teams,
            (false, teams) => self.exchange() * teams,
        }
    }

    /// The memory of an invocation's team, in the code.
    fn exchange_of_team(&self) -> &'static str {
        if self.teams == 1 { "exchange" } else { "exchange[team].fours" }
    }

    /// What a dispatch takes of the device.
    pub fn needs(&self) -> Needs {
        let in_memory = self.held == Held::Memory;
        let exchanged = 4 * self.workgroup_words() as u64;
        // The head of `Run`, of twelve words, and its records, of eight; the table of layers; the bounds of
        // the turns.
        let records = 4 * (12 + 8 * MOST_STEPS as u64);
        let layers = if in_memory { size_of::<LayerOffsets>() * self.layers.len() } else { 0 };
        let needs = Needs {
            uniform_bytes: records.max(layers as u64),
            invocations: super::word(self.invocations * self.teams),
            workgroup_bytes: exchanged + if in_memory { 16 } else { 0 },
            ..Needs::default()
        };
        needs.with(&self.bindings())
    }

    /// Numbers per row of the results: the loss and the counts.
    pub fn columns(&self) -> usize {
        1 + self.counts.len()
    }

    /// What tells kernels apart, without their text.
    pub(crate) fn key(&self) -> String {
        let rule = self.rule.name();
        let rule_of_any_figures = UpdateRule::Sgd { weight_decay: 0.0 };
        let workgroups = self.workgroups.min(2);
        format!("{:?}", Self { rule: rule_of_any_figures, workgroups, ..self.clone() }) + rule
    }

    fn output_width(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.units)
    }

    /// Rows and columns of the weights that an invocation holds of layer `l`.
    fn own(&self, l: usize) -> (usize, usize) {
        let Some((inputs, layer)) = self.widths().nth(l) else { return (0, 0) };
        match l + 1 == self.layers.len() {
            true => (self.slots(inputs), layer.units),
            false => (inputs, self.slots(layer.units)),
        }
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
