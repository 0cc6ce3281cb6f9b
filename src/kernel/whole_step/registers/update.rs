//! The end of a step.

use super::Kernel;
use crate::kernel::whole_step::writer::{Writer, line};

impl Kernel<'_> {
    /// The update, unless an earlier step went wrong or this one does; and the step's results.
    pub(super) fn write_update(&self, w: &mut Writer) {
        line!(w, "// ---- Update, unless an earlier step went wrong or this one does.");
        line!(w, "loss *= record.share;");
        line!(w, "var wrong = select(0u, 1u, !is_finite(loss));");
        line!(w, "var factors = vec2(1.0);");
        if self.net.clip {
            self.write_clipping(w);
        }
        line!(w, "let halted = halted_by != 0u;");
        line!(w, "let by = update_of(record, !halted & (wrong == 0u), factors);");
        line!(w, "var overflows = false;");
        for name in self.names() {
            let states: String = self.states().map(|s| format!(", &s{s}_{name}")).collect();
            line!(w, "overflows = update(by, &w{name}, g{name}{states}) | overflows;");
        }
        line!(w, "let overflow = invocation_sum(select(0.0, 1.0, overflows), invocation);");
        line!(w, "wrong = select(wrong, 2u, (wrong == 0u) & (overflow > 0.0));");
        line!(w, "halted_by = select(halted_by, wrong, !halted);");
        line!(w, "halted_at = select(halted_at, t + 1u, !halted & (wrong != 0u));");
        let columns = self.net.columns();
        line!(w, "if {} {{", self.of_one_team("invocation == 0u"));
        line!(w, "results[t * {columns}u] = loss;");
        for n in 0..self.net.counts.len() {
            line!(w, "results[t * {columns}u + {}u] = count{n};", n + 1);
        }
        line!(w, "}}");
    }

    /// The norm of all gradients, as in `shared/norm.wgsl`.
    fn write_clipping(&self, w: &mut Writer) {
        line!(
            w,
            "// The norm of all gradients, as in shared/norm.wgsl. The sum of the invocations' scales is not far above the largest."
        );
        line!(w, "var largest = 0u;");
        for name in self.names() {
            line!(w, "largest = max(largest, bitcast<u32>(abs(g{name})));");
        }
        line!(w, "let scales = invocation_sum(scale_of(largest), invocation);");
        line!(w, "let scale = scale_of(bitcast<u32>(scales));");
        line!(w, "let down = inverse_of(scale);");
        line!(w, "// The output's biases are in every invocation, and count once.");
        line!(w, "var own = 0.0;");
        let in_all = format!("{}_b_", self.out.l);
        for name in self.names().iter().filter(|name| !name.starts_with(&in_all)) {
            line!(w, "own = with_square(own, g{name} * down);");
        }
        line!(w, "var squares = invocation_sum(own, invocation);");
        for o in 0..self.out.dense.units {
            line!(w, "squares = with_square(squares, g{in_all}{o} * down);");
        }
        line!(w, "factors = clip_factors(Norm(scale, squares), run.clip_norm);");
        line!(w, "wrong = select(wrong, 2u, (wrong == 0u) & !is_finite(squares));");
    }
}
