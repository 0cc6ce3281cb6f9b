//! What a model must beat: a constant, and a linear model.

use wgrad::Gpu;
use wgrad::data::{Dataset, Encoder, Targets};
use wgrad::nn::{Optimizer, Sequential};
use wgrad::train::{FitOptions, TrainingConfig};

use crate::failure::Outcome;
use crate::fit;
use crate::model;
use crate::score::{Metric, Truth};

/// Scores of the baselines on rows held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baselines {
    /// That of the share of each class, or the mean, of the rows trained on.
    pub constant: f64,
    /// That of a linear (for classes: logistic) regression.
    pub linear: f64,
}

impl Baselines {
    pub fn of(
        gpu: &Gpu,
        encoder: &Encoder,
        (training, held_out): (&Dataset, &Dataset),
        metric: Metric,
    ) -> Outcome<Self> {
        let truth = Truth::of(held_out, encoder)?;
        let mut constant = constant(training).repeat(held_out.rows());
        let mut linear = match training.targets() {
            Targets::Values { .. } => least_squares(training, held_out),
            Targets::Classes { .. } => logistic(gpu, encoder, training, held_out)?,
        };
        if let Targets::Values { .. } = training.targets() {
            encoder.decode_values(&mut constant)?;
            encoder.decode_values(&mut linear)?;
        }
        let score = |said: &[f32]| truth.score(metric, said);
        Ok(Self { constant: score(&constant)?, linear: score(&linear)? })
    }
}

/// What is said of every row: the shares of the classes, or the means.
fn constant(data: &Dataset) -> Vec<f32> {
    let rows = data.rows().max(1) as f64;
    match data.targets() {
        Targets::Classes { labels, classes } => {
            let share = |class: usize| {
                let count = labels.iter().filter(|&&label| label as usize == class).count();
                (count as f64 / rows) as f32
            };
            (0..*classes).map(share).collect()
        }
        Targets::Values { data, width } => {
            let column = |at: usize| data.iter().skip(at).step_by(*width).map(|&v| f64::from(v));
            (0..*width).map(|at| (column(at).sum::<f64>() / rows) as f32).collect()
        }
    }
}

/// Logistic regression, trained as nets are.
fn logistic(
    gpu: &Gpu,
    encoder: &Encoder,
    training: &Dataset,
    held_out: &Dataset,
) -> Outcome<Vec<f32>> {
    let epochs = (200_000 / training.rows().max(1)).clamp(5, 100);
    let net = Sequential::new(training.width()).dense(fit::outputs(training));
    let optimizer = Optimizer::adam(1e-2).weight_decay(1e-3);
    let config = TrainingConfig::new(fit::loss(training), optimizer);
    let mut linear = net.compile_blocking(gpu, config)?;
    let batch = if training.rows() < 2_000 { 32 } else { 256 };
    linear.fit_blocking(training, FitOptions::new(epochs).batch_size(batch))?;
    model::predictions(&linear.predictor(), encoder, held_out.features())
}

/// Linear regression, solved: the weights `w` of `(XᵀX + λ) w = Xᵀ y`, with a column of ones in X, and a λ that
/// only keeps columns that depend on each other from having no solution.
fn least_squares(training: &Dataset, held_out: &Dataset) -> Vec<f32> {
    let Targets::Values { data, width: targets } = training.targets() else { return Vec::new() };
    let (width, targets) = (training.width() + 1, *targets);
    let mut gram = vec![0.0f64; width * width];
    let mut products = vec![0.0f64; width * targets];
    let with_one =
        |row: &[f32]| -> Vec<f64> { row.iter().map(|&x| f64::from(x)).chain([1.0]).collect() };
    let rows = training.features().chunks(training.width().max(1)).zip(data.chunks(targets.max(1)));
    for (x, y) in rows {
        let x = with_one(x);
        for ((&a, gram), product) in
            x.iter().zip(gram.chunks_mut(width)).zip(products.chunks_mut(targets.max(1)))
        {
            // One-hot columns are 0 nearly everywhere.
            if a != 0.0 {
                gram.iter_mut().zip(&x).for_each(|(sum, b)| *sum += a * b);
                product.iter_mut().zip(y).for_each(|(sum, &y)| *sum += a * f64::from(y));
            }
        }
    }
    let ridge = 1e-6 * training.rows() as f64;
    gram.iter_mut().step_by(width + 1).for_each(|diagonal| *diagonal += ridge);
    solve(&mut gram, &mut products, width, targets);
    let mut said = Vec::with_capacity(held_out.rows() * targets);
    for row in held_out.features().chunks(held_out.width().max(1)) {
        let x = with_one(row);
        for target in 0..targets {
            let weights = products.iter().skip(target).step_by(targets.max(1));
            said.push(x.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() as f32);
        }
    }
    said
}

/// Solves `a x = b` in place of `b`, of a symmetric positive definite `a`, by Gauss's elimination, which needs no
/// pivots for such.
fn solve(a: &mut [f64], b: &mut [f64], size: usize, targets: usize) {
    for pivot in 0..size {
        let (above, below) = a.split_at_mut((pivot + 1) * size);
        let row = above.get(pivot * size..).unwrap_or_default();
        let (b_above, b_below) = b.split_at_mut((pivot + 1) * targets);
        let b_row = b_above.get(pivot * targets..).unwrap_or_default();
        let diagonal = row.get(pivot).copied().unwrap_or(1.0);
        for (other, b_other) in below.chunks_mut(size).zip(b_below.chunks_mut(targets)) {
            let factor = other.get(pivot).copied().unwrap_or(0.0) / diagonal;
            if factor != 0.0 {
                let from = other.iter_mut().zip(row).skip(pivot);
                from.for_each(|(x, y)| *x -= factor * y);
                b_other.iter_mut().zip(b_row).for_each(|(x, y)| *x -= factor * y);
            }
        }
    }
    for pivot in (0..size).rev() {
        let row = a.get(pivot * size..).unwrap_or_default();
        let diagonal = row.get(pivot).copied().unwrap_or(1.0);
        let (b_above, b_below) = b.split_at_mut((pivot + 1) * targets);
        for target in 0..targets {
            let known = b_below.iter().skip(target).step_by(targets);
            let sum: f64 =
                row.iter().take(size).skip(pivot + 1).zip(known).map(|(a, x)| a * x).sum();
            if let Some(x) = b_above.get_mut(pivot * targets + target) {
                *x = (*x - sum) / diagonal;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_finds_a_plane() {
        let features: Vec<f32> = (0..60).map(|n| ((n * 7) % 13) as f32).collect();
        let plane = |x: &[f32]| [2.0 * x[0] - x[1] + 3.0, x[2]];
        let targets: Vec<f32> = features.chunks(3).flat_map(plane).collect();
        let data = Dataset::regression(features, 3, targets.clone(), 2).unwrap();
        for (said, truth) in least_squares(&data, &data).iter().zip(&targets) {
            assert!((said - truth).abs() < 1e-3, "{said} is not {truth}");
        }
    }

    #[test]
    fn constants_are_shares_and_means() {
        let classes = Dataset::classification(vec![0.0; 4], 1, vec![0, 2, 2, 2], 3).unwrap();
        assert_eq!(constant(&classes), [0.25, 0.0, 0.75]);
        let values = Dataset::regression(vec![0.0; 2], 1, vec![1.0, 5.0, 3.0, 6.0], 2).unwrap();
        assert_eq!(constant(&values), [2.0, 5.5]);
    }
}
