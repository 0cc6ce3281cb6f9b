//! Which weight gradients run two in a dispatch.

use super::{Lowering, Work};
use crate::graph::Pass;
use crate::kernel::matmul;
use crate::plan::{AdapterClass, PlanOptions, PlanScope, launch_limits};

/// Multiply-adds of a product, for each invocation that fills the device, up to which two run together. The loop of
/// two takes about a hundredth longer, since it asks each time which of them it loads for; of two products of this
/// size that is 3 µs on most GPUs, and a dispatch takes 5 to start.
const MOST: u64 = 1 << 15;

impl Lowering<'_> {
    /// Has every two weight gradients of the same sizes computed by one dispatch, in the place of the later one: on
    /// GPUs, where a dispatch takes time to start and a small product leaves most of the device idle. In plans of
    /// gradients alone none waits for another: lanes send them as soon as they are complete.
    pub(super) fn run_two_together(&mut self) {
        let PlanOptions { fuse, portion, .. } = *self.options;
        // A page does not download what saves 1 to 4 % of a step.
        let is_gpu = self.target.class == AdapterClass::Gpu && !cfg!(target_arch = "wasm32");
        if !(fuse && is_gpu) || portion == PlanScope::Gradients {
            return;
        }
        let may = self.may_wait();
        let mut waiting: Vec<(usize, Work)> = Vec::new();
        let mut done: Vec<(usize, Work)> = Vec::new();
        for (number, work) in std::mem::take(&mut self.lowered.work).into_iter().enumerate() {
            if !may.contains(&number) {
                done.push((number, work));
                continue;
            }
            let found = waiting.iter().enumerate().find_map(|(at, (_, earlier))| {
                let both = matmul::two(&earlier.launch, &work.launch)?;
                launch_limits::check(&both, self.target).is_ok().then_some((at, both))
            });
            match found {
                Some((at, launch)) => {
                    waiting.remove(at);
                    done.push((number, Work { launch, ..work }));
                }
                None => waiting.push((number, work)),
            }
        }
        done.extend(waiting);
        done.sort_by_cached_key(|(number, _)| *number);
        self.lowered.work = done.into_iter().map(|(_, work)| work).collect();
    }

    /// The weight gradients that may come later than they could: what reads one leads to the update or the host, and to
    /// no other product. So no two of them wait for each other, whichever run together.
    fn may_wait(&self) -> Vec<usize> {
        let work = &self.lowered.work;
        // Which dispatches read what each writes.
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); work.len()];
        for uses in self.uses().values() {
            let of = |written: bool| {
                uses.iter().filter(move |of| of.is_written == written).map(|of| of.work)
            };
            for writer in of(true) {
                readers[writer].extend(of(false));
            }
        }
        let most = MOST.saturating_mul(self.target.filled_by as u64);
        let may = |&number: &usize| {
            let Work { launch, pass, .. } = &work[number];
            if *pass != Pass::Backward
                || launch.multiply_adds > most
                || !matmul::is_weight_gradient(launch)
            {
                return false;
            }
            let mut reached = readers[number].clone();
            let mut at = 0;
            while let Some(&reader) = reached.get(at) {
                at += 1;
                if work[reader].pass == Pass::Forward || work[reader].launch.multiply_adds > 0 {
                    return false;
                }
                let more: Vec<usize> = readers[reader]
                    .iter()
                    .copied()
                    .filter(|next| !reached.contains(next))
                    .collect();
                reached.extend(more);
            }
            true
        };
        (0..work.len()).filter(may).collect()
    }
}
