//! Down through the layers: the gradients of weights, and what becomes of the error.

use super::{Kernel, Layer, add_products, four};
use crate::kernel::whole_step::exchange::masks;
use crate::kernel::whole_step::writer::{Writer, line};

impl Kernel<'_> {
    /// The output layer, from `d…`; `dh…` is ∂ loss / ∂ `h…` of the layer below it.
    pub(super) fn write_backward_of_outputs(&self, w: &mut Writer) {
        let out = &self.out;
        let (l, units, below) = (out.l, out.dense.units, self.below(out));
        w.blank();
        line!(w, "// ---- Backward: {} to {units}.", out.inputs);
        for o in 0..units {
            for u in 0..out.input_slots {
                let product = |s| (format!("{below}{u}_{s}"), format!("d{o}_{s}"));
                let products: Vec<_> = self.samples().map(product).collect();
                add_products(w, &format!("g{l}_{u}_{o}"), &products);
            }
            for s in self.samples() {
                line!(w, "g{l}_b_{o} += d{o}_{s};");
            }
        }
        let Some(layer) = self.hidden.last() else { return };
        for s in self.samples() {
            for u in 0..out.input_slots {
                let dh = format!("dh{}_{u}_{s}", layer.l);
                line!(w, "var {dh} = 0.0;");
                let product = |o| (format!("w{l}_{u}_{o}"), format!("d{o}_{s}"));
                add_products(w, &dh, &(0..units).map(product).collect::<Vec<_>>());
            }
        }
    }

    /// A hidden layer, from `dh…`; `dz…` is ∂ loss / ∂ `z…`.
    pub(super) fn write_backward(&self, w: &mut Writer, layer: &Layer<'_>) {
        let (l, units) = (layer.l, layer.dense.units);
        w.blank();
        line!(w, "// ---- Backward: {} to {units}.", layer.inputs);
        for u in 0..layer.slots {
            for s in self.samples() {
                let slope = layer.times_slope(&format!("{u}_{s}"));
                let dz = self.padded(&format!("dh{l}_{u}_{s}{slope}"), u, units);
                line!(w, "let dz{l}_{u}_{s} = {dz};");
                line!(w, "g{l}_b_{u} += dz{l}_{u}_{s};");
            }
            for i in 0..layer.inputs {
                let product = |s| (format!("a{l}_{i}_{s}"), format!("dz{l}_{u}_{s}"));
                let products: Vec<_> = self.samples().map(product).collect();
                add_products(w, &format!("g{l}_{i}_{u}"), &products);
            }
        }
        // The features need no gradient.
        if let Some(below) = l.checked_sub(1) {
            self.write_error_below(w, layer, below);
        }
    }

    /// The gradient of each input is a sum over invocations that ends in the invocation that holds the input.
    fn write_error_below(&self, w: &mut Writer, layer: &Layer<'_>, below: usize) {
        let (l, inputs, exchange) = (layer.l, layer.inputs, self.net.exchange_of_team());
        line!(
            w,
            "// The gradient of each input is a sum over invocations that ends in the invocation that holds the input."
        );
        for s in self.samples() {
            for i in 0..inputs {
                let da = format!("da{l}_{i}_{s}");
                line!(w, "var {da} = 0.0;");
                let product = |u| (format!("w{l}_{i}_{u}"), format!("dz{l}_{u}_{s}"));
                add_products(w, &da, &(0..layer.slots).map(product).collect::<Vec<_>>());
            }
            if !self.net.subgroups {
                for q in 0..inputs.div_ceil(4) {
                    let numbers = four(q, inputs, |i| format!("da{l}_{i}_{s}"));
                    let at = q * self.net.invocations;
                    line!(w, "{exchange}[{at}u + invocation] = {numbers};");
                }
                line!(w, "workgroupBarrier();");
            }
            for u in 0..layer.input_slots {
                let sum = match self.net.subgroups {
                    true => self.write_folds(w, layer, u, s),
                    false => {
                        let unit = format!("unit_{l}_{u}_{s}");
                        line!(w, "let {unit} = {};", self.unit(u, inputs));
                        format!("tree_sum_of({unit} / 4u * INVOCATIONS, {unit} % 4u)")
                    }
                };
                line!(w, "let dh{below}_{u}_{s} = {sum};");
            }
            if !self.net.subgroups {
                line!(w, "workgroupBarrier();");
            }
        }
    }

    /// The sums of as many inputs as there are invocations, each in its own, by halving: of two sums, an
    /// invocation goes on with one. The name of the last.
    fn write_folds(&self, w: &mut Writer, layer: &Layer<'_>, u: usize, s: usize) -> String {
        let (l, invocations) = (layer.l, self.net.invocations);
        let mut sums: Vec<String> = (0..invocations)
            .map(|j| match u * invocations + j {
                i if i < layer.inputs => format!("da{l}_{i}_{s}"),
                _ => "0.0".into(),
            })
            .collect();
        for (level, mask) in masks(self.net).enumerate() {
            let mut halves = Vec::new();
            for (n, pair) in sums.chunks(2).enumerate() {
                let half = format!("fold{level}_{n}_{l}_{u}_{s}");
                let pair = pair.join(", ");
                line!(w, "let {half} = fold({pair}, (invocation & {mask}u) != 0u, {mask}u);");
                halves.push(half);
            }
            sums = halves;
        }
        sums.concat()
    }
}
