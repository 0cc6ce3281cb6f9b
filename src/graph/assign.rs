//! Assignment: a parameter takes the value of a tensor at the end of a step.

use super::{Graph, Role, Tensor};
use crate::Error;

impl Graph {
    /// At the end of a step, when all else has been computed, `parameter` takes the value of `value`: what
    /// power iterations, running means and clusterings need. A plan of a whole step
    /// ([`PlanScope::Step`](crate::plan::PlanScope)) holds all assignments of its graph, whatever it computes
    /// besides. A value that is NaN or infinite leaves its element as it was, and is an error of the step, as
    /// in an [update](Graph::update).
    ///
    /// # Errors
    /// [`Error::Shape`] if `parameter` is none, is assigned to already or is one that the update pass moves; if the shapes differ; or if
    /// `value` is itself a parameter, also under another shape: scale it by 1.
    pub fn assign(&mut self, parameter: Tensor, value: Tensor) -> Result<(), Error> {
        self.operands("assign", &[parameter, value])?;
        let name = &self.known(parameter).name;
        let refused = |detail: String| Err(Error::shape("assign", detail));
        if !matches!(self.known(parameter).role, Role::Parameter(_)) {
            return refused(format!("'{name}' is not a parameter; assign to one of `parameter`"));
        }
        if self.is_assigned(parameter) {
            return refused(format!("'{name}' is assigned to twice; compute one value for it"));
        }
        if self.is_trained(parameter) {
            let detail = format!("the update moves '{name}'; assign to a parameter of its own");
            return refused(detail);
        }
        if self.known_shape(parameter) != self.known_shape(value) {
            return Err(self.mismatch("assign", &[parameter, value], "equal shapes"));
        }
        let root = self.known(self.root(value));
        if matches!(root.role, Role::Parameter(_)) {
            let of = &root.name;
            return refused(format!("the value is the parameter '{of}' itself; scale it by 1"));
        }
        self.assignments.push((parameter, value));
        Ok(())
    }

    /// Parameters, each with the tensor whose value it takes at the end of a step.
    pub fn assignments(&self) -> &[(Tensor, Tensor)] {
        &self.assignments
    }

    pub(super) fn is_assigned(&self, parameter: Tensor) -> bool {
        self.assignments.iter().any(|&(assigned, _)| assigned == parameter)
    }

    fn is_trained(&self, parameter: Tensor) -> bool {
        let update = self.update.iter();
        update.flat_map(|update| &update.gradients).any(|&(trained, _)| trained == parameter)
    }
}
