//! What happened during training.

use super::evaluate::Evaluation;
use crate::nn::Metric;

/// One epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochLog {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Epochs asked for.
    pub epochs: usize,
    /// Mean loss over the epoch's rows, each as the model was when its batch ran.
    pub loss: f64,
    /// Metrics over the epoch's rows.
    pub metrics: Vec<(Metric, f64)>,
    /// Loss and metrics on the validation data after the epoch.
    pub validation: Option<Evaluation>,
    /// η of the epoch's last step.
    pub learning_rate: f32,
    /// Seconds since training began.
    pub seconds: f64,
}

impl EpochLog {
    /// A figure by its name: `loss`, a metric's name, or either after `val_`.
    pub fn value(&self, name: &str) -> Option<f64> {
        let of = |metrics: &[(Metric, f64)], name: &str| {
            metrics.iter().find(|(metric, _)| metric.name() == name).map(|&(_, value)| value)
        };
        match (name.strip_prefix("val_"), &self.validation) {
            (Some("loss"), Some(validation)) => Some(validation.loss),
            (Some(name), Some(validation)) => of(&validation.metrics, name),
            (Some(_), None) => None,
            (None, _) if name == "loss" => Some(self.loss),
            (None, _) => of(&self.metrics, name),
        }
    }
}

/// All epochs of a call of `fit`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// One entry per epoch.
    pub epochs: Vec<EpochLog>,
    /// The loss of every step.
    pub batch_losses: Vec<f32>,
    /// Whether a callback ended training early.
    pub stopped_early: bool,
}

impl History {
    /// A figure of every epoch, by its name; see [`EpochLog::value`].
    pub fn values(&self, name: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.value(name)).collect()
    }

    /// The last epoch.
    pub fn last(&self) -> Option<&EpochLog> {
        self.epochs.last()
    }
}
