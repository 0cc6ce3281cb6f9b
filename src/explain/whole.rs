//! What features mean to a model over all rows.

use crate::blocks::at_least_one;
use crate::data::{Dataset, Targets};
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
/// # Errors
/// [`Error::Argument`] if there are no permutations, one is none of all rows or the model has no such metric; those of
/// [`Model::evaluate`].
pub async fn permutation_importance(
    model: &Model,
    data: &Dataset,
    score: Score,
    permutations: &[Vec<u32>],
) -> Result<Vec<Importance>> {
    at_least_one("number of permutations", permutations.len())?;
    for order in permutations {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq((0..=u32::MAX).take(data.rows())) {
            let rule = format!("each of the {} rows once", data.rows());
            return Err(Error::argument("a permutation", format!("{} rows", order.len()), &rule));
        }
    }
    let whole = judged(model, data, score).await?;
    let mut all = Vec::new();
    for feature in 0..data.width() {
        let mut drops = Vec::new();
        for order in permutations {
            let mut features = data.features().to_vec();
            for (to, &from) in features.chunks_mut(data.width()).zip(order) {
                let value = data.row(from as usize).and_then(|row| row.get(feature));
                if let (Some(to), Some(value)) = (to.get_mut(feature), value) {
                    *to = *value;
                }
            }
            let moved = with_features(data, features)?;
            drops.push(whole - judged(model, &moved, score).await?);
        }
        all.push(Importance { drops });
    }
    Ok(all)
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
    let (width, outputs) =
        (model.architecture().input_width(), model.architecture().output_width());
    if feature >= width {
        let rule = format!("below {width}, the number of features, counted from 0");
        return Err(Error::argument("feature", feature, &rule));
    }
    let mut means = Vec::with_capacity(grid.len().saturating_mul(outputs));
    let mut moved = rows.to_vec();
    for &value in grid {
        moved.iter_mut().skip(feature).step_by(width).for_each(|to| *to = value);
        let found = model.predict(&moved).await?;
        let mut sums = vec![0.0; outputs];
        for row in found.chunks(outputs.max(1)) {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let count = (found.len() / outputs.max(1)).max(1) as f64;
        means.extend(sums.into_iter().map(|sum| (sum / count) as f32));
    }
    Ok(means)
}

/// A score of which more is better.
async fn judged(model: &Model, data: &Dataset, score: Score) -> Result<f64> {
    let evaluation = model.evaluate(data).await?;
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

/// The same targets and weights for other features.
fn with_features(data: &Dataset, features: Vec<f32>) -> Result<Dataset> {
    let width = data.width();
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
