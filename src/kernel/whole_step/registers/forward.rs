//! Up through the layers.

use super::{Kernel, Layer, add_products, four};
use crate::kernel::whole_step::writer::{Writer, component, line};

impl Kernel<'_> {
    /// The beginning of the names of what a layer sees, in the invocations that hold it.
    pub(super) fn below(&self, layer: &Layer<'_>) -> String {
        match layer.l.checked_sub(1) {
            Some(below) => format!("h{below}_"),
            None => "x".into(),
        }
    }

    /// A hidden layer: `a…`, its inputs, in every invocation; `z…`, its units before the activation; `h…`, after it.
    pub(super) fn write_forward(&self, w: &mut Writer, layer: &Layer<'_>) {
        let (l, units) = (layer.l, layer.dense.units);
        w.blank();
        line!(
            w,
            "// ---- Forward: {} to {units}. a… are its inputs, in every invocation.",
            layer.inputs
        );
        self.write_inputs(w, layer);
        for u in 0..layer.slots {
            for s in self.samples() {
                let z = format!("z{l}_{u}_{s}");
                line!(w, "var {z} = w{l}_b_{u};");
                let product = |i| (format!("a{l}_{i}_{s}"), format!("w{l}_{i}_{u}"));
                add_products(w, &z, &(0..layer.inputs).map(product).collect::<Vec<_>>());
                let h = self.padded(&layer.activated(&z), u, units);
                line!(w, "let h{l}_{u}_{s} = {h};");
            }
        }
    }

    /// Spreads what the invocations hold to all of them.
    fn write_inputs(&self, w: &mut Writer, layer: &Layer<'_>) {
        let (l, below, invocations) = (layer.l, self.below(layer), self.net.invocations);
        let by_itself = l == 0 && self.reads_features();
        let spread = !self.net.subgroups && !by_itself;
        if spread {
            self.write_spread(w, layer, &below);
        }
        for s in self.samples() {
            for i in 0..layer.inputs {
                let (slot, holder) = (i / invocations, i % invocations);
                let input = match spread {
                    _ if self.net.subgroups => {
                        format!("subgroupBroadcast({below}{slot}_{s}, {holder}u)")
                    }
                    true => format!("quad{l}_{}_{holder}_{s}.{}", slot / 4, component(slot)),
                    false => format!("features[row_{s} * {}u + {i}u]", self.net.inputs),
                };
                line!(w, "let a{l}_{i}_{s} = {input};");
            }
        }
    }

    /// Through workgroup memory: four numbers of each invocation at a time.
    fn write_spread(&self, w: &mut Writer, layer: &Layer<'_>, below: &str) {
        let (l, invocations) = (layer.l, self.net.invocations);
        let exchange = self.net.exchange_of_team();
        let quads = layer.input_slots.div_ceil(4);
        let each = || self.samples().flat_map(move |s| (0..quads).map(move |q| (s, q)));
        for (s, q) in each() {
            let numbers = four(q, layer.input_slots, |u| format!("{below}{u}_{s}"));
            let at = (s * quads + q) * invocations;
            line!(w, "{exchange}[{at}u + invocation] = {numbers};");
        }
        line!(w, "workgroupBarrier();");
        for (s, q) in each() {
            for j in (0..invocations).filter(|j| 4 * q * invocations + j < layer.inputs) {
                let place = (s * quads + q) * invocations + j;
                line!(w, "let quad{l}_{q}_{j}_{s} = {exchange}[{place}u];");
            }
        }
        line!(w, "workgroupBarrier();");
    }

    /// The output layer: `y…`, the outputs before the activation, and `p…`, after it, in every invocation.
    pub(super) fn write_outputs(&self, w: &mut Writer) {
        let (out, samples) = (&self.out, self.net.samples);
        let (l, units, below) = (out.l, out.dense.units, self.below(out));
        w.blank();
        line!(
            w,
            "// ---- Forward: {} to {units}. y… are outputs before the activation, p… after it.",
            out.inputs
        );
        for s in self.samples() {
            for o in 0..units {
                line!(w, "var part{o}_{s} = 0.0;");
                let product = |u| (format!("{below}{u}_{s}"), format!("w{l}_{u}_{o}"));
                let products: Vec<_> = (0..out.input_slots).map(product).collect();
                add_products(w, &format!("part{o}_{s}"), &products);
            }
        }
        if !self.net.subgroups {
            self.write_totals(w);
        }
        for s in self.samples() {
            for o in 0..units {
                let place = o * samples + s;
                let sum = match self.net.subgroups {
                    true => format!("invocation_sum(part{o}_{s}, invocation)"),
                    false => format!("total{}.{}", place / 4, component(place)),
                };
                line!(w, "let y{o}_{s} = {sum} + w{l}_b_{o};");
                line!(w, "let p{o}_{s} = {};", out.activated(&format!("y{o}_{s}")));
            }
        }
    }

    /// Adds the parts of all outputs up, four at a time.
    fn write_totals(&self, w: &mut Writer) {
        let (samples, exchange) = (self.net.samples, self.net.exchange_of_team());
        let sums = samples * self.out.dense.units;
        for q in 0..sums.div_ceil(4) {
            let parts = four(q, sums, |n| format!("part{}_{}", n / samples, n % samples));
            let at = q * self.net.invocations;
            line!(w, "{exchange}[{at}u + invocation] = {parts};");
        }
        line!(w, "workgroupBarrier();");
        for q in 0..sums.div_ceil(4) {
            line!(w, "let total{q} = tree_sum({}u);", q * self.net.invocations);
        }
        line!(w, "workgroupBarrier();");
    }
}
