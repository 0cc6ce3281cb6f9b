//! Parameters and states, in from the arenas and out again.

use super::{Kernel, Layer};
use crate::kernel::whole_step::writer::{Writer, line};

impl Kernel<'_> {
    /// One load in a loop and a selection, because a load in the code costs far more than a selection.
    pub(super) fn write_load(&self, w: &mut Writer) {
        for name in self.names() {
            line!(w, "var w{name} = 0.0;");
            for s in self.states() {
                line!(w, "var s{s}_{name} = 0.0;");
            }
        }
        line!(
            w,
            "// One load in a loop and a selection, because a load in the code costs far more than a selection."
        );
        for layer in self.layers() {
            line!(w, "for (var n = 0u; n < {}u; n++) {{", layer.names().len());
            self.write_place(w, layer);
            line!(w, "let w = select(0.0, values[at], inside);");
            for s in self.states() {
                line!(w, "let s{s} = select(0.0, state{s}[at], inside);");
            }
            for (n, name) in layer.names().iter().enumerate() {
                line!(w, "w{name} = select(w{name}, w, n == {n}u);");
                for s in self.states() {
                    line!(w, "s{s}_{name} = select(s{s}_{name}, s{s}, n == {n}u);");
                }
            }
            line!(w, "}}");
        }
    }

    pub(super) fn write_store(&self, w: &mut Writer) {
        // All teams have the same.
        if self.net.teams > 1 {
            line!(w, "if team == 0u {{");
        }
        for layer in self.layers() {
            line!(w, "for (var n = 0u; n < {}u; n++) {{", layer.names().len());
            self.write_place(w, layer);
            line!(w, "var w = 0.0;");
            for s in self.states() {
                line!(w, "var s{s} = 0.0;");
            }
            for (n, name) in layer.names().iter().enumerate() {
                line!(w, "w = select(w, w{name}, n == {n}u);");
                for s in self.states() {
                    line!(w, "s{s} = select(s{s}, s{s}_{name}, n == {n}u);");
                }
            }
            // The output's biases are in every invocation.
            match layer.l == self.out.l {
                true => line!(w, "if (inside & (!is_bias | (invocation == 0u))) {{"),
                false => line!(w, "if (inside) {{"),
            }
            line!(w, "values[at] = w;");
            for s in self.states() {
                line!(w, "state{s}[at] = s{s};");
            }
            line!(w, "}}");
            line!(w, "}}");
        }
        if self.net.teams > 1 {
            line!(w, "}}");
        }
    }

    /// `at`, where number n of an invocation's parameters of a layer lies in an arena, and `inside`, whether it
    /// exists. They are `rows` × `columns` weights, then a row of biases.
    fn write_place(&self, w: &mut Writer, layer: &Layer<'_>) {
        let Layer { inputs, rows, columns, .. } = *layer;
        let (units, weights_at) = (layer.dense.units, layer.dense.weights_at);
        let bias_at = layer.dense.bias_at;
        line!(w, "let row = n / {columns}u;");
        line!(w, "let column = n % {columns}u;");
        if layer.l == self.out.l {
            line!(w, "let input = row * INVOCATIONS + invocation;");
            line!(w, "let is_bias = row == {rows}u;");
            line!(w, "let inside = is_bias | (input < {inputs}u);");
            let weight = format!("{weights_at}u + min(input, {}u) * {units}u", inputs - 1);
            line!(w, "let at = select({weight}, {bias_at}u, is_bias) + column;");
        } else {
            line!(w, "let unit = column * INVOCATIONS + invocation;");
            line!(w, "let inside = unit < {units}u;");
            let weights = format!("{weights_at}u + row * {units}u");
            let row = format!("select({weights}, {bias_at}u, row == {rows}u)");
            line!(w, "let at = {row} + min(unit, {}u);", units - 1);
        }
    }
}
