//! What k-means has found.

use super::centers::{distance_by_score, squared_norm};
use super::engine::{Block, Engine, Wanted};
use super::lloyd::Found;
use crate::Result;
use crate::blocks::{Frame, Held, Table};
use crate::data::Source;
use crate::gpu::Gpu;

/// Clusters, and where rows lie among them.
#[derive(Clone, Debug)]
pub struct Clusters {
    gpu: Gpu,
    frame: Frame,
    found: Found,
    centers: Vec<f32>,
    inertia: f64,
}

impl Clusters {
    pub(super) fn new(gpu: &Gpu, frame: Frame, found: Found) -> Self {
        let centers = found.centers.back(&frame);
        let inertia = found.inertia * frame.unit * frame.unit;
        Self { gpu: gpu.clone(), frame, found, centers, inertia }
    }

    /// The centres, one after another, each with as many numbers as the rows.
    pub fn cluster_centers(&self) -> &[f32] {
        &self.centers
    }

    /// For each row that was fitted, the number of its cluster.
    pub fn labels(&self) -> &[u32] {
        &self.found.labels
    }

    /// The sum of the squared distances of all rows that were fitted from the centres of their clusters.
    pub fn inertia(&self) -> f64 {
        self.inertia
    }

    /// Iterations of the start that was kept; of mini-batches, how many there were.
    pub fn iterations(&self) -> usize {
        self.found.iterations
    }

    /// Number of clusters.
    pub fn count(&self) -> usize {
        self.found.centers.count()
    }

    /// For each of these rows, the number of the cluster whose centre is nearest; of equally near ones the first.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) unless they are whole rows of finite numbers, at least one; the errors of
    /// the device.
    pub async fn predict(&self, values: &[f32]) -> Result<Vec<u32>> {
        let mut labels = Vec::new();
        let take = |block: Block<'_>| {
            labels.extend(block.labels);
            Ok(())
        };
        self.pass(&Table::within(values, &self.frame)?, Wanted::Nearest, take).await?;
        Ok(labels)
    }

    /// As [`Clusters::predict`], for the features of a source, which is read once. The numbers of the clusters are in
    /// memory, four bytes a row; the rows are not.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if its rows have another number of features than those that were
    /// fitted; [`Error::Data`](crate::Error::Data) if they cannot be read or are not finite; the errors of the device.
    pub async fn predict_source(&self, source: &Source) -> Result<Vec<u32>> {
        let mut labels = Vec::new();
        let take = |block: Block<'_>| {
            labels.extend(block.labels);
            Ok(())
        };
        let table = Table::of_source_within(source, &self.frame)?;
        self.pass(&table, Wanted::Nearest, take).await?;
        Ok(labels)
    }

    /// For each of these rows, its distances from all centres, one row after another.
    ///
    /// # Errors
    /// As for [`Clusters::predict`].
    pub async fn transform(&self, values: &[f32]) -> Result<Vec<f32>> {
        let table = Table::within(values, &self.frame)?;
        let centers = &self.found.centers;
        let (norms, unit) = (centers.squared_norms(), self.frame.unit);
        let mut distances = Vec::with_capacity(table.rows * self.count());
        let take = |block: Block<'_>| {
            let scores = block.numbers.chunks(centers.count()).take(block.rows);
            for (row, scores) in block.given.chunks(table.columns).zip(scores) {
                let point: Vec<f64> = table.frame.seen_f32(row).map(f64::from).collect();
                let norm = squared_norm(&point);
                for (center, (&score, &center_norm)) in scores.iter().zip(&norms).enumerate() {
                    let of = centers.of(center);
                    let squared =
                        distance_by_score((&table.frame, row), norm, score, of, center_norm);
                    distances.push((squared.sqrt() * unit) as f32);
                }
            }
            Ok(())
        };
        self.pass(&table, Wanted::Scores, take).await?;
        Ok(distances)
    }

    async fn pass(
        &self,
        table: &Table<'_>,
        wanted: Wanted,
        take: impl FnMut(Block<'_>) -> Result<()>,
    ) -> Result<()> {
        let gpus = std::slice::from_ref(&self.gpu);
        let mut engine = Engine::new(gpus, table, self.count(), wanted, None).await?;
        engine.pass(table, &mut Held::passing(gpus), &self.found.centers, take).await
    }
}
