//! What is trained, and how.

use super::graphs::check_output;
use super::model::Compile;
use crate::Result;
use crate::nn::Sequential;

/// An architecture with what it is trained for: what a [`Model`](super::Model) and lanes share. The
/// arguments stay together as they were given, so that none is lost from one to the other.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) architecture: Sequential,
    pub(super) compile: Compile,
}

impl Task {
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) or [`Error::Shape`](crate::Error::Shape) if the
    /// layers, the loss, the metrics or the optimizer are out of range or do not fit each other.
    pub(super) fn new(architecture: Sequential, compile: Compile) -> Result<Self> {
        architecture.check()?;
        compile.optimizer.check()?;
        compile.loss.check()?;
        check_output(&architecture, compile.loss)?;
        for metric in &compile.metrics {
            metric.count(compile.loss)?;
        }
        Ok(Self { architecture, compile })
    }
}
