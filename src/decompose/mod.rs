//! Principal components: the directions in which rows differ most.
//!
//! ```no_run
//! use wgrad::decompose::Pca;
//! # fn main() -> Result<(), wgrad::Error> {
//! let gpu = wgrad::Gpu::new_blocking()?;
//! let rows = [0.0, 0.1, 1.0, 1.0, 2.0, 2.1, 3.0, 2.9]; // four rows of two numbers
//! let pca = Pca::new(1).fit_blocking(&gpu, &rows, 2)?;
//! println!("{:?} of the variance", pca.explained_variance_ratio());
//! let in_the_line = pca.transform_blocking(&rows)?; // one number a row
//! # assert_eq!(in_the_line.len(), 4);
//! # Ok(())
//! # }
//! ```
//!
//! Rows are seen from their mean, and in a unit in which none is beyond ±1. Sums of products come from the device in
//! short runs of rows and are joined in f64 in the order of the rows; what follows is small and done in f64 on the
//! host. So the same rows give the same bits, on however many devices of one kind.

mod eigen;
mod exact;
mod fitted;
mod randomized;

pub use fitted::PrincipalComponents;

use std::ops::Range;

use crate::blocks::{Held, Passes, Table, at_least_one, block_rows};
use crate::data::Source;
use crate::gpu::Gpu;
use crate::graph::{Graph, Layout, Tensor};
use crate::{Error, Result};
use eigen::Directions;

/// How components are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Solver {
    /// [`Solver::Exact`] up to 2,000 columns, [`Solver::Randomized`] above.
    #[default]
    Auto,
    /// From all sums of products of two columns, columns × columns of them, and their eigenvectors.
    Exact,
    /// By subspace iteration from random directions (Halko, Martinsson and Tropp, 2011), made orthonormal by
    /// Householder's reflections: for many columns and few components. What lies between two components of nearly
    /// equal variance is found less exactly.
    Randomized,
}

/// Columns up to which [`Solver::Auto`] is exact.
const FEW_COLUMNS: usize = 2000;

/// Principal component analysis with its options.
#[derive(Clone, Debug)]
pub struct Pca {
    components: usize,
    whiten: bool,
    solver: Solver,
    oversampling: usize,
    iterations: usize,
    seed: u64,
}

impl Pca {
    /// The first `components` of them.
    pub fn new(components: usize) -> Self {
        let (whiten, solver) = (false, Solver::Auto);
        Self { components, whiten, solver, oversampling: 10, iterations: 7, seed: 0 }
    }

    /// Whether transformed rows are divided by the deviation along each component, so that all are 1.
    pub fn whiten(self, whiten: bool) -> Self {
        Self { whiten, ..self }
    }

    /// How components are found.
    pub fn solver(self, solver: Solver) -> Self {
        Self { solver, ..self }
    }

    /// Directions that the randomized solver has beside the components.
    pub fn oversampling(self, directions: usize) -> Self {
        Self { oversampling: directions, ..self }
    }

    /// Iterations of the randomized solver, each a pass over the rows.
    pub fn iterations(self, iterations: usize) -> Self {
        Self { iterations, ..self }
    }

    /// Of the directions that the randomized solver begins with.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Finds the components of rows of `columns` numbers on one device.
    ///
    /// A constant column has no part in any component. Where all rows are alike every variance is 0, and so are the
    /// ratios; the components are then some directions at right angles.
    ///
    /// # Errors
    /// [`Error::Data`] unless they are whole rows of finite numbers; [`Error::Argument`] if there are fewer than two
    /// rows, or more components than rows or columns; [`Error::Limit`] if so many sums of products do not fit the
    /// device; the errors of the device.
    pub async fn fit(
        &self,
        gpu: &Gpu,
        values: &[f32],
        columns: usize,
    ) -> Result<PrincipalComponents> {
        self.fit_over(std::slice::from_ref(gpu), values, columns).await
    }

    /// As [`Pca::fit`], and `watch` is told of how many rows the passes have seen, and how many they will have in all.
    ///
    /// # Errors
    /// As for [`Pca::fit`].
    pub async fn fit_watched(
        &self,
        gpu: &Gpu,
        values: &[f32],
        columns: usize,
        mut watch: impl FnMut(usize, usize) + Send,
    ) -> Result<PrincipalComponents> {
        let gpus = std::slice::from_ref(gpu);
        self.fit_table(gpus, Table::new(values, columns)?, &mut watch).await
    }

    /// As [`Pca::fit`], with the blocks of rows shared out over several devices.
    ///
    /// # Errors
    /// As for [`Pca::fit`], and if there is no device.
    pub async fn fit_over(
        &self,
        gpus: &[Gpu],
        values: &[f32],
        columns: usize,
    ) -> Result<PrincipalComponents> {
        self.fit_table(gpus, Table::new(values, columns)?, &mut |_, _| ()).await
    }

    /// As [`Pca::fit`], for the features of a source: to the same components as of the same rows in memory. It is read
    /// twice, by the randomized solver three times and once more for each iteration.
    ///
    /// # Errors
    /// As for [`Pca::fit`]; and if rows cannot be read.
    pub async fn fit_source(&self, gpu: &Gpu, source: &Source) -> Result<PrincipalComponents> {
        let gpus = std::slice::from_ref(gpu);
        self.fit_table(gpus, Table::of_source(source)?, &mut |_, _| ()).await
    }

    async fn fit_table(
        &self,
        gpus: &[Gpu],
        table: Table<'_>,
        watch: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<PrincipalComponents> {
        let Some(first) = gpus.first() else {
            return Err(Error::argument("number of devices", 0, "at least 1"));
        };
        self.check(&table)?;
        let columns = table.columns;
        let exact = match self.solver {
            Solver::Auto => columns <= FEW_COLUMNS,
            solver => solver == Solver::Exact,
        };
        let passes = if exact { 1 } else { self.iterations.saturating_add(1) };
        let (mut seen, all) = (0, table.rows.saturating_mul(passes));
        let mut told = |rows: usize| {
            seen += rows;
            watch(seen, all);
        };
        let (found, squares) = match exact {
            true => exact::directions(gpus, &table, self.components, &mut told).await?,
            false => {
                let most = table.rows.min(columns);
                let directions = self.components.saturating_add(self.oversampling).min(most);
                let figures = (self.components, directions, self.iterations, self.seed);
                let found = randomized::directions(gpus, &table, figures, &mut told).await?;
                (found, table.squares()?)
            }
        };
        Ok(PrincipalComponents::new(first, &table, found, squares, self.whiten))
    }

    fn check(&self, table: &Table<'_>) -> Result<()> {
        at_least_one("number of components", self.components)?;
        if table.rows < 2 {
            let rule = "at least 2: one row differs from none";
            return Err(Error::argument("number of rows", table.rows, rule));
        }
        let most = table.rows.min(table.columns);
        if self.components > most {
            let rule =
                format!("at most {most}, with {} rows of {} numbers", table.rows, table.columns);
            return Err(Error::argument("number of components", self.components, &rule));
        }
        Ok(())
    }
}

/// Who is told of each block's rows.
type Told<'a> = dyn FnMut(usize) + Send + 'a;

/// Rows whose products are added up on their own: sums of f32 lose digits as they grow longer.
const RUN: usize = 1024;

/// Sums over the rows of a block, in f64 and joined in the order of the rows.
struct Sums {
    passes: Passes,
    /// Numbers of each run, for each pair.
    numbers: Vec<usize>,
}

impl Sums {
    /// Aᵀ·B for each run of rows and each pair of A and B, both rows × something, which `build` makes of a block whose
    /// columns come in these panels. `per_row` numbers are made of a row.
    async fn new<T>(
        gpus: &[Gpu],
        table: &Table<'_>,
        panels: Vec<Range<usize>>,
        per_row: usize,
        build: impl FnOnce(&mut Graph, &[Tensor]) -> Result<(Vec<[Tensor; 2]>, T)>,
    ) -> Result<(Self, T)> {
        let columns = panels.last().map_or(0, |panel| panel.end);
        let rows = block_rows(per_row.max(columns), table.rows).max(RUN);
        let mut graph = Graph::new();
        let inputs: Result<Vec<Tensor>> =
            panels.iter().map(|panel| graph.input("rows", [rows, panel.len()])).collect();
        let inputs = inputs?;
        let (pairs, others) = build(&mut graph, &inputs)?;
        let (mut sums, mut numbers) = (Vec::new(), Vec::new());
        for pair in pairs {
            let [(a, across), (b, down)] = pair.map(|tensor| {
                let width = graph.shape(tensor).map_or(0, |shape| shape.columns());
                (graph.reshape(tensor, [rows / RUN, RUN, width]), width)
            });
            sums.push(graph.matmul_layout(Layout::TN, a?, b?)?);
            numbers.push(across * down);
        }
        let panels = inputs.into_iter().zip(panels).collect();
        Ok((Self { passes: Passes::new(gpus, &graph, panels, sums).await?, numbers }, others))
    }

    /// Of all rows, for each pair; `told` has the number of rows of each block.
    async fn over(
        &mut self,
        table: &Table<'_>,
        held: &mut Held,
        told: &mut Told<'_>,
    ) -> Result<Vec<Vec<f64>>> {
        let mut sums: Vec<Vec<f64>> =
            self.numbers.iter().map(|&numbers| vec![0.0; numbers]).collect();
        let take = |block: crate::blocks::Block<'_>| {
            let runs = block.rows.div_ceil(RUN);
            for (sums, output) in sums.iter_mut().zip(block.outputs) {
                for run in output.numbers().chunks(sums.len().max(1)).take(runs) {
                    for (sum, &of_run) in sums.iter_mut().zip(run) {
                        *sum += f64::from(of_run);
                    }
                }
            }
            told(block.rows);
            Ok(())
        };
        self.passes.pass(table, held, take).await?;
        Ok(sums)
    }
}
