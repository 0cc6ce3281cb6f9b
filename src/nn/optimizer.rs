//! Optimizers.

use super::LearningRateSchedule;
use crate::Error;
use crate::graph::{Graph, Tensor, UpdateRule};

/// An update rule with its learning rate, schedule and gradient clipping.
///
/// ```
/// use wgrad::nn::{Optimizer, LearningRateSchedule};
/// let optimizer = Optimizer::adam(1e-3)
///     .clip_norm(1.0)
///     .schedule(LearningRateSchedule::cosine(1_000, 0.0).warm_up(100));
/// assert!(optimizer.learning_rate_at(50) < 1e-3);
/// ```
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    rule: UpdateRule,
    learning_rate: f32,
    schedule: LearningRateSchedule,
    clip_norm: Option<f32>,
    #[cfg_attr(feature = "files", serde(default, skip_serializing_if = "is_zero"))]
    l1: f32,
}

#[cfg(feature = "files")]
fn is_zero(l1: &f32) -> bool {
    *l1 == 0.0
}

impl Optimizer {
    /// Any rule.
    pub fn new(rule: UpdateRule, learning_rate: f32) -> Self {
        let schedule = LearningRateSchedule::Constant;
        Self { rule, learning_rate, schedule, clip_norm: None, l1: 0.0 }
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

    /// RMSprop with α = 0.99, ε = 1e-8.
    pub fn rmsprop(learning_rate: f32) -> Self {
        let rule = UpdateRule::RmsProp { alpha: 0.99, epsilon: 1e-8, weight_decay: 0.0 };
        Self::new(rule, learning_rate)
    }

    /// Adagrad with ε = 1e-10.
    pub fn adagrad(learning_rate: f32) -> Self {
        Self::new(UpdateRule::Adagrad { epsilon: 1e-10, weight_decay: 0.0 }, learning_rate)
    }

    /// Adds an L2 penalty λ to the rule (for AdamW: sets its decay).
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.rule = self.rule.with_weight_decay(decay);
        self
    }

    /// Adds an L1 penalty λ: λ·sign(w) goes to each gradient, as [`Graph::l1_penalty`] says; for AdamW too, whose
    /// decay does not. Weights that the data does not need come near 0. The loss is reported without it.
    pub fn l1(mut self, penalty: f32) -> Self {
        self.l1 = penalty;
        self
    }

    /// Scales the gradients of a step down to this norm, taken over all parameters together, when
    /// theirs is larger (Pascanu et al., 2013).
    pub fn clip_norm(mut self, norm: f32) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// Changes the learning rate from step to step.
    pub fn schedule(mut self, schedule: LearningRateSchedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// The rule.
    pub fn rule(&self) -> UpdateRule {
        self.rule
    }

    /// η before its schedule.
    pub fn base_learning_rate(&self) -> f32 {
        self.learning_rate
    }

    /// What changes η from step to step.
    pub fn learning_rate_schedule(&self) -> &LearningRateSchedule {
        &self.schedule
    }

    /// λ of the L1 penalty; 0 without one.
    pub fn l1_penalty(&self) -> f32 {
        self.l1
    }

    /// Adds the update pass to a graph: [`Graph::update`] with what this optimizer is, of parameters that `missed`
    /// so many steps, if any did.
    pub(crate) fn update(
        &self,
        graph: &mut Graph,
        loss: Tensor,
        gradients: &[(Tensor, Tensor)],
        missed: &[u64],
    ) -> Result<(), Error> {
        graph.update(self.rule, self.clip_norm, loss, gradients)?;
        if !missed.is_empty() {
            graph.missed_steps(missed)?;
        }
        graph.l1_penalty(self.l1)
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
        within("l1", self.l1, self.l1 >= 0.0, "0 or more, and finite")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyperparameters_out_of_range_are_named() {
        for (optimizer, name) in [
            (Optimizer::sgd(0.0), "learning rate"),
            (Optimizer::sgd(f32::NAN), "learning rate"),
            (Optimizer::momentum(0.1, 1.0), "momentum"),
            (Optimizer::adam(0.1).weight_decay(-1.0), "weight decay"),
            (Optimizer::adam(0.1).clip_norm(0.0), "clip_norm"),
            (Optimizer::adam(0.1).l1(-1e-3), "l1"),
            (Optimizer::sgd(0.1).l1(f32::NAN), "l1"),
            (Optimizer::sgd(0.1).schedule(LearningRateSchedule::step(0, 0.5)), "every"),
            (Optimizer::sgd(0.1).schedule(LearningRateSchedule::cosine(5, 2.0)), "floor"),
        ] {
            let error = optimizer.check().expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
        assert!(Optimizer::adamw(1e-3, 0.01).check().is_ok());
    }
}
