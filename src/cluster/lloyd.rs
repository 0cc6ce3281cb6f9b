//! Lloyd's algorithm: rows go to their nearest centre, centres to the mean of their rows.

use super::centers::{Centers, Told, squared_distance};
use super::engine::{Block, Engine};
use crate::Result;
use crate::blocks::{Held, Table};

/// A clustering, in the frame of the rows.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) centers: Centers,
    pub(super) labels: Vec<u32>,
    pub(super) inertia: f64,
    pub(super) iterations: usize,
}

/// What a pass over the rows finds.
struct Assigned {
    labels: Vec<u32>,
    sums: Vec<f64>,
    counts: Vec<f64>,
}

/// From `centers` until no row changes its cluster, the centres together move less than `tolerance` (a sum of
/// squares), or there were `most` iterations.
pub(super) async fn lloyd(
    engine: &mut Engine,
    table: &Table<'_>,
    held: &mut Held,
    mut centers: Centers,
    (most, tolerance): (usize, f64),
    told: &mut Told<'_>,
) -> Result<Found> {
    let mut labels: Vec<u32> = Vec::new();
    let (mut iterations, mut same) = (0, false);
    while iterations < most {
        iterations += 1;
        let mut assigned = assign(engine, table, held, &centers).await?;
        relocate(table, &centers, &mut assigned)?;
        let moved = means(&centers, &assigned);
        let shift: f64 = squared_distance(moved.values.iter().copied(), &centers.values);
        same = assigned.labels == labels;
        (labels, centers) = (assigned.labels, moved);
        told(iterations, &centers, &labels);
        if same || shift <= tolerance {
            break;
        }
    }
    if !same {
        labels = assign(engine, table, held, &centers).await?.labels;
    }
    let inertia = inertia(table, &centers, &labels)?;
    Ok(Found { centers, labels, inertia, iterations })
}

async fn assign(
    engine: &mut Engine,
    table: &Table<'_>,
    held: &mut Held,
    centers: &Centers,
) -> Result<Assigned> {
    let mut assigned = Assigned {
        labels: Vec::with_capacity(table.rows),
        sums: vec![0.0; centers.values.len()],
        counts: vec![0.0; centers.count()],
    };
    // Where the host adds rows up, in their own unit.
    let mut of_host = vec![0.0; centers.values.len()];
    let take = |block: Block<'_>| {
        for &label in &block.labels {
            if let Some(count) = assigned.counts.get_mut(label as usize) {
                *count += 1.0;
            }
        }
        // Run by run in the order of the rows, or row by row.
        for run in block.numbers.chunks(assigned.sums.len().max(1)) {
            for (sum, &of_run) in assigned.sums.iter_mut().zip(run) {
                *sum += f64::from(of_run);
            }
        }
        if block.numbers.is_empty() {
            let columns = table.columns;
            for (row, &label) in block.given.chunks(columns).zip(&block.labels) {
                let at = label as usize * columns;
                let sums = of_host.get_mut(at..at + columns).unwrap_or_default();
                sums.iter_mut().zip(table.frame.centered(row)).for_each(|(sum, x)| *sum += x);
            }
        }
        assigned.labels.extend(block.labels);
        Ok(())
    };
    engine.pass(table, held, centers, take).await?;
    let of_host = of_host.into_iter().map(|sum| sum * table.frame.inverse);
    assigned.sums.iter_mut().zip(of_host).for_each(|(sum, of_host)| *sum += of_host);
    Ok(assigned)
}

/// Gives each cluster without rows the row that lies farthest from its centre, as scikit-learn does; of several
/// the farthest first, and of equally far ones the first. With rows left that lie apart from their centres no
/// cluster stays empty.
fn relocate(table: &Table<'_>, centers: &Centers, assigned: &mut Assigned) -> Result<()> {
    let counts = assigned.counts.iter().enumerate();
    let empty: Vec<usize> =
        counts.filter(|(_, count)| **count == 0.0).map(|(cluster, _)| cluster).collect();
    if empty.is_empty() {
        return Ok(());
    }
    let label = |row: usize| assigned.labels.get(row).map_or(0, |&label| label as usize);
    let distances = table
        .map(|row, given| squared_distance(table.frame.seen(given), centers.of(label(row))))?;
    let mut far: Vec<(f64, usize)> =
        distances.into_iter().zip(0..).filter(|(squared, _)| *squared > 0.0).collect();
    far.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let rows: Vec<usize> = far.into_iter().map(|(_, row)| row).take(empty.len()).collect();
    let given = table.rows_at(&rows)?;
    for ((cluster, row), given) in empty.into_iter().zip(rows).zip(given.chunks(table.columns)) {
        let from = assigned.labels.get(row).map_or(0, |&label| label as usize);
        for (column, value) in table.frame.seen(given).enumerate() {
            for (of, change) in [(from, -value), (cluster, value)] {
                if let Some(sum) = assigned.sums.get_mut(of * centers.columns + column) {
                    *sum += change;
                }
            }
        }
        for (of, change) in [(from, -1.0), (cluster, 1.0)] {
            if let Some(count) = assigned.counts.get_mut(of) {
                *count += change;
            }
        }
    }
    Ok(())
}

/// The means of the clusters; a cluster without rows keeps its centre.
fn means(centers: &Centers, assigned: &Assigned) -> Centers {
    let mut moved = Centers::none(centers.columns);
    let sums = assigned.sums.chunks(centers.columns.max(1));
    for (cluster, (sum, &count)) in sums.zip(&assigned.counts).enumerate() {
        if count > 0.0 {
            moved.push(sum.iter().map(|sum| sum / count));
        } else {
            moved.push(centers.of(cluster).iter().copied());
        }
    }
    moved
}

/// Σ ‖x - c‖² over all rows and their centres.
fn inertia(table: &Table<'_>, centers: &Centers, labels: &[u32]) -> Result<f64> {
    table.sum(|row, given| {
        let label = labels.get(row).map_or(0, |&label| label as usize);
        squared_distance(table.frame.seen(given), centers.of(label))
    })
}
