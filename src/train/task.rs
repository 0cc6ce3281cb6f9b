//! What is trained, and how.

use std::sync::Arc;

use super::graphs::check_output;
use super::kernels::Kernels;
use crate::data::{Dataset, Encoder, Targets};
use crate::graph::{Graph, Loss, Tensor};
use crate::nn::{Metric, Optimizer, Sequential};
use crate::{Error, Result};

/// What a model is trained for and how: the arguments of Keras's `compile`.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    pub(crate) loss: Loss,
    pub(crate) optimizer: Optimizer,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) kernels: Kernels,
    pub(crate) class_weights: Option<Vec<f32>>,
}

impl TrainingConfig {
    /// Minimises `loss` with `optimizer`.
    pub fn new(loss: Loss, optimizer: Optimizer) -> Self {
        let (metrics, class_weights) = (Vec::new(), None);
        Self { loss, optimizer, metrics, kernels: Kernels::Auto, class_weights }
    }

    /// Trains with a weight for each class, by which the loss of its rows is multiplied: Keras's
    /// `class_weight`. For [`Loss::SoftmaxCrossEntropy`] there are as many as the model has outputs, for
    /// [`Loss::BinaryCrossEntropy`] of one output two; a row with [a weight of its
    /// own](crate::data::Dataset::with_weights) has the product. As there, the sum is divided by the number of
    /// rows, and what is evaluated or validated does not have them. See
    /// [`Dataset::balanced_class_weights`].
    pub fn class_weights(mut self, weights: impl Into<Vec<f32>>) -> Self {
        self.class_weights = Some(weights.into());
        self
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
        let task = Self { architecture, compile, encoder: None };
        task.check_class_weights()?;
        Ok(task)
    }

    /// # Errors
    /// [`Error::Argument`] if the loss has no classes, there is not a weight for each, or one is out of range.
    pub(crate) fn check_class_weights(&self) -> Result<()> {
        let Some(weights) = &self.compile.class_weights else { return Ok(()) };
        let (loss, outputs) = (self.compile.loss, self.architecture.output_width());
        let classes = match loss {
            Loss::SoftmaxCrossEntropy => outputs,
            Loss::BinaryCrossEntropy if outputs == 1 => 2,
            _ => {
                let rule = "left out for a loss without classes; give weights of rows by \
                            `Dataset::with_weights`";
                return Err(Error::argument(
                    "class weights",
                    format!("with {}", loss.name()),
                    rule,
                ));
            }
        };
        if weights.len() != classes {
            let rule = format!("{classes}, one for each class");
            return Err(Error::argument("number of class weights", weights.len(), &rule));
        }
        for (class, &weight) in weights.iter().enumerate() {
            if !(weight >= 0.0 && weight.is_finite()) {
                let name = format!("weight of class {class}");
                return Err(Error::argument(&name, weight, "0 or more, and finite"));
            }
        }
        match weights.iter().all(|&weight| weight == 0.0) {
            true => Err(Error::argument("weights of all classes", 0, "above 0 for at least one")),
            false => Ok(()),
        }
    }

    /// Whether rows of `data` have weights, in training or in evaluation.
    pub(crate) fn is_weighted(&self, data: &Dataset, trains: bool) -> bool {
        data.weights().is_some() || trains && self.compile.class_weights.is_some()
    }

    /// How often each row of `data` counts in the loss: its own weight, in training times that of its
    /// class. `None` if each counts once.
    pub(crate) fn weights(&self, data: &Dataset, trains: bool) -> Option<Vec<f32>> {
        let of_rows = data.weights().map(<[f32]>::to_vec);
        let Some(of_classes) = self.compile.class_weights.as_ref().filter(|_| trains) else {
            return of_rows;
        };
        let of_class = |class: usize| of_classes.get(class).copied().unwrap_or(1.0);
        let of_classes: Vec<f32> = match data.targets() {
            Targets::Classes { labels, .. } => {
                labels.iter().map(|&label| of_class(label as usize)).collect()
            }
            // Of a probability the likelier class, as Keras rounds them.
            Targets::Values { data, .. } => {
                data.iter().map(|&t| of_class(usize::from(t > 0.5))).collect()
            }
        };
        match of_rows {
            Some(of_rows) => Some(of_rows.iter().zip(of_classes).map(|(a, b)| a * b).collect()),
            None => Some(of_classes),
        }
    }

    /// Adds the loss and the sums of the metrics to a graph, in this order.
    pub(crate) fn results(
        &self,
        graph: &mut Graph,
        predictions: Tensor,
        targets: Tensor,
        weights: Option<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let loss = self.compile.loss;
        let mut results = vec![match weights {
            Some(weights) => graph.weighted_loss(loss, predictions, targets, weights)?,
            None => graph.loss(loss, predictions, targets)?,
        }];
        for metric in &self.compile.metrics {
            results.push(graph.count(metric.count(loss)?, predictions, targets)?);
        }
        Ok(results)
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
