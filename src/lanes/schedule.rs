//! Schedules: how the passes of a training step are laid over lanes.
#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;

use crate::{Error, Result};

/// How passes are laid over lanes. The result is the same, bit for bit, for a given number of
/// micro-batches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// One lane, one pass after another, each step done before the next begins.
    Serial,
    /// One lane; a step is one submission, recorded and uploaded while the device still computes
    /// the one before.
    Overlapped,
    /// A lane per stage, each with some of the layers. Micro-batches follow each other through the
    /// stages, one forward, one backward (Narayanan et al., 2021).
    Pipeline {
        /// The number of layers with parameters of each stage, one entry per lane; empty to cut by cost.
        stages: Vec<usize>,
    },
    /// A copy of the model per lane, each with a share of the micro-batches.
    DataParallel {
        /// Micro-batches of each lane; empty for equal shares.
        shares: Vec<usize>,
    },
    /// Replicas that are pipelines: lanes `0..stages` are the first one's stages, the next ones the second's.
    /// Each has an equal share of the micro-batches.
    Replicated {
        /// As for a pipeline, one entry per stage; empty to cut by cost.
        stages: Vec<usize>,
        /// How many pipelines there are; the lanes are a multiple of it.
        replicas: usize,
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
            Schedule::Replicated { .. } => "replicated pipeline",
        }
    }
}

/// Lanes as replicas of stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Stages of each replica; 1 of a model in one piece.
    pub(crate) stages: usize,
    pub(crate) replicas: usize,
}

impl Grid {
    /// That of `lanes` lanes.
    pub(crate) fn new(schedule: &Schedule, lanes: usize) -> Self {
        match schedule {
            Schedule::Serial | Schedule::Overlapped => Self { stages: 1, replicas: 1 },
            Schedule::Pipeline { .. } => Self { stages: lanes, replicas: 1 },
            Schedule::DataParallel { .. } => Self { stages: 1, replicas: lanes },
            Schedule::Replicated { replicas, .. } => {
                let stages = lanes.checked_div(*replicas).unwrap_or(0);
                Self { stages, replicas: *replicas }
            }
        }
    }

    /// Whether no lane has the whole model.
    pub(crate) fn is_pipeline(self) -> bool {
        self.stages > 1
    }

    /// The replica and the stage of a lane.
    pub(crate) fn place(self, lane: usize) -> (usize, usize) {
        let stages = self.stages.max(1);
        (lane.div_euclid(stages), lane.rem_euclid(stages))
    }

    /// The lane of a replica's stage.
    pub(crate) fn lane(self, replica: usize, stage: usize) -> usize {
        replica.saturating_mul(self.stages).saturating_add(stage)
    }
}

/// One thing that a lane does in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Instruction {
    /// The forward pass of a micro-batch, from its inputs or the activations of the stage before.
    Forward(usize),
    /// Its backward pass, from the loss or the gradients of the stage after; its gradients are added
    /// to the lane's sums.
    Backward(usize),
    /// The sums of all lanes become one, and the parameters move.
    Update,
}

/// What stage `stage` of `stages` does for `micro_batches`: two forward passes for each stage behind
/// it, so that a message on its way is not waited for, then one forward and one backward in turn, then
/// the backward passes that are left. A model in one piece is a pipeline of one stage.
pub(crate) fn program(
    stage: usize,
    stages: usize,
    micro_batches: Range<usize>,
) -> Vec<Instruction> {
    let ahead = in_flight(stage, stages, micro_batches.len()).saturating_sub(1);
    let mut program = Vec::new();
    program.extend(micro_batches.clone().take(ahead).map(Instruction::Forward));
    for forward in micro_batches.clone().skip(ahead) {
        program.push(Instruction::Forward(forward));
        // `forward` is at least so far from the first.
        program.push(Instruction::Backward(forward.saturating_sub(ahead)));
    }
    program.extend(micro_batches.clone().rev().take(ahead).rev().map(Instruction::Backward));
    program.push(Instruction::Update);
    program
}

/// Most micro-batches whose activations a stage holds at once: one, and two for each stage behind it.
pub(crate) fn in_flight(stage: usize, stages: usize, micro_batches: usize) -> usize {
    let behind = stages.saturating_sub(stage);
    behind.saturating_add(behind.saturating_sub(1)).min(micro_batches)
}

/// The rows of each micro-batch: `rows` rows in `micro_batches` parts, or in as many as there are
/// rows, the larger ones first.
pub(crate) fn micro_batches(rows: usize, micro_batches: usize) -> Vec<Range<usize>> {
    let parts = micro_batches.min(rows).max(1);
    let (size, more) = (rows.div_euclid(parts), rows.rem_euclid(parts));
    let mut start = 0_usize;
    let part = |part: usize| {
        let begin = start;
        // No more than all rows.
        start = start.saturating_add(size).saturating_add(usize::from(part < more));
        begin..start
    };
    (0..parts).map(part).collect()
}

/// Contiguous shares of `count` things in proportion to `weights`; nobody gets anything if all weights
/// are 0.
pub(crate) fn shares(count: usize, weights: &[usize]) -> Vec<Range<usize>> {
    let total = weights.iter().fold(0_u128, |sum, &weight| sum.saturating_add(weight as u128));
    // Sums of weights that 64 bits do not hold lose their last digits, so that a product fits in 128.
    let shift = u128::BITS.saturating_sub(total.leading_zeros()).saturating_sub(u64::BITS);
    let shifted = |sum: u128| sum.checked_shr(shift).unwrap_or(0);
    let mut before = 0_u128;
    let mut start = 0;
    weights
        .iter()
        .map(|&weight| {
            before = before.saturating_add(weight as u128);
            // Rounded to the nearest.
            let half = shifted(total).div_euclid(2);
            let product = shifted(before).saturating_mul(count as u128).saturating_add(half);
            let end = product.checked_div(shifted(total)).unwrap_or(0);
            let share = start..usize::try_from(end).unwrap_or(count).max(start);
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
        let rule = format!("1 to {}, the number of layers with parameters", costs.len());
        return Err(Error::argument("number of pipeline stages", stages, &rule));
    }
    // A row of the table for one group more than the row before; in column n the first n layers: the cost
    // of the most expensive of their groups, and the size of the last group.
    // No group at all has the first 0 layers, and no more.
    let mut rows: Vec<Vec<Option<(u128, usize)>>> =
        vec![(0..=costs.len()).map(|n| (n == 0).then_some((0, 0))).collect()];
    for _ in 0..stages {
        let before = rows.last().map_or(&[][..], Vec::as_slice);
        let row = (0..=costs.len()).map(|n| {
            let mut best: Option<(u128, usize)> = None;
            let mut last_group = 0_u128;
            // The last group grows by the layer before it.
            let layers = costs.iter().take(n).rev().zip(before.iter().take(n).rev());
            for (size, (cost, earlier)) in (1..).zip(layers) {
                last_group = last_group.saturating_add(u128::from(*cost));
                let Some((earlier, _)) = *earlier else { continue };
                let dearest = earlier.max(last_group);
                if best.is_none_or(|(cost, _)| dearest < cost) {
                    best = Some((dearest, size));
                }
            }
            best
        });
        let row = row.collect();
        rows.push(row);
    }
    let mut left = costs.len();
    let sizes = rows.iter().skip(1).rev().map(|row| {
        let size = row.get(left).copied().flatten().map_or(0, |(_, size)| size);
        left = left.saturating_sub(size);
        size
    });
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.reverse();
    Ok(sizes)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
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
    fn numbers_at_their_types_end_neither_wrap_nor_panic() {
        let most = usize::MAX;
        assert_eq!(shares(4, &[most, most]), [0..2, 2..4]);
        assert_eq!(shares(4, &[most, 1]), [0..4, 4..4]);
        assert_eq!(shares(4, &[1 << 62, 1 << 61]), [0..3, 3..4]);
        assert_eq!(shares(most, &[most, most, 0]).last(), Some(&(most..most)));
        assert_eq!(shares(8, &[0, 0]), [0..0, 0..0]);
        assert_eq!(in_flight(0, most, 9), 9);
        assert_eq!(in_flight(0, most, most), most);
        assert_eq!(micro_batches(most, 2).last(), Some(&(most / 2 + 1..most)));
        assert_eq!(cut(&[u64::MAX, u64::MAX, 1], 2).ok(), Some(vec![1, 2]));
        assert!(cut(&[1, 1], most).is_err());
    }

    #[test]
    fn micro_batches_differ_by_one_row_at_most() {
        assert_eq!(micro_batches(10, 4), [0..3, 3..6, 6..8, 8..10]);
        assert_eq!(micro_batches(2, 5), [0..1, 1..2]);
    }
}
