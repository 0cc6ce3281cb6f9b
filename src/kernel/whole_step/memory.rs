//! Where the numbers of a net lie that trains from memory, `whole_step/memory.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::{MOST_STEPS, Net};
use crate::graph::{Loss, Unary};
use crate::kernel::word;

/// `struct Layer`. Places are in fours of numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct LayerOffsets {
    inputs: u32,
    units: u32,
    weights_at: u32,
    bias_at: u32,
    weights: u32,
    below: u32,
    saved_below: u32,
    above: u32,
    saved: u32,
    error: u32,
    error_below: u32,
    function: u32,
    function_below: u32,
    unused: [u32; 3],
}

/// The memory of a net for batches of up to so many rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// One entry per layer, of any workgroup.
    pub places: Vec<LayerOffsets>,
    /// Bytes of the whole, as many for each workgroup.
    pub bytes: u64,
}

fn fours(numbers: usize) -> usize {
    numbers.div_ceil(4)
}

/// `fours` filled up to whole cache lines of 64 bytes: where places are not, a step takes up to 4 % longer.
fn in_lines(fours: usize) -> usize {
    fours.div_ceil(4).saturating_mul(4)
}

impl Net {
    /// Where everything lies, for batches of up to `rows` rows.
    pub fn memory(&self, rows: usize) -> Memory {
        let functions = self.functions();
        let number = |activation: Option<Unary>| {
            let Some(activation) = activation else { return word(functions.len()) };
            let at = functions.iter().position(|&function| function == activation);
            // What is in no case of the kernel's is NaN.
            at.map_or(u32::MAX, word)
        };
        let rows = self.rows_of_each(rows);
        let own = self.parameter_fours() * (1 + self.rule.states());
        let mut end = self.first_parameter() + own + 2 * self.totals();
        let mut take = |count: usize| {
            let start = in_lines(end);
            end = start.saturating_add(count);
            word(start)
        };
        let mut weights = self.first_parameter();
        let mut before =
            LayerOffsets { above: take(rows * fours(self.inputs)), ..LayerOffsets::default() };
        (before.saved, before.function) = (before.above, number(None));
        let mut places = Vec::new();
        for (inputs, layer) in self.widths() {
            let outputs = rows * fours(layer.units);
            let above = take(outputs);
            let from_output = layer.activation.is_none_or(Unary::grad_from_output);
            let place = LayerOffsets {
                inputs: word(inputs),
                units: word(layer.units),
                weights_at: word(layer.weights_at as usize),
                bias_at: word(layer.bias_at as usize),
                weights: word(weights),
                below: before.above,
                saved_below: before.saved,
                above,
                saved: if from_output { above } else { take(outputs) },
                error: take(outputs),
                error_below: before.error,
                function: number(layer.activation),
                function_below: before.function,
                unused: [0; 3],
            };
            weights += layer_fours(inputs, layer.units);
            places.push(place);
            before = place;
        }
        let bytes = (in_lines(end) as u64).saturating_mul(16 * self.workgroups as u64);
        Memory { places, bytes }
    }

    /// Rows of each workgroup, in whole fours.
    fn rows_of_each(&self, rows: usize) -> usize {
        4 * fours(rows).div_ceil(self.workgroups.max(1))
    }

    /// The activations of all layers, each once.
    pub(super) fn functions(&self) -> Vec<Unary> {
        let mut functions = Vec::new();
        for function in self.layers.iter().filter_map(|layer| layer.activation) {
            if !functions.contains(&function) {
                functions.push(function);
            }
        }
        functions
    }

    /// Fours of numbers before the parameters: the results, and how far the turns have come.
    pub(super) fn first_parameter(&self) -> usize {
        in_lines(fours(MOST_STEPS * self.columns()) + 1)
    }

    /// Fours of numbers that the workgroups add up: the gradients, the loss and the metrics' sums.
    pub(super) fn totals(&self) -> usize {
        in_lines(self.parameter_fours() + fours(self.columns()))
    }

    /// Fours of numbers that the parameters take, filled up.
    pub(super) fn parameter_fours(&self) -> usize {
        self.widths().map(|(inputs, layer)| layer_fours(inputs, layer.units)).sum()
    }

    /// Strips of 8 rows that an invocation adds up. Without others to load for it, more would be no faster, and
    /// take longer to compile.
    pub(super) fn strips(&self) -> usize {
        if self.subgroups { 4 } else { 1 }
    }

    /// Invocations side by side in a tile.
    pub(super) fn across(&self) -> usize {
        // Invocations that share what they loaded must have the same rows.
        if self.subgroups { self.invocations } else { self.invocations.min(8) }
    }

    /// Turns of the loops of a step over `rows` rows, as Mesa's software driver counts them: it runs the
    /// code of a branch that is not taken too, and after the last turn of a loop once more its body, all
    /// with no invocation active. There each loop makes one turn.
    pub(super) fn turns_of_step_from_memory(&self, rows: usize) -> usize {
        let rows = self.rows_of_each(rows);
        let by_invocation = |count: usize| count.div_ceil(self.invocations);
        let tile_rows = 8 * self.strips() * (self.invocations / self.across());
        let tile_columns = 4 * self.across();
        // Over rows of tiles, tiles, and one after another terms and the 8 rows to store.
        let product = |m: usize, n: usize, k: usize| {
            let tile = 1 + (fours(k) + 1) + (8 + 1);
            let tiles = n.div_ceil(tile_columns) * tile + 3;
            m.div_ceil(tile_rows) * (1 + tiles) + IDLE_PRODUCT
        };
        // Over rows, and so many times over fours of outputs and over each of them.
        let passes = self.passes_of_loss();
        let outputs = 2 * fours(self.output_width()) + self.output_width() + 2;
        let idle_loss = 1 + 2 * passes;
        let loss = by_invocation(rows) * (1 + passes * outputs) + idle_loss;
        let layers = self.widths().enumerate().map(|(l, (inputs, layer))| {
            let forward = product(rows, layer.units, inputs);
            let weight_gradient = product(4 * fours(inputs), layer.units, rows);
            let error_below =
                if l == 0 { IDLE_PRODUCT } else { product(rows, inputs, layer.units) };
            2 + forward + IDLE_PRODUCT + weight_gradient + error_below + 2 * idle_loss
        });
        let up_and_down = layers.sum::<usize>() + loss + 1 + 2 * IDLE_PRODUCT;
        let loading = by_invocation(rows * fours(self.inputs)) + 1;
        let total = self.turns_of_total(self.workgroups);
        let update = by_invocation(self.parameter_fours()) * (1 + total) + self.idle_update();
        let sums = fours(self.columns()) * total;
        1 + loading + up_and_down + sums + update * self.passes_of_update()
    }

    /// Turns of the loop that adds up a four of `workgroups`, of which there are more than one.
    fn turns_of_total(&self, workgroups: usize) -> usize {
        if self.workgroups > 1 { workgroups + 1 } else { 0 }
    }

    /// Turns of the loop over the parameters with no invocation active.
    fn idle_update(&self) -> usize {
        1 + self.turns_of_total(0)
    }

    fn passes_of_loss(&self) -> usize {
        match self.loss {
            Loss::SoftmaxCrossEntropy => 3,
            Loss::SoftmaxCrossEntropyProbabilities => 4,
            _ => 1,
        }
    }

    /// The norm comes first.
    fn passes_of_update(&self) -> usize {
        if self.clip { 2 } else { 1 }
    }

    /// Turns of the loops that load and store the parameters, of the turn without an update, that without
    /// gradients, and the one with neither that ends a dispatch.
    pub(super) fn turns_of_moving(&self) -> usize {
        let layers = self.widths().map(|(inputs, dense)| {
            let across = fours(dense.units).div_ceil(self.invocations) + 1;
            1 + (4 * fours(inputs) + 1) * (1 + across) + 2
        });
        let idle_gradients = 1 + (1 + 2 * IDLE_PRODUCT) + (1 + 2 * self.passes_of_loss());
        let idle_update = fours(self.columns()) * self.turns_of_total(0)
            + self.idle_update() * self.passes_of_update();
        2 * (layers.sum::<usize>() + 3) + 2 + 2 * (idle_gradients + idle_update)
    }
}

/// Turns of a product's loops with no invocation active.
const IDLE_PRODUCT: usize = 4;

/// Fours of a layer's weights and biases, filled up.
fn layer_fours(inputs: usize, units: usize) -> usize {
    (4 * fours(inputs) + 1) * fours(units)
}
