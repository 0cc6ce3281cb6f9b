//! All sums of products of two columns, and their eigenvectors.

use super::{Directions, Sums, eigen};
use crate::Result;
use crate::blocks::{Held, Table};
use crate::gpu::Gpu;

pub(super) async fn directions(
    gpus: &[Gpu],
    table: &Table<'_>,
    components: usize,
) -> Result<Directions> {
    let columns = table.columns;
    let (mut sums, ()) =
        Sums::new(gpus, columns, (columns, columns * columns), |_, x| Ok((x, x, ()))).await?;
    let products = sums.over(table, &mut Held::passing(gpus)).await?;
    eigen::largest(&products, columns, components)
}
