//! The losses, their gradients and the counts of the twin.

use wgrad::graph::{Count, Loss};

use super::num::Num;
use super::twin::{HALF, ONE, TWO, ZERO, log_softmax, sigmoid, softmax, times_sign};

/// Weights of rows, if they have such.
type Weights<'a> = Option<&'a [Num]>;

/// Numbers in rows of `columns`, each times the weight of its row.
pub(super) fn by_rows(
    items: impl IntoIterator<Item = Num>,
    columns: usize,
    weights: Weights<'_>,
) -> Vec<Num> {
    let weighted = |(i, item): (usize, Num)| match weights {
        Some(weights) => item * weights[i / columns],
        None => item,
    };
    items.into_iter().enumerate().map(weighted).collect()
}

pub(super) fn cross_entropy(
    logits: &[Num],
    labels: &[u32],
    classes: usize,
    weights: Weights<'_>,
) -> Num {
    let rows = logits.chunks(classes).zip(labels);
    let items = rows.map(|(row, &label)| -log_softmax(row)[label as usize]);
    Num::sum(by_rows(items, 1, weights)).over(labels.len())
}

pub(super) fn mean_loss(
    loss: Loss,
    predictions: &[Num],
    targets: &[Num],
    columns: usize,
    weights: Weights<'_>,
) -> Num {
    let n = predictions.len();
    let pairs = || predictions.iter().copied().zip(targets.iter().copied());
    match loss {
        Loss::MeanSquaredError => {
            let items = pairs().map(|(p, t)| (p - t).squared());
            Num::sum(by_rows(items, columns, weights)).over(n)
        }
        Loss::MeanAbsoluteError => {
            let items = pairs().map(|(p, t)| (p - t).abs());
            Num::sum(by_rows(items, columns, weights)).over(n)
        }
        Loss::Huber { delta } => {
            let delta = Num::exact(f64::from(delta));
            let items = pairs().map(|(p, t)| {
                let e = (p - t).abs();
                if e.value <= delta.value { e.squared() * HALF } else { delta * (e - HALF * delta) }
            });
            Num::sum(by_rows(items, columns, weights)).over(n)
        }
        Loss::SoftmaxCrossEntropyProbabilities => {
            let rows = predictions.chunks(columns).zip(targets.chunks(columns));
            let items = rows.flat_map(|(row, targets)| {
                let targets = targets.to_vec();
                // 0·ln 0 is 0.
                let term = |(log_p, t): (Num, Num)| match t.value == 0.0 && !log_p.value.is_nan() {
                    true => ZERO,
                    false => -(t * log_p),
                };
                log_softmax(row).into_iter().zip(targets).map(term)
            });
            Num::sum(by_rows(items, columns, weights)).over(n / columns)
        }
        Loss::BinaryCrossEntropy => {
            // log σ(z) = z - log(1 + eᶻ) = -log(1 + e⁻ᶻ), and 1 - σ(z) = σ(-z).
            let items = pairs().map(|(z, t)| {
                let tail = (-z.abs()).exp().ln_1p();
                // max(z, 0) - z·t, where 0·∞ is 0.
                let share = if z.value >= 0.0 { ONE - t } else { t };
                if share.value == 0.0 { tail } else { z.abs() * share + tail }
            });
            Num::sum(by_rows(items, columns, weights)).over(n)
        }
        Loss::SoftmaxCrossEntropy => unreachable!("takes classes"),
        other => panic!("the twin does not know {other:?}"),
    }
}

pub(super) fn loss_grad(
    loss: Loss,
    predictions: &[Num],
    targets: &[Num],
    columns: usize,
    upstream: Num,
) -> Vec<Num> {
    let n = predictions.len();
    let pairs = || predictions.iter().copied().zip(targets.iter().copied());
    match loss {
        Loss::MeanSquaredError => {
            pairs().map(|(p, t)| (TWO * (p - t)).over(n) * upstream).collect()
        }
        Loss::MeanAbsoluteError => {
            let share = upstream.over(n);
            pairs().map(|(p, t)| times_sign(p - t, share)).collect()
        }
        Loss::Huber { delta } => {
            let delta = Num::exact(f64::from(delta));
            pairs()
                .map(|(p, t)| {
                    let e = p - t;
                    let clamped = if e.value > delta.value {
                        delta
                    } else if e.value < -delta.value {
                        -delta
                    } else {
                        e
                    };
                    // Clamping never makes an error larger, but may leave it where it was.
                    Num { error: e.error, ..clamped }.over(n) * upstream
                })
                .collect()
        }
        Loss::SoftmaxCrossEntropyProbabilities => {
            let rows = predictions.chunks(columns).zip(targets.chunks(columns));
            rows.flat_map(|(row, targets)| {
                let total = Num::sum(targets.iter().copied());
                let targets = targets.to_vec();
                softmax(row)
                    .into_iter()
                    .zip(targets)
                    .map(move |(p, t)| (p * total - t).over(n / columns) * upstream)
            })
            .collect()
        }
        Loss::BinaryCrossEntropy => {
            pairs().map(|(z, t)| (sigmoid(z) - t).over(n) * upstream).collect()
        }
        Loss::SoftmaxCrossEntropy => unreachable!("takes classes"),
        other => panic!("the twin does not know {other:?}"),
    }
}

/// Where the largest element is, the first of equals, and whether rounding could move it.
pub(super) fn largest(row: &[Num]) -> (usize, bool) {
    let mut best = 0;
    for (i, x) in row.iter().enumerate() {
        if x.value > row[best].value {
            best = i;
        }
    }
    let unsure = row.iter().enumerate().any(|(i, x)| {
        let error = x.error + row[best].error;
        i != best && error > 0.0 && row[best].value - x.value <= error
    });
    (best, unsure)
}

/// Whether there is no NaN among the numbers.
pub(super) fn sound(row: &[Num]) -> bool {
    row.iter().all(|x| !x.value.is_nan())
}

pub(super) fn hit(is_hit: bool, unsure: bool) -> Num {
    Num::either(is_hit, unsure, ONE, ZERO)
}

pub(super) fn metric(count: Count, predictions: &[Num], targets: &[Num], columns: usize) -> Num {
    let pairs = || predictions.iter().copied().zip(targets.iter().copied());
    match count {
        Count::CorrectBinary => Num::sum(pairs().map(|(z, t)| {
            let unsure = z.unsure_about(0.0) || t.unsure_about(0.5);
            hit((z.value > 0.0) == (t.value > 0.5) && sound(&[z, t]), unsure)
        })),
        Count::CorrectProbabilities => {
            let rows = predictions.chunks(columns).zip(targets.chunks(columns));
            Num::sum(rows.map(|(p, t)| {
                let is_sound = sound(p) && sound(t);
                let ((p, unsure_p), (t, unsure_t)) = (largest(p), largest(t));
                hit(p == t && is_sound, unsure_p || unsure_t)
            }))
        }
        Count::AbsoluteError => Num::sum(pairs().map(|(p, t)| (p - t).abs())),
        Count::SquaredError => Num::sum(pairs().map(|(p, t)| (p - t).squared())),
        Count::Correct => unreachable!("takes classes"),
        other => panic!("the twin does not know {other:?}"),
    }
}
