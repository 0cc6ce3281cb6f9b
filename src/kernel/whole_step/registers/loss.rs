//! Loss, metrics and error, in every invocation. Their formulas are functions in the files under `shaders/loss/`.

use super::Kernel;
use crate::graph::{Count, Loss};
use crate::kernel::formula;
use crate::kernel::whole_step::writer::{Writer, line};

impl Kernel<'_> {
    /// Adds the items of each row to `loss` and to the counts. `d…` is ∂ loss / ∂ `y…`.
    pub(super) fn write_loss(&self, w: &mut Writer) {
        w.blank();
        line!(w, "// ---- Loss, metrics and d… = ∂ loss / ∂ y…, in every invocation.");
        for s in self.samples() {
            match self.net.loss {
                Loss::MeanSquaredError
                | Loss::MeanAbsoluteError
                | Loss::Huber { .. }
                | Loss::BinaryCrossEntropy => self.write_elements(w, s),
                Loss::SoftmaxCrossEntropy => self.write_labels(w, s),
                Loss::SoftmaxCrossEntropyProbabilities => self.write_probabilities(w, s),
            }
            for o in 0..self.out.dense.units {
                let slope = self.out.times_slope(&format!("{o}_{s}"));
                line!(w, "let d{o}_{s} = select(0.0, e{o}_{s} * record.share{slope}, live_{s});");
            }
        }
    }

    /// A loss whose items are the outputs of row s. `e…` is the gradient of the items by the outputs `p…`, before
    /// the division by their number.
    fn write_elements(&self, w: &mut Writer, s: usize) {
        let function = formula::function(formula::of_loss(self.net.loss));
        for o in 0..self.out.dense.units {
            line!(w, "let found{o}_{s} = {function}(p{o}_{s}, t{o}_{s});");
            line!(w, "loss += select(0.0, found{o}_{s}.value, live_{s});");
            line!(w, "let e{o}_{s} = found{o}_{s}.gradient;");
        }
        for (n, &count) in self.net.counts.iter().enumerate() {
            let function = formula::function(formula::of_count(count));
            for o in 0..self.out.dense.units {
                let counted = format!("{function}(p{o}_{s}, t{o}_{s}).value");
                line!(w, "count{n} += select(0.0, {counted}, live_{s});");
            }
        }
    }

    /// A loss whose item is row s, with a class label.
    fn write_labels(&self, w: &mut Writer, s: usize) {
        let units = self.out.dense.units;
        self.write_top(w, s);
        line!(w, "rest_{s} = rest_with_label(rest_{s}, t0_{s}, {units}u);");
        line!(w, "var at_label_{s} = p0_{s};");
        for o in 1..units {
            line!(w, "at_label_{s} = select(at_label_{s}, p{o}_{s}, t0_{s} == {o}u);");
        }
        line!(w, "let item_{s} = softmax_cross_entropy(rest_{s}, top_{s}, at_label_{s});");
        line!(w, "loss += select(0.0, item_{s}, live_{s});");
        for o in 0..units {
            let places = format!("t0_{s} == {o}u, at_{s} == {o}u");
            let gradient = "softmax_cross_entropy_gradient";
            line!(w, "let e{o}_{s} = {gradient}(power{o}_{s}, rest_{s}, {places});");
        }
        self.write_counts_of_row(w, s, &format!("t0_{s}"));
    }

    /// A loss whose item is row s, with a probability for each class.
    fn write_probabilities(&self, w: &mut Writer, s: usize) {
        let units = self.out.dense.units;
        self.write_top(w, s);
        line!(w, "let log_sum_{s} = log1p(rest_{s});");
        line!(w, "var item_{s} = 0.0;");
        line!(w, "var weight_{s} = 0.0;");
        for o in 0..units {
            let function = "softmax_cross_entropy_probabilities";
            let away = format!("p{o}_{s} - top_{s}");
            line!(w, "item_{s} += {function}(log_sum_{s}, {away}, t{o}_{s});");
            line!(w, "weight_{s} += t{o}_{s};");
        }
        line!(w, "loss += select(0.0, item_{s}, live_{s});");
        for o in 0..units {
            let gradient = "softmax_cross_entropy_probabilities_gradient";
            line!(w, "let e{o}_{s} = {gradient}(power{o}_{s}, rest_{s}, weight_{s}, t{o}_{s});");
        }
        if self.net.counts.contains(&Count::CorrectProbabilities) {
            line!(w, "var likely_{s} = t0_{s};");
            line!(w, "var likeliest_{s} = 0u;");
            for o in 1..units {
                let is_more = format!("t{o}_{s} > likely_{s}");
                line!(w, "likeliest_{s} = select(likeliest_{s}, {o}u, {is_more});");
                line!(w, "likely_{s} = max(likely_{s}, t{o}_{s});");
            }
        }
        self.write_counts_of_row(w, s, &format!("likeliest_{s}"));
    }

    /// The softmax of row s: where its first largest output is, and `rest`, the sum of `power…` = exp(p - largest)
    /// over the others.
    fn write_top(&self, w: &mut Writer, s: usize) {
        let units = self.out.dense.units;
        line!(
            w,
            "// The first largest output, and Σ exp(p - largest) over the others, or over all if that is"
        );
        line!(w, "// not finite. A NaN, which comparisons may pass over, is in that sum.");
        line!(w, "var top_{s} = p0_{s};");
        line!(w, "var at_{s} = 0u;");
        for o in 1..units {
            line!(w, "at_{s} = select(at_{s}, {o}u, p{o}_{s} > top_{s});");
            line!(w, "top_{s} = select(top_{s}, p{o}_{s}, at_{s} == {o}u);");
        }
        line!(w, "let left_out_{s} = select({units}u, at_{s}, is_finite(top_{s}));");
        line!(w, "var rest_{s} = 0.0;");
        for o in 0..units {
            line!(w, "let power{o}_{s} = exponential(p{o}_{s} - top_{s});");
            line!(w, "rest_{s} += select(power{o}_{s}, 0.0, left_out_{s} == {o}u);");
        }
    }

    /// The counts of row s, whose largest output should be at `label`.
    fn write_counts_of_row(&self, w: &mut Writer, s: usize, label: &str) {
        for (n, &count) in self.net.counts.iter().enumerate() {
            let function = formula::function(formula::of_count(count));
            let counted = format!("{function}(at_{s}, {label}, is_nan(item_{s}))");
            line!(w, "count{n} += select(0.0, {counted}, live_{s});");
        }
    }
}
