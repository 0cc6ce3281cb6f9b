//! All sums of products of two columns, and their eigenvectors.

use std::ops::Range;

use super::{Directions, Sums, Told, eigen};
use crate::Result;
use crate::blocks::{Held, Table};
use crate::gpu::Gpu;

/// Columns of a panel: whole tiles of every kernel. The products of two panels are made once; smaller panels leave
/// out more of what is there twice, and read the rows more often.
const PANEL: usize = 192;

/// The directions, and the sum of the squares of all numbers.
pub(super) async fn directions(
    gpus: &[Gpu],
    table: &Table<'_>,
    components: usize,
    told: &mut Told<'_>,
) -> Result<(Directions, f64)> {
    let columns = table.columns;
    let panels: Vec<Range<usize>> =
        (0..columns).step_by(PANEL).map(|start| start..(start + PANEL).min(columns)).collect();
    // A panel's products with those before it are there already: the matrix is symmetric.
    let pairs: Vec<[usize; 2]> =
        (0..panels.len()).flat_map(|a| (a..panels.len()).map(move |b| [a, b])).collect();
    let (mut sums, ()) = Sums::new(gpus, table, panels.clone(), columns, |_, x| {
        let panel = |number: usize| x.get(number).copied();
        let of = |&[a, b]: &[usize; 2]| Some([panel(a)?, panel(b)?]);
        Ok((pairs.iter().filter_map(of).collect(), ()))
    })
    .await?;
    let products = sums.over(table, &mut Held::passing(gpus), told).await?;
    let mut matrix = vec![0.0; columns * columns];
    for ([a, b], products) in pairs.into_iter().zip(products) {
        let panel = |number: usize| panels.get(number).cloned().unwrap_or_default();
        let (a, b) = (panel(a), panel(b));
        for (i, products) in a.zip(products.chunks(b.len().max(1))) {
            for (j, &product) in b.clone().zip(products) {
                for place in [i * columns + j, j * columns + i] {
                    if let Some(entry) = matrix.get_mut(place) {
                        *entry = product;
                    }
                }
            }
        }
    }
    let squares = matrix.iter().step_by(columns + 1).sum();
    Ok((eigen::largest(&matrix, columns, components)?, squares))
}
