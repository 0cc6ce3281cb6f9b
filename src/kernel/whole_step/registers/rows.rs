//! The rows of a batch.

use super::Kernel;
use crate::kernel::whole_step::writer::{Writer, line};

impl Kernel<'_> {
    /// Whether every invocation reads the features by itself: cheaper than an exchange, if they are few.
    pub(super) fn reads_features(&self) -> bool {
        let input_slots = self.net.slots(self.net.inputs);
        !self.net.subgroups && !self.hidden.is_empty() && input_slots < 3
    }

    /// `t…`, the targets of each row, and unless every invocation reads them by itself `x…`, its features.
    pub(super) fn write_rows(&self, w: &mut Writer) {
        line!(w, "// ---- Rows.");
        let classes = self.net.loss.takes_classes();
        let width = if classes { 1 } else { self.out.dense.units };
        for s in self.samples() {
            line!(w, "let live_{s} = first + {s}u < record.rows;");
            let entry = format!("record.batch_start + min(first + {s}u, record.rows - 1u)");
            line!(w, "let row_{s} = order[{entry}];");
            for o in 0..width {
                line!(w, "let t{o}_{s} = targets[row_{s} * {width}u + {o}u];");
            }
        }
        if self.reads_features() {
            return;
        }
        let inputs = self.net.inputs;
        for s in self.samples() {
            for u in 0..self.net.slots(inputs) {
                let feature = format!("features[row_{s} * {inputs}u + {}]", self.unit(u, inputs));
                line!(w, "let x{u}_{s} = {};", self.padded(&feature, u, inputs));
            }
        }
    }
}
