//! Loss and metrics over some batches of a [`crate::Trainer`].

use wgrad::data::Targets;
use wgrad::nn::{Loss, Metric};
use wgrad::train::StepResult;

/// Sums over rows, in f64.
pub struct Sums {
    rows: usize,
    loss: f64,
    counts: Vec<f64>,
}

/// What metrics need to know of all targets together.
pub struct Facts {
    width: usize,
    /// `Σ(t - mean)²`, the mean taken per column.
    squares: f64,
}

impl Facts {
    pub fn of(targets: &Targets) -> Self {
        let Targets::Values { data, width } = targets else {
            return Self { width: 1, squares: 0.0 };
        };
        let width = (*width).max(1);
        let rows = (data.len() / width).max(1) as f64;
        let column = |c: usize| data.iter().skip(c).step_by(width).map(|&v| f64::from(v));
        let squares = (0..width)
            .map(|c| {
                let mean = column(c).sum::<f64>() / rows;
                column(c).map(|v| (v - mean).powi(2)).sum::<f64>()
            })
            .sum();
        Self { width, squares }
    }
}

impl Sums {
    pub fn new(metrics: usize) -> Self {
        Self { rows: 0, loss: 0.0, counts: vec![0.0; metrics] }
    }

    pub fn add(&mut self, result: &StepResult) {
        self.rows += result.rows;
        self.loss += f64::from(result.loss) * result.rows as f64;
        for (count, &sum) in self.counts.iter_mut().zip(&result.sums) {
            *count += f64::from(sum);
        }
    }

    /// Mean loss over the rows.
    pub fn loss(&self) -> f64 {
        self.loss / self.rows.max(1) as f64
    }

    /// The metrics over the rows. R² is known only over all rows of the data.
    pub fn metrics(
        &self,
        metrics: &[Metric],
        loss: Loss,
        facts: &Facts,
        all_rows: bool,
    ) -> Vec<(Metric, f64)> {
        let rows = self.rows.max(1) as f64;
        let elements = rows * facts.width as f64;
        let value = |(&metric, &sum): (&Metric, &f64)| match metric {
            Metric::Accuracy if loss == Loss::BinaryCrossEntropy => Some((metric, sum / elements)),
            Metric::Accuracy => Some((metric, sum / rows)),
            Metric::MeanAbsoluteError => Some((metric, sum / elements)),
            Metric::RSquared => all_rows.then(|| (metric, 1.0 - sum / facts.squares)),
        };
        metrics.iter().zip(&self.counts).filter_map(value).collect()
    }
}
