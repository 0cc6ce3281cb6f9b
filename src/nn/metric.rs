//! Metrics: what a person asks of a model beside its loss.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::Error;
use crate::data::{Moments, Targets};
use crate::graph::{Count, Loss};

/// A figure of merit. Each is computed on the device from a sum over every batch.
#[cfg_attr(
    feature = "files",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Share of rows (for binary cross-entropy: of elements) that are classified right.
    Accuracy,
    /// Mean of `|prediction - target|` over all elements.
    MeanAbsoluteError,
    /// R², the coefficient of determination: `1 - Σ(t - p)² / Σ(t - mean)²`, the mean taken per
    /// target column. 1 is perfect, 0 is as good as the mean. Of targets that never vary it is 1 for
    /// a perfect fit and 0 for any other, as in scikit-learn.
    RSquared,
    /// The mean over all rows of a function of the program's own, which
    /// [`TrainingConfig::metric_of_rows`](crate::train::TrainingConfig::metric_of_rows) adds.
    Own(OwnMetric),
}

/// Name and direction of a metric of the program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnMetric {
    name: &'static str,
    direction: Direction,
}

impl OwnMetric {
    /// Names are kept as long as the process runs, each once.
    pub(crate) fn new(name: &str, direction: Direction) -> Self {
        static NAMES: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.get(name).copied();
        let name = known.unwrap_or_else(|| {
            let name: &'static str = name.to_owned().leak();
            names.insert(name);
            name
        });
        Self { name, direction }
    }
}

/// As files have it.
#[cfg(feature = "files")]
#[derive(serde::Serialize, serde::Deserialize)]
struct OwnMetricText {
    name: String,
    direction: Direction,
}

#[cfg(feature = "files")]
impl serde::Serialize for OwnMetric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        OwnMetricText { name: self.name.into(), direction: self.direction }.serialize(serializer)
    }
}

#[cfg(feature = "files")]
impl<'de> serde::Deserialize<'de> for OwnMetric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let OwnMetricText { name, direction } = OwnMetricText::deserialize(deserializer)?;
        Ok(Self::new(&name, direction))
    }
}

/// Which of two values of a figure is the better one.
#[cfg_attr(
    feature = "files",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The larger: accuracy, R².
    Larger,
    /// The smaller: losses and errors.
    Smaller,
}

impl Direction {
    /// Whether `value` is better than `other` by more than `margin`. NaN never is.
    pub fn is_better(self, value: f64, other: f64, margin: f64) -> bool {
        match self {
            Direction::Larger => value > other + margin,
            Direction::Smaller => value < other - margin,
        }
    }

    /// The value that every number is better than but itself: the best before there is one.
    pub fn worst(self) -> f64 {
        match self {
            Direction::Larger => f64::NEG_INFINITY,
            Direction::Smaller => f64::INFINITY,
        }
    }
}

impl Metric {
    /// All metrics of wgrad's.
    pub const ALL: [Metric; 3] = [Metric::Accuracy, Metric::MeanAbsoluteError, Metric::RSquared];

    /// Whether it is better if larger or if smaller.
    pub fn direction(self) -> Direction {
        match self {
            Metric::Accuracy | Metric::RSquared => Direction::Larger,
            Metric::MeanAbsoluteError => Direction::Smaller,
            Metric::Own(own) => own.direction,
        }
    }

    /// The name in logs and histories: `accuracy`, `mean_absolute_error`, `r_squared`.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::MeanAbsoluteError => "mean_absolute_error",
            Metric::RSquared => "r_squared",
            Metric::Own(own) => own.name,
        }
    }

    /// The sum that the metric is computed from.
    ///
    /// # Errors
    /// [`Error::Argument`] if the metric makes no sense with the loss: R² of class labels,
    /// accuracy of a regression.
    pub(crate) fn count(self, loss: Loss) -> Result<Count, Error> {
        self.count_of(loss).ok_or_else(|| {
            let fitting = Metric::ALL.iter().filter(|metric| metric.count_of(loss).is_some());
            let names: Vec<&str> = fitting.map(|metric| metric.name()).collect();
            let value = format!("{} with loss {}", self.name(), loss.name());
            let rule = format!("one that goes with that loss: {}", names.join(", "));
            Error::argument("metric", value, &rule)
        })
    }

    /// The same; `None` if it makes no sense.
    fn count_of(self, loss: Loss) -> Option<Count> {
        let classification = match loss {
            Loss::SoftmaxCrossEntropy => Some(Count::Correct),
            Loss::SoftmaxCrossEntropyProbabilities => Some(Count::CorrectProbabilities),
            Loss::BinaryCrossEntropy => Some(Count::CorrectBinary),
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => None,
        };
        match (self, classification) {
            (Metric::Accuracy, count) => count,
            (Metric::MeanAbsoluteError, None) => Some(Count::AbsoluteError),
            (Metric::RSquared, None) => Some(Count::SquaredError),
            (Metric::MeanAbsoluteError | Metric::RSquared, Some(_)) | (Metric::Own(_), _) => None,
        }
    }

    /// The metric from its `sum` over `rows` rows; R² only over as many rows as the targets have.
    pub(crate) fn value(
        self,
        sum: f64,
        rows: usize,
        loss: Loss,
        facts: &TargetFacts,
    ) -> Option<f64> {
        let elements = (rows * facts.width) as f64;
        match (self, loss) {
            (Metric::Accuracy, Loss::BinaryCrossEntropy) => Some(sum / elements),
            (Metric::Accuracy | Metric::Own(_), _) => Some(sum / rows as f64),
            (Metric::MeanAbsoluteError, _) => Some(sum / elements),
            (Metric::RSquared, _) if rows != facts.rows => None,
            (Metric::RSquared, _) if facts.total_sum_of_squares == 0.0 => {
                Some(if sum == 0.0 { 1.0 } else { 0.0 })
            }
            (Metric::RSquared, _) => Some(1.0 - sum / facts.total_sum_of_squares),
        }
    }
}

/// What metrics need to know of all targets together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TargetFacts {
    /// Rows.
    pub(crate) rows: usize,
    /// Numbers per row.
    pub(crate) width: usize,
    /// `Σ(t - mean)²`, the mean taken per column; exactly 0 where no column varies.
    pub(crate) total_sum_of_squares: f64,
}

impl TargetFacts {
    pub(crate) fn of(targets: &Targets) -> Self {
        match targets {
            Targets::Classes { labels, .. } => Self::of_classes(labels.len()),
            Targets::Values { data, width } => {
                let mut moments = Moments::of_width(*width);
                moments.add(data);
                let total_sum_of_squares = moments.squared_distances().into_iter().sum();
                Self { rows: moments.rows(), width: *width, total_sum_of_squares }
            }
        }
    }

    /// Of so many labels.
    pub(crate) fn of_classes(rows: usize) -> Self {
        Self { rows, width: 1, total_sum_of_squares: 0.0 }
    }
}
