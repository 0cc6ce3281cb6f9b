//! From seconds to figures, and from the figures of several rounds to their median.

use bench_common::workload::Task;

/// A figure of one round: what is added to the workload's name, the value, the unit.
pub type Figure = (&'static str, f64, &'static str);

/// What a round's seconds say about a task.
pub fn figures(task: &Task, seconds: &[f64]) -> Vec<Figure> {
    let total: f64 = seconds.iter().sum();
    match task {
        // One step per epoch: a rate; otherwise the time of all epochs, or of one with Adam.
        Task::Fit { training, epochs } if training.batches() == 1 => {
            vec![("", *epochs as f64 / total, "steps/s")]
        }
        Task::Fit { training, epochs } => match training.optimizer {
            bench_common::workload::Optimizer::Sgd => vec![("", total * 1e3, "ms")],
            bench_common::workload::Optimizer::Adam => {
                vec![("", total * 1e3 / *epochs as f64, "ms/epoch")]
            }
        },
        Task::Steps { steps, .. } => vec![("", *steps as f64 / total, "steps/s")],
        Task::HostFit { training, epochs } => {
            vec![("", total * 1e6 / (epochs * training.batches()) as f64, "us/step")]
        }
        Task::Product { m, n, k, times, .. } => {
            vec![("", 2e-9 * (m * n * k * times) as f64 / total, "GFLOP/s")]
        }
        Task::Peak { multiply_adds } => vec![("", 2e-9 * *multiply_adds as f64 / total, "GFLOP/s")],
        Task::Predict { rows, calls, .. } => {
            let mut sorted = seconds.to_vec();
            sorted.sort_by(f64::total_cmp);
            vec![
                (" p50", quantile(&sorted, 0.5) * 1e3, "ms"),
                (" p99", quantile(&sorted, 0.99) * 1e3, "ms"),
                (" rate", (rows * calls) as f64 / total, "rows/s"),
            ]
        }
    }
}

/// Whether more is better.
pub fn is_rate(unit: &str) -> bool {
    unit.ends_with("/s")
}

/// The smallest value that a share `q` of the sorted values does not exceed.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Median, least and largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
            _ => sorted[middle],
        };
        Self { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        let spread = Spread::of(&[3.0, 1.0, 2.0, 10.0]);
        assert_eq!(spread, Spread { median: 2.5, min: 1.0, max: 10.0 });
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).median, 2.0);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&hundred, 0.5), quantile(&hundred, 0.99)), (50.0, 99.0));
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }
}
