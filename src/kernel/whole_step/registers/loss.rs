//! Loss, metrics and error, in every invocation.

use super::Kernel;
use crate::graph::{Count, Loss};
use crate::kernel::whole_step::writer::{Writer, line};

impl Kernel<'_> {
    /// Adds the items of each row to `loss` and to the counts. `e…` is the gradient of the items by the outputs
    /// `p…`, before the division by their number, and `d…` is ∂ loss / ∂ `y…`.
    pub(super) fn write_loss(&self, w: &mut Writer) {
        w.blank();
        line!(w, "// ---- Loss, metrics and d… = ∂ loss / ∂ y…, in every invocation.");
        for s in self.samples() {
            match self.net.loss {
                Loss::SoftmaxCrossEntropy => self.write_labels(w, s),
                Loss::SoftmaxCrossEntropyProbabilities => self.write_probabilities(w, s),
                Loss::MeanSquaredError
                | Loss::MeanAbsoluteError
                | Loss::Huber { .. }
                | Loss::BinaryCrossEntropy => self.write_elements(w, s),
            }
            for (n, &count) in self.net.counts.iter().enumerate() {
                self.write_count(w, n, count, s);
            }
            for o in 0..self.out.dense.units {
                let slope = self.out.times_slope(&format!("{o}_{s}"));
                let e = format!("e{o}_{s} * record.share{slope}");
                line!(w, "let d{o}_{s} = select(0.0, {e}, live_{s});");
            }
        }
    }

    fn write_top(&self, w: &mut Writer, s: usize) {
        let units = self.out.dense.units;
        line!(
            w,
            "// The first largest output, and Σ exp(p - largest) over the others, or over all if that is not finite."
        );
        line!(w, "// A NaN, which comparisons may pass over, is in that sum.");
        line!(w, "var top_{s} = p0_{s};");
        line!(w, "var at_{s} = 0u;");
        for o in 1..units {
            line!(w, "at_{s} = select(at_{s}, {o}u, p{o}_{s} > top_{s});");
            line!(w, "top_{s} = select(top_{s}, p{o}_{s}, at_{s} == {o}u);");
        }
        line!(w, "let left_out_{s} = select({units}u, at_{s}, is_finite(top_{s}));");
        line!(w, "var rest_{s} = 0.0;");
        for o in 0..units {
            line!(w, "let exp{o}_{s} = exponential(p{o}_{s} - top_{s});");
            line!(w, "rest_{s} += select(exp{o}_{s}, 0.0, left_out_{s} == {o}u);");
        }
    }

    fn write_labels(&self, w: &mut Writer, s: usize) {
        let units = self.out.dense.units;
        self.write_top(w, s);
        line!(w, "rest_{s} = select(not_a_number(rest_{s}), rest_{s}, t0_{s} < {units}u);");
        line!(w, "let sum_{s} = 1.0 + rest_{s};");
        line!(w, "var at_label_{s} = p0_{s};");
        for o in 1..units {
            line!(w, "at_label_{s} = select(at_label_{s}, p{o}_{s}, t0_{s} == {o}u);");
        }
        line!(w, "loss += select(0.0, log1p(rest_{s}) - (at_label_{s} - top_{s}), live_{s});");
        line!(w, "// At the label 1/sum - 1 would cancel if it is the top.");
        line!(w, "let at_top_{s} = -rest_{s} / sum_{s};");
        for o in 0..units {
            line!(w, "let q{o}_{s} = exp{o}_{s} / sum_{s};");
            line!(
                w,
                "let e{o}_{s} = select(q{o}_{s}, select(q{o}_{s} - 1.0, at_top_{s}, at_{s} == {o}u), t0_{s} == {o}u);"
            );
        }
    }

    fn write_probabilities(&self, w: &mut Writer, s: usize) {
        let units = self.out.dense.units;
        self.write_top(w, s);
        line!(w, "let sum_{s} = 1.0 + rest_{s};");
        line!(w, "let log_sum_{s} = log1p(rest_{s});");
        line!(w, "var item_{s} = 0.0;");
        line!(w, "var weight_{s} = 0.0;");
        for o in 0..units {
            line!(
                w,
                "item_{s} += t{o}_{s} * select(log_sum_{s} - (p{o}_{s} - top_{s}), log_sum_{s}, t{o}_{s} == 0.0);"
            );
            line!(w, "weight_{s} += t{o}_{s};");
        }
        line!(w, "loss += select(0.0, item_{s}, live_{s});");
        for o in 0..units {
            line!(w, "let e{o}_{s} = exp{o}_{s} / sum_{s} * weight_{s} - t{o}_{s};");
        }
    }

    fn write_elements(&self, w: &mut Writer, s: usize) {
        for o in 0..self.out.dense.units {
            let id = format!("{o}_{s}");
            if self.net.loss == Loss::BinaryCrossEntropy {
                line!(w, "let exp{id} = exponential(-abs(p{id}));");
                line!(w, "let s{id} = select(t{id}, 1.0 - t{id}, p{id} >= 0.0);");
                line!(
                    w,
                    "let item{id} = s{id} * select(abs(p{id}), 0.0, s{id} == 0.0) + log1p(exp{id});"
                );
                line!(w, "loss += select(0.0, item{id}, live_{s});");
                line!(
                    w,
                    "let e{id} = select(exp{id} * (1.0 - t{id}) - t{id}, (1.0 - t{id}) - t{id} * exp{id}, p{id} >= 0.0) / (1.0 + exp{id});"
                );
                continue;
            }
            line!(w, "let off{id} = p{id} - t{id};");
            match self.net.loss {
                Loss::MeanSquaredError => {
                    line!(w, "loss += select(0.0, off{id} * off{id}, live_{s});");
                    line!(w, "let e{id} = 2.0 * off{id};");
                }
                Loss::MeanAbsoluteError => {
                    line!(w, "loss += select(0.0, abs(off{id}), live_{s});");
                    line!(w, "let e{id} = sign_of(off{id});");
                }
                _ => {
                    line!(w, "let size{id} = abs(off{id});");
                    line!(
                        w,
                        "loss += select(0.0, select(run.delta * (size{id} - 0.5 * run.delta), 0.5 * off{id} * off{id}, size{id} <= run.delta), live_{s});"
                    );
                    line!(w, "let e{id} = between(off{id}, -run.delta, run.delta);");
                }
            }
        }
    }

    fn write_count(&self, w: &mut Writer, n: usize, count: Count, s: usize) {
        let units = self.out.dense.units;
        match count {
            Count::Correct => {
                line!(
                    w,
                    "count{n} += select(0.0, 1.0, live_{s} & (at_{s} == t0_{s}) & !is_nan(rest_{s}));"
                );
            }
            Count::CorrectProbabilities => {
                line!(w, "var likely_{s} = t0_{s};");
                line!(w, "var class_{s} = 0u;");
                for o in 1..units {
                    line!(w, "class_{s} = select(class_{s}, {o}u, t{o}_{s} > likely_{s});");
                    line!(w, "likely_{s} = max(likely_{s}, t{o}_{s});");
                }
                line!(
                    w,
                    "count{n} += select(0.0, 1.0, live_{s} & (at_{s} == class_{s}) & !is_nan(item_{s}));"
                );
            }
            Count::CorrectBinary => {
                for o in 0..units {
                    let id = format!("{o}_{s}");
                    line!(
                        w,
                        "count{n} += select(0.0, 1.0, live_{s} & ((p{id} > 0.0) == (t{id} > 0.5)) & !is_nan(item{id}));"
                    );
                }
            }
            Count::AbsoluteError => {
                for o in 0..units {
                    line!(w, "count{n} += select(0.0, abs(off{o}_{s}), live_{s});");
                }
            }
            Count::SquaredError => {
                for o in 0..units {
                    let id = format!("{o}_{s}");
                    line!(w, "count{n} += select(0.0, off{id} * off{id}, live_{s});");
                }
            }
        }
    }
}
