//! Components that were found, and rows seen along them.

use super::Directions;
use crate::blocks::{Block, Frame, Held, Output, Passes, Table, block_rows};
use crate::data::Source;
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::{Error, Result};

/// Principal components, and rows seen along them.
#[derive(Clone, Debug)]
pub struct PrincipalComponents {
    gpu: Gpu,
    frame: Frame,
    /// A row each, as f32 holds them.
    components: Vec<f32>,
    variance: Vec<f64>,
    ratio: Vec<f64>,
    singular: Vec<f64>,
    mean: Vec<f32>,
    whiten: bool,
}

impl PrincipalComponents {
    /// `squares`: those of all numbers, in the frame of the table.
    pub(super) fn new(
        gpu: &Gpu,
        table: &Table<'_>,
        mut found: Directions,
        squares: f64,
        whiten: bool,
    ) -> Self {
        found.rows.iter_mut().for_each(|row| turn(row));
        let frame = table.frame.clone();
        let unit = frame.unit * frame.unit;
        let degrees = (table.rows - 1) as f64;
        let share = |along: f64| if squares > 0.0 { along / squares } else { 0.0 };
        let rows = found.rows.iter().flatten();
        Self {
            gpu: gpu.clone(),
            components: rows.map(|&value| value as f32).collect(),
            variance: found.squares.iter().map(|along| along / degrees * unit).collect(),
            ratio: found.squares.iter().map(|&along| share(along)).collect(),
            singular: found.squares.iter().map(|along| along.sqrt() * frame.unit).collect(),
            mean: frame.mean.iter().map(|&mean| mean as f32).collect(),
            frame,
            whiten,
        }
    }

    /// The components, one after another: directions of length 1 at right angles, each with as many numbers as the
    /// rows; the one that is largest of its absolute values is positive.
    pub fn components(&self) -> &[f32] {
        &self.components
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.variance.len()
    }

    /// The variance of the rows along each component, the largest first; with n - 1 in the denominator.
    pub fn explained_variance(&self) -> &[f64] {
        &self.variance
    }

    /// The share of each component in the variance of all columns together.
    pub fn explained_variance_ratio(&self) -> &[f64] {
        &self.ratio
    }

    /// The root of the sum of squares along each component.
    pub fn singular_values(&self) -> &[f64] {
        &self.singular
    }

    /// The mean of each column.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Rows as they are seen from the mean along each component: one number for each component, row after row. With
    /// whitening in units of the deviation along it, and 0 where that is 0.
    ///
    /// # Errors
    /// [`Error::Data`] unless they are whole rows of finite numbers, at least one; the errors of the device.
    pub async fn transform(&self, values: &[f32]) -> Result<Vec<f32>> {
        let table = Table::within(values, &self.frame)?;
        let mut all = Vec::with_capacity(table.rows.saturating_mul(self.count()));
        self.along(&table, |rows| {
            all.extend_from_slice(rows);
            Ok(())
        })
        .await?;
        Ok(all)
    }

    /// As [`PrincipalComponents::transform`], for the features of a source, which is read once: `take` has them some rows
    /// at a time, in their order.
    ///
    /// # Errors
    /// [`Error::Argument`] if its rows have another number of features than those that were fitted; [`Error::Data`] if
    /// they cannot be read or are not finite; those of `take`; the errors of the device.
    pub async fn transform_source(
        &self,
        source: &Source,
        take: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        self.along(&Table::of_source_within(source, &self.frame)?, take).await
    }

    /// Gives the rows of `table` as they are seen along the components to `take`, some at a time.
    async fn along(
        &self,
        table: &Table<'_>,
        mut take: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let (columns, count) = (table.columns, self.count());
        let mut by = Vec::with_capacity(columns * count);
        for column in 0..columns {
            by.extend(self.components.iter().skip(column).step_by(columns));
        }
        let factors: Vec<f64> =
            self.deviations().map(|deviation| self.frame.unit / deviation).collect();
        let scaled = |mut along: Vec<f32>| {
            for row in along.chunks_mut(count) {
                for (value, factor) in row.iter_mut().zip(&factors) {
                    let scaled = (f64::from(*value) * factor) as f32;
                    *value = if factor.is_finite() { scaled } else { 0.0 };
                }
            }
            take(&along)
        };
        self.product(table, &by, count, scaled).await
    }

    /// Rows with these numbers along the components, and the mean in what the components leave out.
    ///
    /// # Errors
    /// As for [`PrincipalComponents::transform`].
    pub async fn inverse_transform(&self, transformed: &[f32]) -> Result<Vec<f32>> {
        let count = self.count();
        let deviations: Vec<f64> = self.deviations().collect();
        let rows = transformed.iter().zip(deviations.iter().cycle());
        let spread: Vec<f32> = match self.whiten {
            true => rows.map(|(&value, deviation)| (f64::from(value) * deviation) as f32).collect(),
            false => transformed.to_vec(),
        };
        let table = Table::within(&spread, &Frame::of_unit(self.frame.unit, count))?;
        let columns = self.frame.mean.len();
        let mut back = Vec::with_capacity(table.rows.saturating_mul(columns));
        let take = |rows: Vec<f32>| {
            back.extend(rows);
            Ok(())
        };
        self.product(&table, &self.components, columns, take).await?;
        for row in back.chunks_mut(columns) {
            let seen: Vec<f64> = row.iter().map(|&value| value.into()).collect();
            row.iter_mut().zip(self.frame.back(&seen)).for_each(|(to, value)| *to = value as f32);
        }
        Ok(back)
    }

    /// What rows are divided by along each component.
    fn deviations(&self) -> impl Iterator<Item = f64> + '_ {
        self.variance.iter().map(|variance| if self.whiten { variance.sqrt() } else { 1.0 })
    }

    /// The rows of `table` times a matrix with `width` columns, some at a time.
    async fn product(
        &self,
        table: &Table<'_>,
        matrix: &[f32],
        width: usize,
        mut take: impl FnMut(Vec<f32>) -> Result<()>,
    ) -> Result<()> {
        let gpus = std::slice::from_ref(&self.gpu);
        let rows = block_rows(table.columns.max(width), table.rows);
        let mut graph = Graph::new();
        let x = graph.input("rows", [rows, table.columns])?;
        let by = graph.input("matrix", [table.columns, width])?;
        let product = graph.matmul(x, by)?;
        let mut passes =
            Passes::new(gpus, &graph, vec![(x, 0..table.columns)], vec![product]).await?;
        passes.write(by, matrix)?;
        let take = |block: Block<'_>| {
            let output = block.outputs.into_iter().next();
            let mut numbers = output.map_or(Vec::new(), Output::numbers);
            numbers.truncate(block.rows * width);
            match numbers.len() == block.rows * width {
                true => take(numbers),
                false => Err(Error::bug("a product of a block with fewer rows than that")),
            }
        };
        passes.pass(table, &mut Held::passing(gpus), take).await
    }
}

/// Gives a direction the sign with which its largest number is positive; of equally large ones the first.
fn turn(direction: &mut [f64]) {
    let mut largest: f64 = 0.0;
    for &value in direction.iter() {
        if value.abs() > largest.abs() {
            largest = value;
        }
    }
    if largest < 0.0 {
        direction.iter_mut().for_each(|value| *value = -*value);
    }
}
