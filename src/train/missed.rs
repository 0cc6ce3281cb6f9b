//! Steps in which parameters were not trained, since their layers were frozen: what Adam's corrections are without.
#![deny(clippy::arithmetic_side_effects)]

use crate::nn::Sequential;

/// Those of a model, as they stood when it last was another that was trained.
#[derive(Clone, Debug, Default)]
pub(crate) struct MissedSteps {
    of: Vec<u64>,
    step: u64,
}

impl MissedSteps {
    /// Those of a state at `step`.
    pub(crate) fn new(of: Vec<u64>, step: u64) -> Self {
        Self { of, step }
    }

    /// Those at `step`, if `model` was trained since.
    pub(crate) fn at(&self, step: u64, model: &Sequential) -> Vec<u64> {
        missed(&self.of, self.step, step, model)
    }

    /// Notes them at `step`, before another model is trained.
    pub(crate) fn note(&mut self, step: u64, model: &Sequential) {
        *self = Self { of: self.at(step, model), step };
    }
}

/// Those at step `to` of what missed `of` at step `from`; none if no parameter missed any.
pub(super) fn missed(of: &[u64], from: u64, to: u64, model: &Sequential) -> Vec<u64> {
    let before = of.iter().copied().chain(std::iter::repeat(0));
    let now = model.trained().zip(before).map(|(trained, before)| match trained {
        true => before.min(to),
        false => before.saturating_add(to).saturating_sub(from).min(to),
    });
    let now: Vec<u64> = now.collect();
    if now.iter().any(|&missed| missed > 0) { now } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_layers_miss_what_is_trained_meanwhile() {
        let net = Sequential::new(2).dense(3).tanh().dense(1);
        let frozen = net.clone().freeze("dense_0").unwrap();
        let mut steps = MissedSteps::default();
        assert!(steps.at(7, &net).is_empty());
        assert_eq!(steps.at(7, &frozen), [7, 7, 0, 0]);
        steps.note(7, &frozen);
        assert_eq!(steps.at(9, &net), [7, 7, 0, 0]);
        steps.note(9, &net);
        // Steps that were not finite do not count.
        assert_eq!(steps.at(8, &frozen), [6, 6, 0, 0]);
        assert_eq!(steps.at(11, &frozen), [9, 9, 0, 0]);
        assert!(steps.at(0, &frozen).is_empty());
    }
}
