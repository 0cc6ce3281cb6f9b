//! Which part of a training step a plan holds.

use super::PlanOptions;
use crate::Error;
use crate::graph::Graph;

/// The part of a training step that a plan holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanScope {
    /// Forward, backward and update.
    #[default]
    Step,
    /// Forward and backward: the gradients stay in their arena. Every dispatch of the backward pass
    /// comes after those of the forward pass, so that the two can run at different times.
    Gradients,
    /// The update alone, from gradients that lie in their arena already.
    Update,
}

/// # Errors
/// [`Error::Shape`] if `graph` has nothing to update, or an update is to compute something.
pub(super) fn check(graph: &Graph, options: &PlanOptions) -> Result<(), Error> {
    let PlanOptions { portion, outputs, results, .. } = options;
    let detail = match (portion, graph.update_pass(), outputs.len() + results.len()) {
        (PlanScope::Update | PlanScope::Gradients, None, _) => format!(
            "{portion:?} of a graph without an update pass is nothing; add one by `Graph::update`, or plan \
             a whole `PlanScope::Step`"
        ),
        (PlanScope::Update, Some(_), wanted @ 1..) => format!(
            "the update alone computes no tensor of the graph, and {wanted} are wanted; list outputs and \
             results in the plan of `PlanScope::Gradients`"
        ),
        _ => return Ok(()),
    };
    Err(Error::shape("plan", detail))
}
