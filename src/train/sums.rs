//! Loss and metrics, from the results of steps.

use super::model::Model;
use super::trainer::StepResult;
use crate::data::{Data, Dataset};
use crate::graph::Loss;
use crate::nn::Metric;
use crate::nn::metric::TargetFacts;
use crate::{Error, Result};

/// Loss and metrics of a model on a data set.
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Rows looked at.
    pub rows: usize,
    /// Mean loss.
    #[cfg_attr(feature = "files", serde(with = "super::json_number"))]
    pub loss: f64,
    /// The model's metrics.
    #[cfg_attr(feature = "files", serde(with = "super::json_number::named"))]
    pub metrics: Vec<(Metric, f64)>,
}

impl Evaluation {
    /// A metric's value, if the model has it.
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        self.metrics.iter().find(|(m, _)| *m == metric).map(|&(_, value)| value)
    }
}

/// Sums over the rows of some batches, in f64, that loss and metrics are made of; started by
/// [`Model::sums`] for a loop of one's own, and what `fit` and `evaluate` use.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    function: Loss,
    facts: TargetFacts,
    rows: usize,
    loss: f64,
    counts: Vec<(Metric, f64)>,
}

/// [`Sums`], without what the data says.
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SumsSoFar {
    pub(crate) rows: usize,
    #[cfg_attr(feature = "files", serde(with = "super::json_number"))]
    pub(crate) loss: f64,
    #[cfg_attr(feature = "files", serde(with = "super::json_number::list"))]
    pub(crate) counts: Vec<f64>,
}

impl Model {
    /// Sums of nothing yet, for batches of `data`.
    pub fn sums(&self, data: &Dataset) -> Sums {
        Sums::new(self.loss(), self.metrics(), TargetFacts::of(data.targets()))
    }

    /// The same for batches of what may be a source. For R², which compares with the spread of all targets, these are
    /// read in a pass of their own, once.
    ///
    /// # Errors
    /// If rows cannot be read.
    pub(super) fn sums_over(&self, data: Data<'_>) -> Result<Sums> {
        Sums::over(self.loss(), self.metrics(), data)
    }
}

impl Sums {
    fn new(function: Loss, metrics: &[Metric], facts: TargetFacts) -> Self {
        let counts = metrics.iter().map(|&metric| (metric, 0.0)).collect();
        Self { function, facts, rows: 0, loss: 0.0, counts }
    }

    /// Of nothing yet, for batches of `data`.
    ///
    /// # Errors
    /// If rows of a source cannot be read.
    pub(crate) fn over(function: Loss, metrics: &[Metric], data: Data<'_>) -> Result<Self> {
        let facts = match data {
            Data::Dataset(data) => TargetFacts::of(data.targets()),
            Data::Source(source) => {
                let (rows, width) = (source.count()?, source.form()?.targets.width());
                let total_sum_of_squares = match metrics.contains(&Metric::RSquared) {
                    true => source.spread_of_targets()?,
                    false => 0.0,
                };
                TargetFacts { rows, width, total_sum_of_squares }
            }
        };
        Ok(Self::new(function, metrics, facts))
    }

    /// Adds the results of a batch. Its mean loss counts as often as it has rows, so that a short last
    /// batch is exact.
    ///
    /// # Errors
    /// [`Error::Argument`] if it has not a sum for each metric: then it is of another model.
    pub fn add(&mut self, result: &StepResult) -> Result<()> {
        if result.sums.len() != self.counts.len() {
            let rule = format!("{}, one for each of the model's metrics", self.counts.len());
            return Err(Error::argument("number of a step's sums", result.sums.len(), &rule));
        }
        self.rows += result.rows;
        self.loss += f64::from(result.loss) * result.rows as f64;
        for ((_, count), &sum) in self.counts.iter_mut().zip(&result.sums) {
            *count += f64::from(sum);
        }
        Ok(())
    }

    /// Loss and metrics over the rows so far. R² is there only when they are as many as the data has,
    /// since it compares with the spread of all targets.
    pub fn evaluation(&self) -> Evaluation {
        let (rows, function) = (self.rows, self.function);
        let value = |&(metric, sum): &(Metric, f64)| {
            metric.value(sum, rows, function, &self.facts).map(|value| (metric, value))
        };
        Evaluation {
            rows,
            loss: self.loss / rows as f64,
            metrics: self.counts.iter().filter_map(value).collect(),
        }
    }

    /// What they are, without what the data says.
    pub(crate) fn so_far(&self) -> SumsSoFar {
        let counts = self.counts.iter().map(|&(_, sum)| sum).collect();
        SumsSoFar { rows: self.rows, loss: self.loss, counts }
    }

    /// Goes on from such sums.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are of other metrics.
    pub(crate) fn go_on(&mut self, from: &SumsSoFar) -> Result<()> {
        if from.counts.len() != self.counts.len() {
            let rule = format!("{}, one for each of the model's metrics", self.counts.len());
            return Err(Error::argument("number of an epoch's sums", from.counts.len(), &rule));
        }
        (self.rows, self.loss) = (from.rows, from.loss);
        self.counts.iter_mut().zip(&from.counts).for_each(|((_, own), &sum)| *own = sum);
        Ok(())
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        (self.rows, self.loss) = (0, 0.0);
        self.counts.iter_mut().for_each(|(_, sum)| *sum = 0.0);
    }
}
