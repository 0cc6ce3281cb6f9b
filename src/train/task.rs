//! What is trained, and how.

use super::graphs::check_output;
use super::kernels::Kernels;
use crate::Result;
use crate::graph::Loss;
use crate::nn::{Metric, Optimizer, Sequential};

/// What a model is trained for and how: the arguments of Keras's `compile`.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    pub(crate) loss: Loss,
    pub(crate) optimizer: Optimizer,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) kernels: Kernels,
}

impl TrainingConfig {
    /// Minimises `loss` with `optimizer`.
    pub fn new(loss: Loss, optimizer: Optimizer) -> Self {
        Self { loss, optimizer, metrics: Vec::new(), kernels: Kernels::Auto }
    }

    /// Reports `metric` too.
    pub fn metric(mut self, metric: Metric) -> Self {
        if !self.metrics.contains(&metric) {
            self.metrics.push(metric);
        }
        self
    }

    /// Trains with these kernels; [`Kernels::Auto`] unless set. Several lanes always train with the
    /// general ones.
    pub fn kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels;
        self
    }
}

/// An architecture with what it is trained for: what a [`Model`](super::Model) and lanes share. The
/// arguments stay together as they were given, so that none is lost from one to the other.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) architecture: Sequential,
    pub(crate) compile: TrainingConfig,
}

impl Task {
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) or [`Error::Shape`](crate::Error::Shape) if the
    /// layers, the loss, the metrics or the optimizer are out of range or do not fit each other.
    pub(crate) fn new(architecture: Sequential, compile: TrainingConfig) -> Result<Self> {
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
