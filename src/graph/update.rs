//! The update pass of a graph.

use super::{Graph, Role, Tensor, Update, UpdateRule};
use crate::Error;

impl Graph {
    /// Adds the update pass: after the backward pass every parameter in `gradients` moves by
    /// `rule`, unless `loss` is not finite. Parameters that are not among them stay as they are, with their
    /// optimizer states. At most one update pass per graph.
    ///
    /// # Errors
    /// [`Error::Argument`] if a figure of the rule is out of its range; [`Error::Shape`] if `loss` is no
    /// scalar or is a parameter, also under another shape: the update itself moves those; or if
    /// `gradients` do not fit or are none.
    pub fn update(
        &mut self,
        rule: UpdateRule,
        clip_norm: Option<f32>,
        loss: Tensor,
        gradients: &[(Tensor, Tensor)],
    ) -> Result<(), Error> {
        self.operands("update", &[loss])?;
        if self.update.is_some() {
            return Err(Error::shape(
                "update",
                "the graph has an update pass already; make a new graph for another",
            ));
        }
        rule.check()?;
        if self.known_shape(loss).elements() != 1 {
            return Err(self.mismatch("update", &[loss], "a scalar loss"));
        }
        let root = self.known(self.root(loss));
        if let Role::Parameter(_) = root.role {
            let detail = format!(
                "the loss is the parameter '{}', which the update moves; compute the loss from it",
                root.name
            );
            return Err(Error::shape("update", detail));
        }
        if let Some(norm) = clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            return Err(Error::argument("clip_norm", norm, "a positive, finite number"));
        }
        if gradients.is_empty() {
            let detail = "there is no parameter to move; list each with its gradient";
            return Err(Error::shape("update", detail));
        }
        for (position, &(parameter, gradient)) in gradients.iter().enumerate() {
            self.operands("update", &[parameter, gradient])?;
            if !matches!(self.known(parameter).role, Role::Parameter(_)) {
                let name = &self.known(parameter).name;
                let detail = format!(
                    "'{name}' is not a parameter; pair gradients with tensors of `parameter`"
                );
                return Err(Error::shape("update", detail));
            }
            if self.is_assigned(parameter) {
                let name = &self.known(parameter).name;
                let detail = format!("'{name}' is assigned to; update a parameter of its own");
                return Err(Error::shape("update", detail));
            }
            if gradients.iter().take(position).any(|&(other, _)| other == parameter) {
                let name = &self.known(parameter).name;
                let detail =
                    format!("'{name}' is listed twice; list it once, with its one gradient");
                return Err(Error::shape("update", detail));
            }
            if self.known_shape(parameter) != self.known_shape(gradient) {
                return Err(self.mismatch("update", &[parameter, gradient], "equal shapes"));
            }
        }
        let (gradients, missed) = (gradients.to_vec(), Vec::new());
        self.update = Some(Update { rule, clip_norm, loss, gradients, l1: 0.0, missed });
        Ok(())
    }

    /// Says in how many of the steps so far each parameter of the update pass, in their order, was not trained.
    /// Adam's corrections of a parameter go by the steps in which it was trained, as in PyTorch, where each
    /// parameter has a count of its own: the number of the step less those that it missed. Without this call all
    /// were trained in all steps.
    ///
    /// # Errors
    /// [`Error::Shape`] without an update pass; [`Error::Argument`] if there is not a number for each parameter.
    pub fn missed_steps(&mut self, missed: &[u64]) -> Result<(), Error> {
        let Some(update) = &mut self.update else {
            let detail = "the graph has no update pass; add one by `Graph::update` first";
            return Err(Error::shape("missed_steps", detail));
        };
        let parameters = update.gradients.len();
        if missed.len() != parameters {
            let rule = format!("{parameters}, one for each parameter that is updated");
            return Err(Error::argument("number of missed steps", missed.len(), &rule));
        }
        update.missed = missed.to_vec();
        Ok(())
    }

    /// Adds an L1 penalty λ to the update pass: λ·sign(w) is added to each gradient after the clipping, as the rule
    /// then adds its weight decay. It is the derivative of λ·|w|, where w is 0 that of least size, 0 (Tibshirani,
    /// 1996; so do Keras's and PyTorch's `abs`). The loss itself is without it.
    ///
    /// # Errors
    /// [`Error::Argument`] if λ is negative or not finite; [`Error::Shape`] without an update pass.
    pub fn l1_penalty(&mut self, l1: f32) -> Result<(), Error> {
        if !(l1 >= 0.0 && l1.is_finite()) {
            return Err(Error::argument("l1", l1, "0 or more, and finite"));
        }
        match &mut self.update {
            Some(update) => {
                update.l1 = l1;
                Ok(())
            }
            None => {
                let detail = "the graph has no update pass; add one by `Graph::update` first";
                Err(Error::shape("l1_penalty", detail))
            }
        }
    }
}
