//! What differs from one step to the next.

use bytemuck::{Pod, Zeroable};

use super::serial::Serial;
use crate::graph::UpdateRule;
use crate::{Error, Result};

/// The part of a step that is not in the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Steps completed before this one, over the life of the parameters: what Adam's corrections depend
    /// on (but for parameters that [missed](crate::graph::Graph::missed_steps) some), what [dropout](crate::graph::Graph::dropout) draws by, and what a report names the step by.
    /// Numbers may repeat.
    pub number: u64,
    /// First entry of the batch in the epoch's order of rows.
    pub batch_start: u32,
    /// Which row of the whole batch is the first one here: 0, unless a batch is computed in parts. Dropout
    /// draws by it, so that parts drop what the whole would.
    pub first_row: u32,
    /// The rule and η, of a step that trains.
    update: Option<(UpdateRule, f32)>,
}

impl Step {
    /// A step that only computes, drawing its batch from `batch_start`: for plans without an update.
    pub fn forward(batch_start: u32) -> Self {
        Self { number: 0, batch_start, first_row: 0, update: None }
    }

    /// A step of training by the plan's `rule`: number `number` (from 0) with learning rate η, drawing its
    /// batch from `batch_start`. A plan without an update computes the same as by [`Step::forward`].
    pub fn training(rule: UpdateRule, number: u64, batch_start: u32, learning_rate: f32) -> Self {
        Self { number, batch_start, first_row: 0, update: Some((rule, learning_rate)) }
    }

    /// η, if it trains.
    pub fn learning_rate(&self) -> Option<f32> {
        self.update.map(|(_, rate)| rate)
    }

    /// η and Adam's corrections by the rule of what is to run, if that trains; else zeros. The corrections are those
    /// of parameters that `missed` so many steps.
    ///
    /// # Errors
    /// [`Error::Argument`] if it trains and the step does not, or by another rule.
    pub(super) fn figures(&self, trains: Option<UpdateRule>, missed: u64) -> Result<StepFigures> {
        let Some(rule) = trains else { return Ok(StepFigures::default()) };
        // Made where it is needed only: this is asked of every step.
        let refused = |found: String| {
            let remedy = format!("one of `Step::training` with the plan's rule, {rule:?}");
            Err(Error::argument("step", found, &remedy))
        };
        match self.update {
            None => refused("one without a learning rate".into()),
            Some((other, _)) if other != rule => refused(format!("one of {other:?}")),
            Some((_, learning_rate)) => {
                let number = self.number.saturating_sub(missed);
                let (correction1, correction2) = corrections(rule, number);
                Ok(StepFigures { learning_rate, correction1, correction2 })
            }
        }
    }
}

/// Adam's `1 / (1 - β₁ᵗ)` and `1 / (1 - β₂ᵗ)` for step `number`, t counted from 1; ones for rules without such
/// means.
fn corrections(rule: UpdateRule, number: u64) -> (f32, f32) {
    let Some([beta1, beta2]) = rule.row().means else { return (1.0, 1.0) };
    let t = number as f64 + 1.0;
    // Computed in f64: 1 - βᵗ loses all digits in f32 when β is close to 1.
    let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(t))) as f32;
    (correction(beta1), correction(beta2))
}

/// Whether the steps of `rule` have corrections.
pub(crate) fn corrects(rule: UpdateRule) -> bool {
    rule.row().means.is_some()
}

/// What the update needs to know of a step.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub(super) struct StepFigures {
    pub(super) learning_rate: f32,
    pub(super) correction1: f32,
    pub(super) correction2: f32,
}

/// A step as the device reads it; `struct Step` of `shaders/shared/prelude.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct StepRecord {
    serial: [u32; 2],
    number: [u32; 2],
    batch_start: u32,
    first_row: u32,
    result_row: u32,
    figures: StepFigures,
}

impl StepRecord {
    /// The record of `step` under `serial` for a plan that trains by a rule or does not, of parameters that `missed`
    /// so many steps; its results go to `result_row`.
    ///
    /// # Errors
    /// Those of [`Step::figures`].
    pub(super) fn new(
        step: &Step,
        trains: Option<UpdateRule>,
        missed: u64,
        serial: Serial,
        result_row: u32,
    ) -> Result<Self> {
        Ok(Self {
            serial: serial.words(),
            number: words(step.number),
            batch_start: step.batch_start,
            first_row: step.first_row,
            result_row,
            figures: step.figures(trains, missed)?,
        })
    }
}

/// The two halves of a number, the lower one first.
pub(super) fn words(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;

    const ADAM: UpdateRule = UpdateRule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
    };

    /// However large the number: 1 / (1 - βᵗ) falls to 1, and stays there.
    #[test]
    fn corrections_hold_for_all_numbers() {
        let first = corrections(ADAM, 0);
        assert!(
            abs_diff_eq!(first.0, 10.0, epsilon = 1e-4)
                && abs_diff_eq!(first.1, 1000.0, epsilon = 0.1),
            "{first:?}"
        );
        let numbers = [1, 100, 1 << 16, 1 << 24, (1 << 32) - 2, 1 << 32, 1 << 53, u64::MAX];
        let mut before = first;
        for number in numbers {
            let now = corrections(ADAM, number);
            assert!(now.0 <= before.0 && now.1 <= before.1, "step {number}: {now:?}");
            assert!(now.0 >= 1.0 && now.1 >= 1.0, "step {number}: {now:?}");
            before = now;
        }
        assert_eq!(before, (1.0, 1.0));
    }

    /// A parameter that missed steps has the corrections of one that began so much later.
    #[test]
    fn missed_steps_do_not_count() {
        let figures = |number, missed| {
            Step::training(ADAM, number, 0, 0.5).figures(Some(ADAM), missed).expect("of its rule")
        };
        assert_eq!(figures(40, 40), figures(0, 0));
        assert_eq!(figures(43, 40), figures(3, 0));
        assert_ne!(figures(43, 0), figures(3, 0));
        assert!(corrects(ADAM) && !corrects(UpdateRule::Sgd { weight_decay: 0.0 }));
    }

    #[test]
    fn a_step_fits_what_trains() {
        let sgd = UpdateRule::Sgd { weight_decay: 0.0 };
        let step = Step::training(sgd, 7, 0, 0.0);
        assert!(step.figures(Some(sgd), 0).is_ok(), "a learning rate of 0, if it is said");
        assert!(step.figures(None, 0).is_ok() && Step::forward(3).figures(None, 0).is_ok());
        for (step, part) in [(Step::forward(0), "without a learning rate"), (step, "Sgd")] {
            let error = step.figures(Some(ADAM), 0).expect_err(part).to_string();
            assert!(error.contains(part) && error.contains("Step::training"), "{error}");
        }
    }
}
