//! Which weight gradients run two in a dispatch.

use super::{Lowering, Work};
use crate::graph::Pass;
use crate::kernel::matmul;
use crate::kernel::reflect::{self, Access};
use crate::kernel::{Launch, Operand};
use crate::plan::{AdapterClass, launch_limits};

impl Lowering<'_> {
    /// Has every two weight gradients of the same sizes computed by one dispatch, in the place of the later one: on GPUs,
    /// which one product of few numbers leaves idle for the most part, and where a dispatch takes time to start.
    pub(in crate::plan) fn pair_products(&mut self) {
        if !self.options.fuse || self.target.class != AdapterClass::Gpu {
            return;
        }
        let work = std::mem::take(&mut self.lowered.work);
        let may: Vec<bool> = (0..work.len()).map(|number| self.may_wait(&work, number)).collect();
        let mut waiting: Vec<(usize, Work)> = Vec::new();
        let mut paired: Vec<(usize, Work)> = Vec::new();
        for (number, (work, may)) in work.into_iter().zip(may).enumerate() {
            if !may {
                paired.push((number, work));
                continue;
            }
            let found = waiting.iter().enumerate().find_map(|(at, (_, earlier))| {
                let both = matmul::pair(&earlier.launch, &work.launch)?;
                launch_limits::check(&both, self.target).is_ok().then_some((at, both))
            });
            match found {
                Some((at, launch)) => {
                    waiting.remove(at);
                    paired.push((number, Work { launch, ..work }));
                }
                None => waiting.push((number, work)),
            }
        }
        paired.extend(waiting);
        paired.sort_by_cached_key(|(number, _)| *number);
        self.lowered.work = paired.into_iter().map(|(_, work)| work).collect();
    }

    /// Whether a dispatch is a weight gradient that may come later than it could, since what reads it ends in the update
    /// or with the host. So no two of them depend on each other, whichever run together.
    fn may_wait(&self, all: &[Work], number: usize) -> bool {
        let of = |number: usize| all.get(number);
        let Some(work) = of(number) else { return false };
        if work.pass != Pass::Backward || !matmul::is_weight_gradient(&work.launch) {
            return false;
        }
        let mut seen = vec![number];
        let mut at = 0;
        while let Some(work) = seen.get(at).and_then(|&number| of(number)) {
            at += 1;
            for (other, reader) in all.iter().enumerate() {
                if seen.contains(&other) || !self.reads_from(reader, work) {
                    continue;
                }
                if reader.pass == Pass::Forward || reader.launch.multiply_adds > 0 {
                    return false;
                }
                seen.push(other);
            }
        }
        true
    }

    /// Whether `reader` reads what `writer` writes.
    fn reads_from(&self, reader: &Work, writer: &Work) -> bool {
        let written = self.tensors_of(&writer.launch, true);
        self.tensors_of(&reader.launch, false).iter().any(|tensor| written.contains(tensor))
    }

    /// The tensors that a launch writes, or reads.
    fn tensors_of(&self, launch: &Launch, written: bool) -> Vec<usize> {
        let bindings = reflect::bindings(&launch.parts);
        let tensors = launch.operands.iter().filter_map(|&(name, operand)| {
            let Operand::Tensor(tensor) = operand else { return None };
            let is_written = bindings
                .iter()
                .any(|binding| binding.name == name && binding.access == Access::ReadWrite);
            (is_written == written).then_some(self.root(tensor).index())
        });
        tensors.collect()
    }
}
