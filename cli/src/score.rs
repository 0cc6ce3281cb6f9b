//! How good predictions are: figures over rows whose target is known.

use std::fmt;

use clap::ValueEnum;
use wgrad::data::{Dataset, Encoder, TargetEncoding, Targets};
use wgrad::train::{ConfusionMatrix, roc_auc};

use crate::failure::{Failure, Outcome};

/// A figure of merit, over all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    /// Share of rows that are classified right
    Accuracy,
    /// Mean over the classes of the harmonic mean of precision and recall (macro)
    F1,
    /// Mean over the classes of the share of rows that are of the class they are said to be (macro)
    Precision,
    /// Mean over the classes of the share of their rows that are found (macro)
    Recall,
    /// Mean of -ln(probability of the true class)
    LogLoss,
    /// Area under the ROC curve, of two classes
    Auc,
    /// R², the share of the variance that is explained; mean over the targets
    R2,
    /// Mean absolute error, in the unit of the target
    Mae,
    /// Root of the mean squared error, in the unit of the target
    Rmse,
}

impl Metric {
    /// Its name in figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::LogLoss => "log_loss",
            Self::Auc => "auc",
            Self::R2 => "r_squared",
            Self::Mae => "mean_absolute_error",
            Self::Rmse => "root_mean_squared_error",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "F1 (macro)",
            Self::Precision => "precision (macro)",
            Self::Recall => "recall (macro)",
            Self::LogLoss => "log loss",
            Self::Auc => "area under the ROC curve",
            Self::R2 => "R²",
            Self::Mae => "mean absolute error",
            Self::Rmse => "root mean squared error",
        }
    }

    /// Whether more of it is better.
    pub fn larger_is_better(self) -> bool {
        !matches!(self, Self::LogLoss | Self::Mae | Self::Rmse)
    }

    fn is_of_classes(self) -> bool {
        !matches!(self, Self::R2 | Self::Mae | Self::Rmse)
    }

    /// The one that is meant, for a model with these targets.
    pub fn of(asked: Option<Self>, targets: &TargetEncoding) -> Outcome<Self> {
        let classes = matches!(targets, TargetEncoding::Classes { .. });
        let usual = if classes { Self::Accuracy } else { Self::R2 };
        let Some(metric) = asked else { return Ok(usual) };
        if metric.is_of_classes() != classes {
            let (kind, some) = match classes {
                true => ("classes", "accuracy, f1, precision, recall, log-loss or auc"),
                false => ("numbers", "r2, mae or rmse"),
            };
            let name = metric.name();
            return Err(Failure::usage(format!(
                "--metric {name} makes no sense where the target is {kind}; choose {some}"
            )));
        }
        if metric == Self::Auc && targets.outputs() != 2 {
            let classes = targets.outputs();
            return Err(Failure::usage(format!(
                "--metric auc is of two classes, and the target has {classes}; choose accuracy, f1 or log-loss"
            )));
        }
        Ok(metric)
    }
}

/// What is true of some rows, in the unit of the table.
#[derive(Clone, Debug)]
pub enum Truth {
    /// The class of each row.
    Classes { labels: Vec<u32>, classes: usize },
    /// Numbers, `[rows, width]`.
    Values { values: Vec<f32>, width: usize },
}

impl Truth {
    pub fn of(data: &Dataset, encoder: &Encoder) -> Outcome<Self> {
        Ok(match data.targets() {
            Targets::Classes { labels, classes } => {
                Self::Classes { labels: labels.clone(), classes: *classes }
            }
            Targets::Values { data, width } => {
                let mut values = data.clone();
                encoder.decode_values(&mut values)?;
                Self::Values { values, width: *width }
            }
        })
    }

    /// Whether there are rows of the first class, and of another.
    pub fn has_both_classes(&self) -> bool {
        match self {
            Self::Classes { labels, .. } => labels.contains(&0) && labels.iter().any(|&l| l > 0),
            Self::Values { .. } => false,
        }
    }

    /// A metric of predictions: probabilities `[rows, classes]`, or numbers `[rows, width]`.
    pub fn score(&self, metric: Metric, predictions: &[f32]) -> Outcome<f64> {
        Ok(match self {
            Self::Classes { labels, classes } => {
                let said = confusion(labels, predictions, *classes)?;
                match metric {
                    Metric::F1 => said.macro_f1(),
                    Metric::Precision => macro_mean(&said, ConfusionMatrix::precision),
                    Metric::Recall => macro_mean(&said, ConfusionMatrix::recall),
                    Metric::LogLoss => log_loss(labels, predictions, *classes),
                    Metric::Auc => {
                        let second = predictions.iter().skip(1).step_by((*classes).max(1));
                        roc_auc(labels, &second.copied().collect::<Vec<_>>())?
                    }
                    _ => said.accuracy(),
                }
            }
            Self::Values { values, width } => {
                let errors = || {
                    let pairs = values.iter().zip(predictions);
                    pairs.map(|(&t, &p)| f64::from(t) - f64::from(p))
                };
                let count = values.len().max(1) as f64;
                match metric {
                    Metric::Mae => errors().map(f64::abs).sum::<f64>() / count,
                    Metric::Rmse => (errors().map(|e| e * e).sum::<f64>() / count).sqrt(),
                    _ => r_squared(values, predictions, *width),
                }
            }
        })
    }
}

/// Which classes were said to be which, of probabilities `[rows, classes]`.
pub fn confusion(
    labels: &[u32],
    probabilities: &[f32],
    classes: usize,
) -> Outcome<ConfusionMatrix> {
    let rows = probabilities.chunks(classes.max(1));
    let said: Vec<u32> = rows.map(|row| u32::try_from(largest(row)).unwrap_or(u32::MAX)).collect();
    Ok(ConfusionMatrix::new(labels, &said, classes)?)
}

/// The mean over classes that are there, in truth or in what is said; one that was never said has a precision of
/// 0. As in scikit-learn.
fn macro_mean(matrix: &ConfusionMatrix, figure: fn(&ConfusionMatrix, usize) -> Option<f64>) -> f64 {
    let there = (0..matrix.classes()).filter(|&class| matrix.f1(class).is_some());
    let figures: Vec<f64> = there.map(|class| figure(matrix, class).unwrap_or(0.0)).collect();
    share(figures.iter().sum(), figures.len() as f64)
}

/// A share of a whole; of nothing it is 0.
fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// The position of the largest number, the first of equals.
pub fn largest(row: &[f32]) -> usize {
    let best =
        row.iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(0, |(at, _)| at)
}

fn log_loss(labels: &[u32], probabilities: &[f32], classes: usize) -> f64 {
    let rows = labels.iter().zip(probabilities.chunks(classes.max(1)));
    let losses = rows.map(|(&label, row)| {
        let p = row.get(label as usize).copied().unwrap_or(0.0);
        // A probability of 0 would make one wrong row all of the score; as in scikit-learn.
        -f64::from(p).max(f64::from(f32::EPSILON)).ln()
    });
    share(losses.sum(), labels.len() as f64)
}

/// R² of each column of the targets, and the mean of them; as in scikit-learn.
fn r_squared(truth: &[f32], predictions: &[f32], width: usize) -> f64 {
    let width = width.max(1);
    let of_column = |column: usize| {
        let values = || truth.iter().skip(column).step_by(width).map(|&t| f64::from(t));
        let said = predictions.iter().skip(column).step_by(width).map(|&p| f64::from(p));
        let mean = share(values().sum(), values().count() as f64);
        let total: f64 = values().map(|t| (t - mean).powi(2)).sum();
        let left: f64 = values().zip(said).map(|(t, p)| (t - p).powi(2)).sum();
        match (total == 0.0, left == 0.0) {
            (true, true) => 1.0,
            (true, false) => 0.0,
            (false, _) => 1.0 - left / total,
        }
    };
    (0..width).map(of_column).sum::<f64>() / width as f64
}

/// The standard deviation.
pub fn deviation(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// A figure, with as many digits as say something.
pub struct Figure(pub f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size != 0.0 && !(1e-3..1e6).contains(&size) {
            return write!(f, "{:.3e}", self.0);
        }
        let digits = if size >= 1000.0 {
            0
        } else if size >= 10.0 {
            2
        } else {
            4
        };
        write!(f, "{:.digits$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures that scikit-learn 1.7 gives for the same.
    #[test]
    fn figures_of_classes_are_those_of_scikit_learn() {
        let truth = Truth::Classes { labels: vec![0, 0, 1, 1, 2, 2], classes: 3 };
        let said = [
            0.8, 0.1, 0.1, 0.3, 0.6, 0.1, 0.2, 0.7, 0.1, 0.1, 0.8, 0.1, 0.1, 0.1, 0.8, 0.5, 0.3,
            0.2,
        ];
        let close = |metric, expected: f64| {
            let found = truth.score(metric, &said).unwrap();
            assert!((found - expected).abs() < 1e-6, "{metric:?}: {found}, not {expected}");
        };
        close(Metric::Accuracy, 4.0 / 6.0);
        close(Metric::F1, (0.5 + 0.8 + 2.0 / 3.0) / 3.0);
        close(Metric::Precision, (0.5 + 2.0 / 3.0 + 1.0) / 3.0);
        close(Metric::Recall, (0.5 + 1.0 + 0.5) / 3.0);
        let logs: f64 = [0.8f64, 0.3, 0.7, 0.8, 0.8, 0.2].iter().map(|p| -p.ln()).sum();
        close(Metric::LogLoss, logs / 6.0);
        let two = Truth::Classes { labels: vec![0, 1, 0, 1, 1], classes: 2 };
        let said = [0.9, 0.1, 0.6, 0.4, 0.6, 0.4, 0.2, 0.8, 0.7, 0.3];
        // Pairs: .4 over .1, equal to .4; .8 over both; .3 over .1.
        assert!((two.score(Metric::Auc, &said).unwrap() - 4.5 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn figures_of_numbers_are_those_of_scikit_learn() {
        let truth = Truth::Values { values: vec![3.0, -0.5, 2.0, 7.0], width: 1 };
        let said = [2.5, 0.0, 2.0, 8.0];
        assert!((truth.score(Metric::R2, &said).unwrap() - 0.948_608_137).abs() < 1e-6);
        assert!((truth.score(Metric::Mae, &said).unwrap() - 0.5).abs() < 1e-9);
        assert!((truth.score(Metric::Rmse, &said).unwrap() - 0.612_372_436).abs() < 1e-6);
        let two = Truth::Values { values: vec![1.0, 5.0, 2.0, 5.0], width: 2 };
        assert!((two.score(Metric::R2, &[1.0, 5.0, 2.0, 4.0]).unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn figures_are_short() {
        let shown =
            [0.0, 0.5, 1.0 / 3.0, 12.345, 54_321.6, 1.5e-7, 2.5e9].map(|x| Figure(x).to_string());
        assert_eq!(shown, ["0.0000", "0.5000", "0.3333", "12.35", "54322", "1.500e-7", "2.500e9"]);
    }
}
