//! What is trained, and how.

use std::sync::Arc;

use super::graphs::check_output;
use super::kernels::Kernels;
use crate::data::Encoder;
use crate::graph::Loss;
use crate::nn::{Metric, Optimizer, Sequential};
use crate::{Error, Result};

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
    /// What made features and targets of a table's columns, if they come from one.
    pub(crate) encoder: Option<Arc<Encoder>>,
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
        Ok(Self { architecture, compile, encoder: None })
    }

    /// The same task over the features and targets of `encoder`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the layers take or give another number of columns than the encoder.
    pub(crate) fn with_encoder(mut self, encoder: Encoder) -> Result<Self> {
        let (inputs, outputs) = (encoder.width(), encoder.targets().outputs());
        let (takes, gives) = (self.architecture.input_width(), self.architecture.output_width());
        // Two classes may be one question.
        let binary = self.compile.loss == Loss::BinaryCrossEntropy && outputs == 2 && gives == 1;
        if takes != inputs || gives != outputs && !binary {
            let detail = format!(
                "it makes {inputs} features and needs {outputs} outputs, but the layers take {takes} \
                 and give {gives}; make them for `Encoder::width` and `TargetEncoding::outputs`"
            );
            return Err(Error::shape("encoder", detail));
        }
        self.encoder = Some(Arc::new(encoder));
        Ok(self)
    }
}
