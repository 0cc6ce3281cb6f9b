//! Learning-rate schedules.
#![deny(clippy::arithmetic_side_effects)]

use crate::Error;

/// How the learning rate changes. All lengths are in steps (updates), not epochs.
#[cfg_attr(
    feature = "files",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum LearningRateSchedule {
    /// Always the same.
    #[default]
    Constant,
    /// Times `factor` after every `every` steps.
    Step {
        /// Steps between two changes.
        every: u64,
        /// Factor of each change.
        factor: f64,
    },
    /// Half a cosine from 1 to `floor` over `steps`, then `floor` (Loshchilov and Hutter, 2017).
    Cosine {
        /// Length.
        steps: u64,
        /// Factor at the end.
        floor: f64,
    },
    /// Rises in a line, then follows another schedule from its start; see [`LearningRateSchedule::warm_up`].
    WarmUp(WarmUp),
}

/// Rises from zero, and what follows them. They are a list, not one in another: however many there
/// are, nothing that walks along them needs a stack for it.
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq)]
pub struct WarmUp {
    /// Lengths, the last one first.
    rises: Vec<u64>,
    /// What follows: no other warm-up.
    then: Box<LearningRateSchedule>,
}

impl WarmUp {
    /// Steps of each rise, the last one first: as they were asked for.
    pub fn rises(&self) -> &[u64] {
        &self.rises
    }

    /// What follows the rises.
    pub fn then(&self) -> &LearningRateSchedule {
        &self.then
    }
}

impl LearningRateSchedule {
    /// [`LearningRateSchedule::Step`].
    pub fn step(every: u64, factor: f64) -> Self {
        LearningRateSchedule::Step { every, factor }
    }

    /// [`LearningRateSchedule::Cosine`].
    pub fn cosine(steps: u64, floor: f64) -> Self {
        LearningRateSchedule::Cosine { steps, floor }
    }

    /// This schedule after a rise in a line over `steps` steps.
    pub fn warm_up(self, steps: u64) -> Self {
        let mut warm_up = match self {
            LearningRateSchedule::WarmUp(warm_up) => warm_up,
            then => WarmUp { rises: Vec::new(), then: Box::new(then) },
        };
        warm_up.rises.push(steps);
        LearningRateSchedule::WarmUp(warm_up)
    }

    /// The factor at `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        match self {
            LearningRateSchedule::Constant => 1.0,
            LearningRateSchedule::Step { every, factor } => {
                factor.powf(step.checked_div(*every).unwrap_or(step) as f64)
            }
            LearningRateSchedule::Cosine { steps, floor } => {
                let progress = (step as f64 / (*steps).max(1) as f64).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            LearningRateSchedule::WarmUp(WarmUp { rises, then }) => {
                let mut step = step;
                for rise in rises.iter().rev() {
                    match step.checked_sub(*rise) {
                        // The first step moves already: a learning rate of zero would waste a batch.
                        None => return step.saturating_add(1) as f64 / *rise as f64,
                        Some(behind) => step = behind,
                    }
                }
                then.factor(step)
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let positive = |name, steps: u64| match steps {
            0 => Err(Error::argument(name, steps, "at least 1")),
            _ => Ok(()),
        };
        let share = |name, value: f64| {
            let fits = (0.0..=1.0).contains(&value);
            if fits { Ok(()) } else { Err(Error::argument(name, value, "from 0 to 1")) }
        };
        match self {
            LearningRateSchedule::Constant => Ok(()),
            LearningRateSchedule::Step { every, factor } => {
                positive("schedule's `every`", *every)?;
                share("schedule's `factor`", *factor)
            }
            LearningRateSchedule::Cosine { steps, floor } => {
                positive("schedule's `steps`", *steps)?;
                share("schedule's `floor`", *floor)
            }
            LearningRateSchedule::WarmUp(WarmUp { rises, then }) => {
                rises.iter().try_for_each(|&rise| positive("warm-up's `steps`", rise))?;
                // Only a file could say so.
                if matches!(**then, LearningRateSchedule::WarmUp(_)) {
                    let rule = "another schedule than a warm-up, of which there is one list";
                    return Err(Error::argument("what follows a warm-up", "a warm-up", rule));
                }
                then.check()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::{abs_diff_eq, assert_abs_diff_eq};

    #[test]
    fn schedules_take_their_corner_values() {
        let step = LearningRateSchedule::step(10, 0.5);
        assert_eq!([0, 9, 10, 20].map(|s| step.factor(s)), [1.0, 1.0, 0.5, 0.25]);
        let cosine = LearningRateSchedule::cosine(100, 0.1);
        assert_eq!(cosine.factor(0), 1.0);
        assert_abs_diff_eq!(cosine.factor(50), 0.55, epsilon = 1e-12);
        assert!(
            abs_diff_eq!(cosine.factor(100), 0.1, epsilon = 1e-12)
                && abs_diff_eq!(cosine.factor(9_999), 0.1, epsilon = 1e-12)
        );
        let warm = LearningRateSchedule::cosine(100, 0.0).warm_up(4);
        assert_eq!([0, 1, 3, 4].map(|s| warm.factor(s)), [0.25, 0.5, 1.0, 1.0]);
        assert_abs_diff_eq!(warm.factor(54), 0.5, epsilon = 1e-12);
        // The last to be asked for comes first.
        let twice = LearningRateSchedule::step(1, 0.5).warm_up(2).warm_up(4);
        let factors = [0.25, 0.5, 0.75, 1.0, 0.5, 1.0, 1.0, 0.5, 0.25];
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 8].map(|s| twice.factor(s)), factors);
    }

    #[test]
    fn any_number_of_warm_ups_is_walked_without_a_stack() {
        let mut deep = LearningRateSchedule::Constant;
        for _ in 0..200_000 {
            deep = deep.warm_up(1);
        }
        assert!(deep.check().is_ok() && deep == deep.clone());
        assert_eq!([0, 3, 200_000, u64::MAX].map(|s| deep.factor(s)), [1.0; 4]);
        assert!(format!("{deep:?}").contains("Constant"));
        drop(deep);
        assert!(LearningRateSchedule::Constant.warm_up(0).warm_up(1).check().is_err());
    }

    #[test]
    fn steps_at_the_end_of_their_type_have_a_factor() {
        for schedule in [
            LearningRateSchedule::Constant,
            LearningRateSchedule::step(1, 0.5),
            LearningRateSchedule::step(u64::MAX, 0.5),
            LearningRateSchedule::cosine(u64::MAX, 0.0),
            LearningRateSchedule::cosine(1, 0.1).warm_up(u64::MAX),
            LearningRateSchedule::cosine(1, 0.1).warm_up(u64::MAX).warm_up(u64::MAX),
        ] {
            for step in [0, 1, u64::MAX - 1, u64::MAX] {
                let factor = schedule.factor(step);
                assert!((0.0..=1.0).contains(&factor), "{schedule:?} at {step}: {factor}");
            }
        }
    }
}
