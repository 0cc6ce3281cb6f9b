//! Mini-batch k-means (Sculley, 2010): each centre goes to the mean of the rows that came to it so far, some rows of
//! the data at a time.

use rand::rngs::Xoshiro256PlusPlus;

use super::centers::{Centers, Told, squared_distance};
use super::engine::{Block, Engine, Wanted};
use super::seeding::below;
use crate::Result;
use crate::blocks::{Held, Table};
use crate::gpu::Gpu;

/// Batches in a row without a better mean before it ends, as scikit-learn has it.
const PATIENCE: usize = 10;

/// From `centers` for so many epochs at most, or until the inertia of batches, smoothed over an epoch, did not fall
/// for ten batches. Returns the centres and the number of batches.
pub(super) async fn mini_batch(
    gpus: &[Gpu],
    table: &Table<'_>,
    mut centers: Centers,
    (rows, epochs): (usize, usize),
    random: &mut Xoshiro256PlusPlus,
    told: &mut Told<'_>,
) -> Result<(Centers, usize)> {
    let gpus = gpus.get(..1).unwrap_or(gpus);
    let clusters = centers.count();
    let mut engine = Engine::new(gpus, table, clusters, Wanted::Nearest, Some(rows)).await?;
    let mut counts = vec![0.0; clusters];
    let weight = (2.0 * rows as f64 / (table.rows as f64 + 1.0)).min(1.0);
    let (mut smoothed, mut least, mut waited) = (None, f64::INFINITY, 0);
    let most = epochs.saturating_mul(table.rows.div_ceil(rows));
    for number in 0..most {
        let places: Vec<usize> = (0..rows).map(|_| below(random, table.rows)).collect();
        let drawn = table.rows_at(&places)?;
        let batch = Table::within(&drawn, &table.frame)?;
        let mut labels = Vec::new();
        let take = |block: Block<'_>| {
            labels.extend(block.labels);
            Ok(())
        };
        engine.pass(&batch, &mut Held::passing(gpus), &centers, take).await?;
        let inertia = learn(&batch, &drawn, &labels, (&mut centers, &mut counts));
        // A centre that no row came to begins again at a row of the batch.
        for cluster in 0..clusters {
            if counts.get(cluster).is_some_and(|&count| count == 0.0) {
                let row = below(random, rows) * table.columns;
                let given = drawn.get(row..row + table.columns).unwrap_or_default();
                centers.replace(cluster, table.frame.seen(given));
            }
        }
        told(number + 1, &centers, &[]);
        // The first batch says how good the seeds were.
        if number == 0 {
            continue;
        }
        let now = smoothed.map_or(inertia, |before: f64| before + weight * (inertia - before));
        smoothed = Some(now);
        waited = if now < least { 0 } else { waited + 1 };
        least = least.min(now);
        if waited >= PATIENCE {
            return Ok((centers, number + 1));
        }
    }
    Ok((centers, most))
}

/// Moves the centres by the rows of a batch; returns the mean squared distance from where they were.
fn learn(
    batch: &Table<'_>,
    given: &[f32],
    labels: &[u32],
    (centers, counts): (&mut Centers, &mut [f64]),
) -> f64 {
    let columns = centers.columns;
    let mut sums = vec![0.0; centers.values.len()];
    let mut fresh = vec![0.0; counts.len()];
    let mut inertia = 0.0;
    for (row, &label) in given.chunks(columns).zip(labels) {
        let cluster = label as usize;
        inertia += squared_distance(batch.frame.seen(row), centers.of(cluster));
        let sums = sums.iter_mut().skip(cluster * columns);
        sums.zip(batch.frame.seen(row)).for_each(|(sum, value)| *sum += value);
        if let Some(count) = fresh.get_mut(cluster) {
            *count += 1.0;
        }
    }
    for (cluster, (count, fresh)) in counts.iter_mut().zip(fresh).enumerate() {
        if fresh == 0.0 {
            continue;
        }
        let (before, all) = (*count, *count + fresh);
        let sums = sums.iter().skip(cluster * columns);
        let moved: Vec<f64> = centers
            .of(cluster)
            .iter()
            .zip(sums)
            .map(|(center, sum)| (center * before + sum) / all)
            .collect();
        centers.replace(cluster, moved.into_iter());
        *count = all;
    }
    inertia / batch.rows as f64
}
