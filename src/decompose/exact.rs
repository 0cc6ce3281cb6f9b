//! All sums of products of two columns, and their eigenvectors.

use std::ops::Range;

use super::{Directions, Sums, Told, eigen};
use crate::Result;
use crate::blocks::{Held, Table};
use crate::gpu::Gpu;
use crate::graph::Graph;

/// Columns of a panel, at most. Smaller ones leave out more of what is there twice, and copy more of the rows.
const PANEL: usize = 256;

pub(super) async fn directions(
    gpus: &[Gpu],
    table: &Table<'_>,
    components: usize,
    told: &mut Told<'_>,
) -> Result<Directions> {
    let columns = table.columns;
    let panels = panels(columns);
    // A column's products with those before its panel are there already: the matrix is symmetric.
    let per_row = panels.iter().map(|panel| panel.len() + columns - panel.start).sum();
    let (mut sums, ()) = Sums::new(gpus, table, per_row, |graph, x| {
        let mut pairs = Vec::new();
        for panel in &panels {
            let from = |graph: &mut Graph, end: usize| match (panel.start, end) {
                (0, end) if end == columns => Ok(x),
                (start, end) => graph.slice(x, 1, start, end),
            };
            pairs.push([from(graph, panel.end)?, from(graph, columns)?]);
        }
        Ok((pairs, ()))
    })
    .await?;
    let products = sums.over(table, &mut Held::passing(gpus), told).await?;
    let mut matrix = vec![0.0; columns * columns];
    for (panel, products) in panels.iter().zip(products) {
        let width = columns - panel.start;
        for (i, products) in panel.clone().zip(products.chunks(width)) {
            for (j, &product) in (panel.start..columns).zip(products) {
                for place in [i * columns + j, j * columns + i] {
                    if let Some(entry) = matrix.get_mut(place) {
                        *entry = product;
                    }
                }
            }
        }
    }
    eigen::largest(&matrix, columns, components)
}

/// All columns in panels of equal width but the last, a multiple of what kernels read at once.
fn panels(columns: usize) -> Vec<Range<usize>> {
    let width = columns.div_ceil(columns.div_ceil(PANEL).max(1)).next_multiple_of(8);
    (0..columns).step_by(width).map(|start| start..(start + width).min(columns)).collect()
}
