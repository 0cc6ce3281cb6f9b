//! Which columns matter: by how much a score falls when a column's values are dealt to other rows.

use wgrad::data::{Dataset, Encoder, permutation};
use wgrad::train::Predictor;

use crate::failure::Outcome;
use crate::model::predictions;
use crate::score::{Metric, Truth, deviation};

/// Times that each column is shuffled.
const TIMES: u64 = 5;

/// Rows that are looked at, at most: with more the figures hardly change.
const MOST_ROWS: usize = 5_000;

/// A column and how much it matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    pub column: String,
    /// How much worse the score becomes, in the mean over the shuffles.
    pub mean: f64,
    /// The standard deviation over the shuffles.
    pub deviation: f64,
}

/// Permutation importance (Breiman, 2001) of every column, the largest first. All features of a column are
/// shuffled together.
pub fn importance(
    predictor: &Predictor,
    encoder: &Encoder,
    data: &Dataset,
    metric: Metric,
    seed: u64,
) -> Outcome<Vec<Importance>> {
    let sample;
    let data = if data.rows() > MOST_ROWS {
        let rows = permutation(data.rows(), seed).into_iter().take(MOST_ROWS);
        sample = data.select(&rows.map(|row| row as usize).collect::<Vec<_>>())?;
        &sample
    } else {
        data
    };
    let truth = Truth::of(data, encoder)?;
    let score = |features: &[f32]| -> Outcome<f64> {
        truth.score(metric, &predictions(predictor, encoder, features)?)
    };
    let whole = score(data.features())?;
    let width = data.width();
    let mut all = Vec::new();
    for (column, range) in encoder.column_features() {
        let mut falls = Vec::new();
        for time in 0..TIMES {
            let mut features = data.features().to_vec();
            let order = permutation(data.rows(), seed.wrapping_add(time + 1));
            for (row, from) in features.chunks_mut(width).zip(order) {
                let own = row.get_mut(range.clone());
                let other = data.row(from as usize).and_then(|row| row.get(range.clone()));
                if let (Some(own), Some(other)) = (own, other) {
                    own.copy_from_slice(other);
                }
            }
            let shuffled = score(&features)?;
            let fall = if metric.larger_is_better() { whole - shuffled } else { shuffled - whole };
            falls.push(fall);
        }
        let count = falls.len() as f64;
        let mean = falls.iter().sum::<f64>() / count;
        all.push(Importance { column: column.name.clone(), mean, deviation: deviation(&falls) });
    }
    all.sort_by(|a, b| b.mean.total_cmp(&a.mean));
    Ok(all)
}
