//! What features mean to a model over all rows.

use crate::blocks::at_least_one;
use crate::data::{AsData, Data, Dataset, Source, Targets};
use crate::nn::{Direction, Metric};
use crate::train::Model;
use crate::{Error, Result};

/// By what a model is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Score {
    /// By its loss.
    Loss,
    /// By one of the metrics that it was compiled with.
    Metric(Metric),
}

/// What a feature is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// How much worse the score was with each of the permutations.
    pub drops: Vec<f64>,
}

impl Importance {
    /// The mean of the drops.
    pub fn mean(&self) -> f64 {
        self.drops.iter().sum::<f64>() / self.drops.len().max(1) as f64
    }

    /// Their deviation, with their number in the denominator.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.drops.iter().map(|drop| (drop - mean).powi(2)).sum();
        (squares / self.drops.len().max(1) as f64).sqrt()
    }
}

/// For each feature, how much worse a model does when the feature's values go to other rows (Breiman, 2001).
/// `permutations` are orders of the rows: row i has the value of the row that the i-th entry names.
/// [`permutation`](crate::data::permutation) draws one.
///
/// Of a [`Source`] a feature's values are in memory, four bytes for each row, as are those of each permutation. It is
/// read once for each feature, and once more for each of its permutations.
///
/// # Errors
/// [`Error::Argument`] if there are no permutations, one is none of all rows or the model has no such metric;
/// [`Error::Data`] if rows of a source cannot be read; those of [`Model::evaluate`].
pub async fn permutation_importance<D: AsData>(
    model: &Model,
    data: &D,
    score: Score,
    permutations: &[Vec<u32>],
) -> Result<Vec<Importance>> {
    let data = data.as_data();
    let (rows, width) = (data.rows()?, data.form()?.width);
    at_least_one("number of permutations", permutations.len())?;
    for order in permutations {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq((0..=u32::MAX).take(rows)) {
            let rule = format!("each of the {rows} rows once");
            return Err(Error::argument("a permutation", format!("{} rows", order.len()), &rule));
        }
    }
    let whole = judged(model, data, score).await?;
    let mut all = Vec::new();
    for feature in 0..width {
        let values = values_of(data, feature)?;
        let mut drops = Vec::new();
        for order in permutations {
            let of = |&row: &u32| values.get(row as usize).copied().unwrap_or_default();
            let moved = order.iter().map(of).collect();
            let after = match data {
                Data::Dataset(data) => {
                    judged(model, Data::Dataset(&with_feature(data, feature, moved)?), score)
                        .await?
                }
                Data::Source(source) => {
                    let source = source.with_feature(feature, moved);
                    judged(model, Data::Source(&source), score).await?
                }
            };
            drops.push(whole - after);
        }
        all.push(Importance { drops });
    }
    Ok(all)
}

/// The values of a feature in all rows.
fn values_of(data: Data<'_>, feature: usize) -> Result<Vec<f32>> {
    match data {
        Data::Dataset(data) => {
            Ok(data.features().iter().skip(feature).step_by(data.width()).copied().collect())
        }
        Data::Source(source) => {
            let mut values = Vec::with_capacity(source.count()?);
            for some in source.feature_batches(ROWS)? {
                values.extend(some?.iter().skip(feature).step_by(source.width()));
            }
            Ok(values)
        }
    }
}

/// The mean output of a model over `rows` with one feature set to each value of `grid`: grid × outputs
/// (Friedman, 2001).
///
/// # Errors
/// [`Error::Argument`] if there is no such feature or a value is not finite; those of [`Model::predict`].
pub async fn partial_dependence(
    model: &mut Model,
    rows: &[f32],
    feature: usize,
    grid: &[f32],
) -> Result<Vec<f32>> {
    let mut sums = Dependence::new(model, feature, grid)?;
    sums.add(model, rows).await?;
    Ok(sums.means())
}

/// As [`partial_dependence`], over all rows of a source. It is read once, ahead of the device, whatever the number of
/// values; what is in memory does not grow with the rows.
///
/// # Errors
/// As for [`partial_dependence`]; [`Error::Shape`] if its rows have another number of features than the model takes;
/// [`Error::Data`] if they cannot be read.
pub async fn partial_dependence_source(
    model: &mut Model,
    source: &Source,
    feature: usize,
    grid: &[f32],
) -> Result<Vec<f32>> {
    let (width, inputs) = (source.width(), model.architecture().input_width());
    if width != inputs {
        let detail = format!(
            "the source has {width} features per row, the model takes {inputs}; give rows of {inputs}"
        );
        return Err(Error::shape("partial_dependence_source", detail));
    }
    let mut sums = Dependence::new(model, feature, grid)?;
    for some in source.feature_batches(ROWS)? {
        sums.add(model, &some?).await?;
    }
    Ok(sums.means())
}

/// Rows of a source that are looked at at once.
const ROWS: usize = 4096;

/// Sums of a model's outputs with a feature set to some values.
struct Dependence<'a> {
    feature: usize,
    grid: &'a [f32],
    outputs: usize,
    rows: usize,
    /// Grid × outputs.
    sums: Vec<f64>,
}

impl<'a> Dependence<'a> {
    fn new(model: &Model, feature: usize, grid: &'a [f32]) -> Result<Self> {
        let architecture = model.architecture();
        let (width, outputs) = (architecture.input_width(), architecture.output_width());
        if feature >= width {
            let rule = format!("below {width}, the number of features, counted from 0");
            return Err(Error::argument("feature", feature, &rule));
        }
        let sums = vec![0.0; grid.len().saturating_mul(outputs)];
        Ok(Self { feature, grid, outputs, rows: 0, sums })
    }

    async fn add(&mut self, model: &mut Model, rows: &[f32]) -> Result<()> {
        let (width, outputs) = (model.architecture().input_width(), self.outputs.max(1));
        let mut moved = rows.to_vec();
        for (&value, sums) in self.grid.iter().zip(self.sums.chunks_mut(outputs)) {
            moved.iter_mut().skip(self.feature).step_by(width).for_each(|to| *to = value);
            for row in model.predict(&moved).await?.chunks(outputs) {
                sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
            }
        }
        self.rows += rows.len() / width;
        Ok(())
    }

    fn means(self) -> Vec<f32> {
        let rows = self.rows.max(1) as f64;
        self.sums.into_iter().map(|sum| (sum / rows) as f32).collect()
    }
}

/// A score of which more is better.
async fn judged(model: &Model, data: Data<'_>, score: Score) -> Result<f64> {
    let evaluation = model.evaluate(&data).await?;
    let (value, direction) = match score {
        Score::Loss => (evaluation.loss, Direction::Smaller),
        Score::Metric(metric) => {
            let value = evaluation.metric(metric);
            let missing = || {
                let rule = "one of the model's; compile it with that";
                Error::argument("metric", format!("{metric:?}"), rule)
            };
            (value.ok_or_else(missing)?, metric.direction())
        }
    };
    Ok(match direction {
        Direction::Larger => value,
        Direction::Smaller => -value,
    })
}

/// The same targets and weights, with other values of a feature.
fn with_feature(data: &Dataset, feature: usize, values: Vec<f32>) -> Result<Dataset> {
    let width = data.width();
    let mut features = data.features().to_vec();
    let moved = features.iter_mut().skip(feature).step_by(width);
    moved.zip(values).for_each(|(to, value)| *to = value);
    let other = match data.targets() {
        Targets::Values { data: values, width: columns } => {
            Dataset::regression(features, width, values.clone(), *columns)?
        }
        Targets::Classes { labels, classes } => {
            Dataset::classification(features, width, labels.clone(), *classes)?
        }
    };
    match data.weights() {
        Some(weights) => Ok(other.with_weights(weights.to_vec())?),
        None => Ok(other),
    }
}
