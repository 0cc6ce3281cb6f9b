//! Subspace iteration from random directions (Halko, Martinsson and Tropp, 2011, algorithm 4.4, on the products of
//! columns): Q becomes an orthonormal basis of Xᵀ·(X·Q), again and again, and turns towards the directions in which
//! rows differ most. Within it, the eigenvectors of (X·Q)ᵀ·(X·Q) are the components.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::{Directions, Sums, Told, eigen};
use crate::blocks::{Held, Table};
use crate::gpu::Gpu;
use crate::graph::{Graph, Tensor};
use crate::{Error, Result};

pub(super) async fn directions(
    gpus: &[Gpu],
    table: &Table<'_>,
    (components, directions, iterations, seed): (usize, usize, usize, u64),
    told: &mut Told<'_>,
) -> Result<Directions> {
    let columns = table.columns;
    let basis_of = |graph: &mut Graph, x: &[Tensor]| -> Result<(Tensor, [Tensor; 2])> {
        let &[x] = x else { return Err(Error::bug(format!("{} panels, not one", x.len()))) };
        let basis = graph.input("directions", [columns, directions])?;
        Ok((basis, [x, graph.matmul(x, basis)?]))
    };
    let mut held = Held::by(gpus, table);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let drawn: Vec<f64> =
        (0..columns * directions).map(|_| 2.0 * random.random::<f64>() - 1.0).collect();
    let mut basis = eigen::orthonormal(&drawn, directions);
    let per_row = columns + directions;
    let all = || std::iter::once(0..columns).collect::<Vec<_>>();
    let (mut turned, input) = Sums::new(gpus, table, all(), per_row, |graph, x| {
        let (basis, [x, along]) = basis_of(graph, x)?;
        Ok((vec![[x, along]], basis))
    })
    .await?;
    for _ in 0..iterations {
        turned.passes.write(input, &rounded(&basis))?;
        let sums = turned.over(table, &mut held, told).await?.concat();
        basis = eigen::orthonormal(&sums, directions);
    }
    let (mut within, input) = Sums::new(gpus, table, all(), per_row, |graph, x| {
        let (basis, [_, along]) = basis_of(graph, x)?;
        Ok((vec![[along, along]], basis))
    })
    .await?;
    within.passes.write(input, &rounded(&basis))?;
    let products = within.over(table, &mut held, told).await?.concat();
    let found = eigen::largest(&products, directions, components)?;
    let rows = found.rows.iter().map(|turn| eigen::product(&basis, turn, directions)).collect();
    Ok(Directions { rows, ..found })
}

fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}
