//! Where the centres begin: k-means++ (Arthur and Vassilvitskii, 2007), which draws each with probability
//! proportional to the squared distance from those before, and of a few drawn ones takes the best; and
//! k-means‖ (Bahmani et al., 2012), which draws many at once, in a few passes over the rows.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt};

use super::centers::{Centers, distance_by_score, squared_distance};
use super::engine::{Block, Engine, Wanted};
use crate::Result;
use crate::blocks::{Held, Table};
use crate::gpu::Gpu;

/// Candidates for each centre, as scikit-learn has them.
fn trials(clusters: usize) -> usize {
    2 + (clusters as f64).ln() as usize
}

/// A number below `bound`, none likelier than another by more than one part in 2³².
pub(super) fn below(random: &mut Xoshiro256PlusPlus, bound: usize) -> usize {
    ((u128::from(random.next_u64()) * bound as u128) >> 64) as usize
}

pub(super) fn norms(table: &Table<'_>) -> Result<Vec<f64>> {
    table.map(|_, row| table.frame.seen_f32(row).map(|x| f64::from(x) * f64::from(x)).sum())
}

/// Squared distances of all rows from some centres.
struct Distances<'a, 'b> {
    engine: Engine,
    held: &'b mut Held,
    table: &'b Table<'a>,
    norms: &'b [f64],
}

impl Distances<'_, '_> {
    /// Of every row from the centres of these rows, one row after another.
    async fn of_all_from(&mut self, rows: &[usize]) -> Result<Vec<f32>> {
        let mut centers = Centers::none(self.table.columns);
        centers.push_rows(self.table, rows)?;
        let (table, norms) = (self.table, self.norms);
        let center_norms = centers.squared_norms();
        let room = self.engine.room();
        let mut all = Vec::with_capacity(table.rows * rows.len());
        let take = |block: Block<'_>| {
            let scores = block.numbers.chunks(room).take(block.rows);
            let rows = block.given.chunks(table.columns).zip(scores);
            for ((row, scores), norm) in rows.zip(norms.iter().skip(block.first)) {
                for (center, (&score, &center_norm)) in scores.iter().zip(&center_norms).enumerate()
                {
                    let of = centers.of(center);
                    let row = (&table.frame, row);
                    let squared = distance_by_score(row, *norm, score, of, center_norm);
                    all.push(squared as f32);
                }
            }
            Ok(())
        };
        self.engine.pass(table, self.held, &centers, take).await?;
        Ok(all)
    }
}

/// k-means++.
pub(super) async fn plus_plus(
    gpus: &[Gpu],
    table: &Table<'_>,
    held: &mut Held,
    norms: &[f64],
    clusters: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Result<Centers> {
    let trials = trials(clusters);
    let engine = Engine::new(gpus, table, trials, Wanted::Scores, None).await?;
    let mut distances = Distances { engine, held, table, norms };
    let mut chosen = vec![below(random, table.rows)];
    let mut closest: Vec<f64> =
        distances.of_all_from(&chosen).await?.into_iter().map(f64::from).collect();
    while chosen.len() < clusters {
        let total: f64 = closest.iter().sum();
        if total == 0.0 {
            // Every row lies where a centre does: more centres would be copies of one.
            chosen.resize(clusters, chosen.first().copied().unwrap_or(0));
            break;
        }
        let candidates = drawn(&closest, total, trials, random);
        let found = distances.of_all_from(&candidates).await?;
        let mut potentials = vec![0.0; candidates.len()];
        for (row, &closest) in found.chunks(candidates.len()).zip(&closest) {
            for (potential, &squared) in potentials.iter_mut().zip(row) {
                *potential += closest.min(f64::from(squared));
            }
        }
        let best = first_smallest(&potentials);
        for (row, closest) in found.chunks(candidates.len()).zip(&mut closest) {
            if let Some(&squared) = row.get(best) {
                *closest = closest.min(f64::from(squared));
            }
        }
        chosen.extend(candidates.get(best));
    }
    let mut centers = Centers::none(table.columns);
    centers.push_rows(table, &chosen)?;
    Ok(centers)
}

/// `count` rows, drawn with probabilities proportional to `weights`, whose sum is `total`. None has the weight 0.
fn drawn(weights: &[f64], total: f64, count: usize, random: &mut Xoshiro256PlusPlus) -> Vec<usize> {
    let mut marks: Vec<f64> = (0..count).map(|_| random.random::<f64>() * total).collect();
    marks.sort_by(f64::total_cmp);
    let (mut sum, mut found, mut last) = (0.0, Vec::with_capacity(count), 0);
    let mut marks = marks.into_iter().peekable();
    for (row, &weight) in weights.iter().enumerate() {
        sum += weight;
        if weight > 0.0 {
            last = row;
        }
        while marks.next_if(|&mark| mark < sum).is_some() {
            found.push(row);
        }
    }
    // What rounding kept beyond the sum.
    found.extend(marks.map(|_| last));
    found
}

fn first_smallest(values: &[f64]) -> usize {
    let mut best = 0;
    for (place, value) in values.iter().enumerate() {
        if values.get(best).is_some_and(|smallest| value < smallest) {
            best = place;
        }
    }
    best
}

/// Draws of k-means‖, after which the candidates are clustered among themselves; the authors' choice.
const ROUNDS: usize = 5;

/// Candidates of each draw, for each cluster; the authors' choice.
const OVERSAMPLING: f64 = 2.0;

/// k-means‖.
pub(super) async fn parallel(
    gpus: &[Gpu],
    table: &Table<'_>,
    held: &mut Held,
    norms: &[f64],
    clusters: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Result<Centers> {
    let mut candidates = Centers::none(table.columns);
    candidates.push_rows(table, &[below(random, table.rows)])?;
    let mut closest = vec![f64::INFINITY; table.rows];
    let mut fresh = candidates.clone();
    for round in 0..=ROUNDS {
        nearer(gpus, table, held, norms, &fresh, &mut closest).await?;
        let total: f64 = closest.iter().sum();
        // More draws while there are too few candidates for all clusters, and rows that are none.
        let enough = round == ROUNDS && candidates.count() >= clusters;
        if total == 0.0 || enough {
            break;
        }
        let each = OVERSAMPLING * clusters as f64 / total;
        fresh = Centers::none(table.columns);
        let taken = |(_, closest): &(usize, &f64)| random.random::<f64>() < each * **closest;
        let mut rows: Vec<usize> =
            closest.iter().enumerate().filter(taken).map(|(row, _)| row).collect();
        let missing = clusters.saturating_sub(candidates.count() + rows.len());
        if round == ROUNDS - 1 && missing > 0 {
            rows.extend(drawn(&closest, total, missing, random));
        }
        fresh.push_rows(table, &rows)?;
        if fresh.count() == 0 {
            continue;
        }
        candidates.values.extend(&fresh.values);
    }
    let weights = weights(gpus, table, held, &candidates).await?;
    Ok(plus_plus_of(&candidates, &weights, clusters, random))
}

/// Lowers the squared distances in `closest` to those from `fresh`.
async fn nearer(
    gpus: &[Gpu],
    table: &Table<'_>,
    held: &mut Held,
    norms: &[f64],
    fresh: &Centers,
    closest: &mut [f64],
) -> Result<()> {
    if fresh.count() == 0 {
        return Ok(());
    }
    let mut engine = nearest_of(gpus, table, fresh.count()).await?;
    let center_norms = fresh.squared_norms();
    let take = |block: Block<'_>| {
        let found = block.labels.iter().zip(&block.numbers);
        let rows = closest.iter_mut().zip(norms).skip(block.first);
        let rows = block.given.chunks(table.columns).zip(rows);
        for ((row, (closest, &norm)), (&label, &score)) in rows.zip(found) {
            let center_norm = center_norms.get(label as usize).copied().unwrap_or(0.0);
            let (row, of) = ((&table.frame, row), fresh.of(label as usize));
            *closest = closest.min(distance_by_score(row, norm, score, of, center_norm));
        }
        Ok(())
    };
    engine.pass(table, held, fresh, take).await
}

/// An engine with room for at least so many centres: powers of two, so that few kernels are compiled.
async fn nearest_of(gpus: &[Gpu], table: &Table<'_>, centers: usize) -> Result<Engine> {
    let room = centers.next_power_of_two();
    Engine::new(gpus, table, room, Wanted::Nearest, None).await
}

/// How many rows each candidate is nearest to.
async fn weights(
    gpus: &[Gpu],
    table: &Table<'_>,
    held: &mut Held,
    candidates: &Centers,
) -> Result<Vec<f64>> {
    let mut engine = nearest_of(gpus, table, candidates.count()).await?;
    let mut weights = vec![0.0; candidates.count()];
    let take = |block: Block<'_>| {
        for &label in &block.labels {
            if let Some(weight) = weights.get_mut(label as usize) {
                *weight += 1.0;
            }
        }
        Ok(())
    };
    engine.pass(table, held, candidates, take).await?;
    Ok(weights)
}

/// k-means++ of a few weighted points, on the host.
fn plus_plus_of(
    points: &Centers,
    weights: &[f64],
    clusters: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Centers {
    let mut chosen = Centers::none(points.columns);
    let mut closest = vec![f64::INFINITY; points.count()];
    let distances = |from: usize| -> Vec<f64> {
        let from = points.of(from);
        (0..points.count())
            .map(|point| squared_distance(points.of(point).iter().copied(), from))
            .collect()
    };
    let weighted = |closest: &[f64]| -> Vec<f64> {
        closest.iter().zip(weights).map(|(squared, weight)| squared * weight).collect()
    };
    while chosen.count() < clusters {
        // The first is drawn by weight alone.
        let potential = match chosen.count() {
            0 => weights.to_vec(),
            _ => weighted(&closest),
        };
        let total: f64 = potential.iter().sum();
        let candidates = match total > 0.0 {
            true if chosen.count() == 0 => drawn(&potential, total, 1, random),
            true => drawn(&potential, total, trials(clusters), random),
            false => vec![0],
        };
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for candidate in candidates {
            let lowered: Vec<f64> =
                distances(candidate).iter().zip(&closest).map(|(a, b)| a.min(*b)).collect();
            let left: f64 = weighted(&lowered).iter().sum();
            if best.as_ref().is_none_or(|(least, ..)| left < *least) {
                best = Some((left, candidate, lowered));
            }
        }
        if let Some((_, candidate, lowered)) = best {
            chosen.values.extend(points.of(candidate));
            closest = lowered;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn rows_are_drawn_by_their_weights() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
        let weights = [0.0, 1.0, 0.0, 3.0, 0.0];
        let found = drawn(&weights, 4.0, 40_000, &mut random);
        let of = |row: usize| found.iter().filter(|&&found| found == row).count();
        assert_eq!(of(1) + of(3), 40_000);
        // Within four deviations of √(n·¼·¾).
        assert!(of(1).abs_diff(10_000) < 350, "{}", of(1));
        // A total that rounding made too large draws the last row that has a weight.
        assert!(drawn(&weights, 8.0, 100, &mut random).iter().all(|&row| row == 1 || row == 3));
    }
}
