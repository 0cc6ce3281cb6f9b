//! Schedules: how the passes of a training step are laid over lanes.

use std::ops::Range;

use crate::{Error, Result};

/// How passes are laid over lanes. The result is the same, bit for bit, for a given number of
/// micro-batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One lane, one pass after another, each step done before the next begins.
    Serial,
    /// One lane; a step is one submission, recorded and uploaded while the device still computes
    /// the one before.
    Overlapped,
    /// A lane per stage, each with some of the layers. Micro-batches follow each other through the
    /// stages, one forward, one backward (Narayanan et al., 2021).
    Pipeline {
        /// The number of dense layers of each stage, one entry per lane; empty to cut by cost.
        stages: Vec<usize>,
    },
    /// A copy of the model per lane, each with a share of the micro-batches.
    DataParallel {
        /// Micro-batches of each lane; empty for equal shares.
        shares: Vec<usize>,
    },
}

impl Schedule {
    /// A pipeline cut by estimated cost.
    pub fn pipeline() -> Self {
        Schedule::Pipeline { stages: Vec::new() }
    }

    /// Replicas with equal shares.
    pub fn data_parallel() -> Self {
        Schedule::DataParallel { shares: Vec::new() }
    }

    /// The name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Schedule::Serial => "serial",
            Schedule::Overlapped => "overlapped",
            Schedule::Pipeline { .. } => "pipeline",
            Schedule::DataParallel { .. } => "data-parallel",
        }
    }

    pub(crate) fn is_pipeline(&self) -> bool {
        matches!(self, Schedule::Pipeline { .. })
    }
}

/// One thing that a lane does in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// The forward pass of a micro-batch, from its inputs or the activations of the stage before.
    Forward(usize),
    /// Its backward pass, from the loss or the gradients of the stage after; its gradients are added
    /// to the lane's sums.
    Backward(usize),
    /// The sums of all lanes become one, and the parameters move.
    Update,
}

/// What stage `stage` of `stages` does for `micro_batches`: two forward passes for each stage behind
/// it, so that a message on its way is not waited for, then one forward and one backward in turn, then the backward passes that are
/// left. A model in one piece is a pipeline of one stage.
pub fn program(stage: usize, stages: usize, micro_batches: Range<usize>) -> Vec<Instruction> {
    let ahead = in_flight(stage, stages, micro_batches.len()).saturating_sub(1);
    let mut program = Vec::with_capacity(2 * micro_batches.len() + 1);
    program.extend(micro_batches.clone().take(ahead).map(Instruction::Forward));
    for forward in micro_batches.clone().skip(ahead) {
        program.push(Instruction::Forward(forward));
        program.push(Instruction::Backward(forward - ahead));
    }
    program.extend(micro_batches.clone().rev().take(ahead).rev().map(Instruction::Backward));
    program.push(Instruction::Update);
    program
}

/// Most micro-batches whose activations a stage holds at once: one, and two for each stage behind it.
pub fn in_flight(stage: usize, stages: usize, micro_batches: usize) -> usize {
    (2 * stages.saturating_sub(stage)).saturating_sub(1).min(micro_batches)
}

/// The rows of each micro-batch: `rows` rows in `micro_batches` parts, or in as many as there are
/// rows, the larger ones first.
pub fn micro_batches(rows: usize, micro_batches: usize) -> Vec<Range<usize>> {
    let parts = micro_batches.min(rows).max(1);
    let (size, more) = (rows / parts, rows % parts);
    let start = |part: usize| part * size + part.min(more);
    (0..parts).map(|part| start(part)..start(part + 1)).collect()
}

/// Contiguous shares of `count` things in proportion to `weights`.
pub fn shares(count: usize, weights: &[usize]) -> Vec<Range<usize>> {
    let total: usize = weights.iter().sum();
    let mut before = 0;
    let mut start = 0;
    weights
        .iter()
        .map(|weight| {
            before += weight;
            let end = (count * before + total / 2) / total.max(1);
            let share = start..end.max(start);
            start = share.end;
            share
        })
        .collect()
}

/// Cuts layers with these costs into `stages` contiguous groups so that the most expensive group is
/// as cheap as can be; the first such cut.
///
/// # Errors
/// [`Error::Argument`] if there are more stages than layers, or none.
pub fn cut(costs: &[u64], stages: usize) -> Result<Vec<usize>> {
    if stages == 0 || stages > costs.len() {
        let rule = format!("1 to {}, the number of dense layers", costs.len());
        return Err(Error::argument("number of pipeline stages", stages, &rule));
    }
    // best[k][n]: the cost of the most expensive of k groups of the first n layers, and the size of
    // the last group.
    let sum = |range: Range<usize>| costs.get(range).unwrap_or_default().iter().sum::<u64>();
    let mut best = vec![vec![(u64::MAX, 0); costs.len() + 1]; stages + 1];
    best[0][0] = (0, 0);
    for k in 1..=stages {
        for n in k..=costs.len() {
            for last in 1..=n {
                let cost = best[k - 1][n - last].0.max(sum(n - last..n));
                if cost < best[k][n].0 {
                    best[k][n] = (cost, last);
                }
            }
        }
    }
    let mut sizes = vec![0; stages];
    let mut left = costs.len();
    for k in (1..=stages).rev() {
        sizes[k - 1] = best[k][left].1;
        left -= sizes[k - 1];
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Runs the programs of all stages as far as messages allow; the most micro-batches that each
    /// stage held at once.
    fn simulate(stages: usize, micro_batches: usize) -> Vec<usize> {
        let programs: Vec<_> = (0..stages).map(|s| program(s, stages, 0..micro_batches)).collect();
        let mut done = HashSet::new();
        let mut at = vec![0; stages];
        let (mut held, mut most) = (vec![0_usize; stages], vec![0; stages]);
        loop {
            let mut moved = false;
            for stage in 0..stages {
                let Some(&instruction) = programs[stage].get(at[stage]) else { continue };
                let possible = match instruction {
                    Instruction::Forward(_) if stage == 0 => true,
                    Instruction::Forward(_) => done.contains(&(stage - 1, instruction)),
                    Instruction::Backward(m) if stage + 1 == stages => {
                        done.contains(&(stage, Instruction::Forward(m)))
                    }
                    Instruction::Backward(_) => done.contains(&(stage + 1, instruction)),
                    Instruction::Update => true,
                };
                if possible {
                    match instruction {
                        Instruction::Forward(_) => held[stage] += 1,
                        Instruction::Backward(_) => held[stage] -= 1,
                        Instruction::Update => assert_eq!(held[stage], 0),
                    }
                    most[stage] = most[stage].max(held[stage]);
                    assert!(done.insert((stage, instruction)), "{instruction:?} twice");
                    at[stage] += 1;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        for (stage, program) in programs.iter().enumerate() {
            assert_eq!(at[stage], program.len(), "stage {stage} of {stages} waits forever");
            assert_eq!(program.len(), 2 * micro_batches + 1);
        }
        most
    }

    #[test]
    fn no_pipeline_hangs_and_memory_is_bounded() {
        for stages in 1..9 {
            for micro_batches in 1..20 {
                let most = simulate(stages, micro_batches);
                let bound: Vec<_> =
                    (0..stages).map(|s| in_flight(s, stages, micro_batches)).collect();
                assert_eq!(most, bound, "{stages} stages, {micro_batches} micro-batches");
            }
        }
    }

    #[test]
    fn shares_cover_everything_once_and_follow_the_weights() {
        assert_eq!(shares(8, &[1, 1]), [0..4, 4..8]);
        assert_eq!(shares(8, &[3, 1]), [0..6, 6..8]);
        assert_eq!(shares(3, &[1, 0, 2]), [0..1, 1..1, 1..3]);
        for count in 0..20 {
            for weights in [vec![1, 1, 1], vec![5, 1, 1], vec![0, 7, 2, 2]] {
                let shares = shares(count, &weights);
                assert_eq!(shares.first().map(|s| s.start), Some(0));
                assert_eq!(shares.last().map(|s| s.end), Some(count));
                assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            }
        }
    }

    #[test]
    fn the_dearest_stage_is_as_cheap_as_can_be() {
        assert_eq!(cut(&[1, 1, 1, 1], 2).ok(), Some(vec![2, 2]));
        assert_eq!(cut(&[10, 1, 1, 1], 2).ok(), Some(vec![1, 3]));
        assert_eq!(cut(&[1, 1, 10], 3).ok(), Some(vec![1, 1, 1]));
        assert!(cut(&[1, 1], 3).is_err());
        assert!(cut(&[1, 1], 0).is_err());
    }

    #[test]
    fn micro_batches_differ_by_one_row_at_most() {
        assert_eq!(micro_batches(10, 4), [0..3, 3..6, 6..8, 8..10]);
        assert_eq!(micro_batches(2, 5), [0..1, 1..2]);
    }
}
