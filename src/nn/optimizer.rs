//! Optimizers and learning-rate schedules.

use crate::Error;
use crate::graph::UpdateRule;

/// An update rule with its learning rate, schedule and gradient clipping.
///
/// ```
/// use wgrad::nn::{Optimizer, Schedule};
/// let optimizer = Optimizer::adam(1e-3)
///     .clip_norm(1.0)
///     .schedule(Schedule::cosine(1_000, 0.0).warm_up(100));
/// assert!(optimizer.learning_rate_at(50) < 1e-3);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    rule: UpdateRule,
    learning_rate: f32,
    schedule: Schedule,
    clip_norm: Option<f32>,
}

impl Optimizer {
    /// Any rule.
    pub fn new(rule: UpdateRule, learning_rate: f32) -> Self {
        Self { rule, learning_rate, schedule: Schedule::Constant, clip_norm: None }
    }

    /// Stochastic gradient descent.
    pub fn sgd(learning_rate: f32) -> Self {
        Self::new(UpdateRule::Sgd { weight_decay: 0.0 }, learning_rate)
    }

    /// Gradient descent with momentum μ.
    pub fn momentum(learning_rate: f32, momentum: f32) -> Self {
        let rule = UpdateRule::Momentum { momentum, nesterov: false, weight_decay: 0.0 };
        Self::new(rule, learning_rate)
    }

    /// Gradient descent with Nesterov's momentum μ.
    pub fn nesterov(learning_rate: f32, momentum: f32) -> Self {
        Self::new(
            UpdateRule::Momentum { momentum, nesterov: true, weight_decay: 0.0 },
            learning_rate,
        )
    }

    /// Adam with β₁ = 0.9, β₂ = 0.999, ε = 1e-8.
    pub fn adam(learning_rate: f32) -> Self {
        Self::new(adam(0.0, false), learning_rate)
    }

    /// AdamW: Adam whose weight decay does not pass through the moments.
    pub fn adamw(learning_rate: f32, weight_decay: f32) -> Self {
        Self::new(adam(weight_decay, true), learning_rate)
    }

    /// Adds an L2 penalty λ to the rule (for AdamW: sets its decay).
    pub fn weight_decay(mut self, decay: f32) -> Self {
        match &mut self.rule {
            UpdateRule::Sgd { weight_decay }
            | UpdateRule::Momentum { weight_decay, .. }
            | UpdateRule::Adam { weight_decay, .. } => *weight_decay = decay,
        }
        self
    }

    /// Scales the gradients of a step down to this norm, taken over all parameters together, when
    /// theirs is larger (Pascanu et al., 2013).
    pub fn clip_norm(mut self, norm: f32) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// Changes the learning rate from step to step.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// The rule.
    pub fn rule(&self) -> UpdateRule {
        self.rule
    }

    /// The largest norm, if gradients are clipped.
    pub fn clip(&self) -> Option<f32> {
        self.clip_norm
    }

    /// η at `step`, counted from 0.
    pub fn learning_rate_at(&self, step: u64) -> f32 {
        (f64::from(self.learning_rate) * self.schedule.factor(step)) as f32
    }

    /// # Errors
    /// [`Error::Argument`] naming the first hyperparameter that is out of range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let within = |name: &str, value: f32, fits: bool, rule: &str| {
            if value.is_finite() && fits { Ok(()) } else { Err(Error::argument(name, value, rule)) }
        };
        check_learning_rate(self.learning_rate)?;
        if let Some(norm) = self.clip_norm {
            within("clip_norm", norm, norm > 0.0, "positive and finite")?;
        }
        self.rule.check()?;
        self.schedule.check()
    }
}

/// # Errors
/// [`Error::Argument`] if it is not positive and finite.
pub(crate) fn check_learning_rate(rate: f32) -> Result<(), Error> {
    if rate > 0.0 && rate.is_finite() {
        return Ok(());
    }
    Err(Error::argument("learning rate", rate, "positive and finite"))
}

fn adam(weight_decay: f32, decoupled: bool) -> UpdateRule {
    UpdateRule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay, decoupled }
}

/// How the learning rate changes. All lengths are in steps (updates), not epochs.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Schedule {
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
    /// Rises in a line over `steps`, then follows another schedule from its start.
    WarmUp {
        /// Length of the rise.
        steps: u64,
        /// What follows.
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// [`Schedule::Step`].
    pub fn step(every: u64, factor: f64) -> Self {
        Schedule::Step { every, factor }
    }

    /// [`Schedule::Cosine`].
    pub fn cosine(steps: u64, floor: f64) -> Self {
        Schedule::Cosine { steps, floor }
    }

    /// This schedule after a [`Schedule::WarmUp`].
    pub fn warm_up(self, steps: u64) -> Self {
        Schedule::WarmUp { steps, then: Box::new(self) }
    }

    /// The factor at `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Step { every, factor } => factor.powf((step / (*every).max(1)) as f64),
            Schedule::Cosine { steps, floor } => {
                let progress = (step as f64 / (*steps).max(1) as f64).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            // The first step moves already: a learning rate of zero would waste a batch.
            Schedule::WarmUp { steps, .. } if step < *steps => (step + 1) as f64 / *steps as f64,
            Schedule::WarmUp { steps, then } => then.factor(step - steps),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let positive = |name, steps: u64| match steps {
            0 => Err(Error::argument(name, steps, "at least 1")),
            _ => Ok(()),
        };
        let share = |name, value: f64| {
            let fits = (0.0..=1.0).contains(&value);
            if fits { Ok(()) } else { Err(Error::argument(name, value, "from 0 to 1")) }
        };
        match self {
            Schedule::Constant => Ok(()),
            Schedule::Step { every, factor } => {
                positive("schedule's `every`", *every)?;
                share("schedule's `factor`", *factor)
            }
            Schedule::Cosine { steps, floor } => {
                positive("schedule's `steps`", *steps)?;
                share("schedule's `floor`", *floor)
            }
            Schedule::WarmUp { steps, then } => {
                positive("warm-up's `steps`", *steps)?;
                then.check()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_take_their_corner_values() {
        let step = Schedule::step(10, 0.5);
        assert_eq!([0, 9, 10, 20].map(|s| step.factor(s)), [1.0, 1.0, 0.5, 0.25]);
        let cosine = Schedule::cosine(100, 0.1);
        assert_eq!(cosine.factor(0), 1.0);
        assert!((cosine.factor(50) - 0.55).abs() < 1e-12);
        assert!(
            (cosine.factor(100) - 0.1).abs() < 1e-12 && (cosine.factor(9_999) - 0.1).abs() < 1e-12
        );
        let warm = Schedule::cosine(100, 0.0).warm_up(4);
        assert_eq!([0, 1, 3, 4].map(|s| warm.factor(s)), [0.25, 0.5, 1.0, 1.0]);
        assert!((warm.factor(54) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn hyperparameters_out_of_range_are_named() {
        for (optimizer, name) in [
            (Optimizer::sgd(0.0), "learning rate"),
            (Optimizer::sgd(f32::NAN), "learning rate"),
            (Optimizer::momentum(0.1, 1.0), "momentum"),
            (Optimizer::adam(0.1).weight_decay(-1.0), "weight decay"),
            (Optimizer::adam(0.1).clip_norm(0.0), "clip_norm"),
            (Optimizer::sgd(0.1).schedule(Schedule::step(0, 0.5)), "every"),
            (Optimizer::sgd(0.1).schedule(Schedule::cosine(5, 2.0)), "floor"),
        ] {
            let error = optimizer.check().expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
        assert!(Optimizer::adamw(1e-3, 0.01).check().is_ok());
    }
}
