//! What happened during training.

use super::figure::Figure;
use super::sums::Evaluation;
use crate::nn::Metric;
use crate::{Error, Result};

/// One epoch.
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq)]
pub struct EpochLog {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Epochs asked for.
    pub epochs: usize,
    /// Mean loss over the epoch's rows, each as the model was when its batch ran.
    #[cfg_attr(feature = "files", serde(with = "super::json_number"))]
    pub loss: f64,
    /// Metrics over the epoch's rows.
    #[cfg_attr(feature = "files", serde(with = "super::json_number::named"))]
    pub metrics: Vec<(Metric, f64)>,
    /// Loss and metrics on the validation data after the epoch.
    pub validation: Option<Evaluation>,
    /// η of the epoch's last step.
    pub learning_rate: f32,
    /// Seconds since training began.
    pub seconds: f64,
}

impl EpochLog {
    /// The figures that this epoch has.
    pub fn figures(&self) -> Vec<Figure> {
        let of = |validation: bool, metrics: &[(Metric, f64)]| {
            let metrics: Vec<Metric> = metrics.iter().map(|&(metric, _)| metric).collect();
            let figures = Figure::all(&metrics, validation).into_iter();
            figures.filter(move |figure| figure.validation == validation)
        };
        let validation = self.validation.iter().flat_map(|after| of(true, &after.metrics));
        of(false, &self.metrics).chain(validation).collect()
    }

    /// A figure's value, `None` if this epoch does not have it.
    pub fn figure(&self, figure: Figure) -> Option<f64> {
        let (loss, metrics) = match (figure.validation, &self.validation) {
            (false, _) => (self.loss, &self.metrics),
            (true, Some(validation)) => (validation.loss, &validation.metrics),
            (true, None) => return None,
        };
        match figure.metric {
            None => Some(loss),
            Some(metric) => metrics.iter().find(|(m, _)| *m == metric).map(|&(_, value)| value),
        }
    }

    /// A figure's value by its [name](Figure): `loss`, a metric's name, or either after `val_`.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the figures there are if this epoch has none of that name.
    pub fn value(&self, name: &str) -> Result<f64> {
        let figure = Figure::among(&self.figures(), "figure", name)?;
        self.figure(figure).ok_or_else(|| Error::bug(format!("an epoch lists {figure} without it")))
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
    /// A figure of every epoch, by its [name](Figure); none where no epoch was completed.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the figures there are if an epoch has none of that name.
    pub fn values(&self, name: &str) -> Result<Vec<f64>> {
        self.epochs.iter().map(|epoch| epoch.value(name)).collect()
    }

    /// The last epoch.
    pub fn last(&self) -> Option<&EpochLog> {
        self.epochs.last()
    }
}
