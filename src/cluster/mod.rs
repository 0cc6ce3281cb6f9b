//! Clustering: [`KMeans`] groups rows around the means of their groups.
//!
//! ```no_run
//! use wgrad::cluster::KMeans;
//! # fn main() -> Result<(), wgrad::Error> {
//! let gpu = wgrad::Gpu::new_blocking()?;
//! let rows = [0.0, 0.1, 0.2, 0.0, 9.0, 9.1, 9.2, 9.0]; // four rows of two numbers
//! let clusters = KMeans::new(2).seed(7).fit_blocking(&gpu, &rows, 2)?;
//! assert_eq!(clusters.labels()[0], clusters.labels()[1]);
//! println!("{:?}, inertia {}", clusters.cluster_centers(), clusters.inertia());
//! # Ok(())
//! # }
//! ```
//!
//! Rows are seen from their mean, and in a unit in which none is beyond ±1: neither an offset nor a scale costs
//! digits. Distances come from one matrix product per block of rows on the device; of a block the nearest centres
//! and the sums of rows are kept, so that memory does not grow with rows × clusters. The same seed gives the same
//! bits, on however many devices of one kind.

mod centers;
mod engine;
mod fitted;
mod lloyd;
mod mini_batch;
mod seeding;

pub use fitted::Clusters;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use crate::blocks::{Held, Table, at_least_one};
use crate::data::Source;
use crate::gpu::Gpu;
use crate::{Error, Result};
use centers::Centers;
use engine::{Engine, Wanted};
use lloyd::{Found, lloyd};

/// Where the centres begin.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Seeding {
    /// k-means++ (Arthur and Vassilvitskii, 2007), of 2 + ln k candidates for each centre the best, as scikit-learn
    /// has it: a pass over the rows for each centre.
    #[default]
    PlusPlus,
    /// k-means‖ (Bahmani et al., 2012): a few passes over the rows, however many centres.
    Parallel,
    /// At these points, one after another.
    Centers(Vec<f32>),
}

/// Where a clustering stands: after its seeds were drawn, and after each iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iteration<'a> {
    /// Which start it is, counted from 0.
    pub start: usize,
    /// Iterations of that start so far, or mini-batches; 0: the seeds.
    pub iteration: usize,
    /// The centres, as [`Clusters::cluster_centers`] has them.
    pub centers: &'a [f32],
    /// For each row, the cluster whose mean the centre now is; of seeds and of mini-batches nothing.
    pub labels: &'a [u32],
}

/// Who is told of the iterations.
type Watcher<'a> = dyn FnMut(&Iteration<'_>) + Send + 'a;

/// k-means with its options; the names and usual figures are scikit-learn's.
#[derive(Clone, Debug)]
pub struct KMeans {
    clusters: usize,
    seeding: Seeding,
    starts: usize,
    max_iterations: usize,
    tolerance: f64,
    batch: Option<usize>,
    seed: u64,
}

impl KMeans {
    /// So many clusters, from one start by k-means++, for at most 300 iterations.
    pub fn new(clusters: usize) -> Self {
        Self {
            clusters,
            seeding: Seeding::default(),
            starts: 1,
            max_iterations: 300,
            tolerance: 1e-4,
            batch: None,
            seed: 0,
        }
    }

    /// Where the centres begin.
    pub fn seeding(self, seeding: Seeding) -> Self {
        Self { seeding, ..self }
    }

    /// How often to begin anew; the clustering with the least inertia is kept.
    pub fn starts(self, starts: usize) -> Self {
        Self { starts, ..self }
    }

    /// Iterations at most, or in mini-batches: epochs.
    pub fn max_iterations(self, iterations: usize) -> Self {
        Self { max_iterations: iterations, ..self }
    }

    /// The centres have settled when their moves, squared and added up, are less than this times the mean variance
    /// of the columns. 0 for: when no row changes its cluster. In mini-batches it has no part.
    pub fn tolerance(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// To learn from so many rows at a time, drawn with replacement (Sculley, 2010), instead of from all: faster,
    /// and a little worse. It ends when batches have not become better for a while.
    pub fn mini_batch(self, rows: usize) -> Self {
        Self { batch: Some(rows), ..self }
    }

    /// Of all that is drawn at random.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Clusters rows of `columns` numbers on one device.
    ///
    /// Constant columns have no part. Of rows that are all alike, or of fewer different ones than clusters, some
    /// clusters have the same centre; then the first has all rows, and the inertia is 0.
    ///
    /// # Errors
    /// [`Error::Data`] unless they are whole rows of finite numbers, at least one; [`Error::Argument`] if there are
    /// more clusters than rows or an option is out of its range; the errors of the device.
    pub async fn fit(&self, gpu: &Gpu, values: &[f32], columns: usize) -> Result<Clusters> {
        self.fit_over(std::slice::from_ref(gpu), values, columns).await
    }

    /// As [`KMeans::fit`], and `watch` is told of the seeds and of each iteration: to draw them, or to say how far it is.
    ///
    /// # Errors
    /// As for [`KMeans::fit`].
    pub async fn fit_watched(
        &self,
        gpu: &Gpu,
        values: &[f32],
        columns: usize,
        mut watch: impl FnMut(&Iteration<'_>) + Send,
    ) -> Result<Clusters> {
        let gpus = std::slice::from_ref(gpu);
        self.fit_table(gpus, Table::new(values, columns)?, Some(&mut watch)).await
    }

    /// As [`KMeans::fit`], with the blocks of rows shared out over several devices.
    ///
    /// # Errors
    /// As for [`KMeans::fit`], and if there is no device.
    pub async fn fit_over(&self, gpus: &[Gpu], values: &[f32], columns: usize) -> Result<Clusters> {
        self.fit_table(gpus, Table::new(values, columns)?, None).await
    }

    /// As [`KMeans::fit`], for the features of a source: to the same clusters as of the same rows in memory. It is read
    /// twice before the first start; in each start once, once more for each centre (k-means++) or each draw (k-means‖)
    /// and for each iteration, and twice at its end.
    /// Mini-batches read the rows that they draw by their place, which of a text or an iterator takes a pass for each.
    /// For each row some twenty bytes are in memory, and while k-means++ seeds four more for each candidate.
    ///
    /// # Errors
    /// As for [`KMeans::fit`]; and if rows cannot be read.
    pub async fn fit_source(&self, gpu: &Gpu, source: &Source) -> Result<Clusters> {
        self.fit_table(std::slice::from_ref(gpu), Table::of_source(source)?, None).await
    }

    async fn fit_table(
        &self,
        gpus: &[Gpu],
        table: Table<'_>,
        mut watch: Option<&mut Watcher<'_>>,
    ) -> Result<Clusters> {
        let first =
            gpus.first().ok_or_else(|| Error::argument("number of devices", 0, "at least 1"))?;
        self.check(&table)?;
        let columns = table.columns;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut held = Held::by(gpus, &table);
        let mut engine = Engine::new(gpus, &table, self.clusters, Wanted::Sums, None).await?;
        let norms = match self.seeding {
            Seeding::Centers(_) => Vec::new(),
            _ => seeding::norms(&table)?,
        };
        let mut best: Option<Found> = None;
        for start in 0..self.starts {
            let mut seeds = match &self.seeding {
                Seeding::PlusPlus => {
                    let seed = seeding::plus_plus;
                    seed(gpus, &table, &mut held, &norms, self.clusters, &mut random).await?
                }
                Seeding::Parallel => {
                    let seed = seeding::parallel;
                    seed(gpus, &table, &mut held, &norms, self.clusters, &mut random).await?
                }
                Seeding::Centers(given) => {
                    let mut centers = Centers::none(columns);
                    given.chunks(columns).for_each(|row| centers.push(table.frame.seen(row)));
                    centers
                }
            };
            let mut told = |iteration: usize, centers: &Centers, labels: &[u32]| {
                if let Some(watch) = &mut watch {
                    let centers = &centers.back(&table.frame);
                    watch(&Iteration { start, iteration, centers, labels });
                }
            };
            told(0, &seeds, &[]);
            let mut limits = (self.max_iterations, self.tolerance * mean_variance(&table)?);
            let mut batches = None;
            if let Some(rows) = self.batch {
                let learn = mini_batch::mini_batch;
                let (learnt, count) =
                    learn(gpus, &table, seeds, (rows, limits.0), &mut random, &mut told).await?;
                (seeds, batches, limits.0) = (learnt, Some(count), 0);
            }
            let mut found = lloyd(&mut engine, &table, &mut held, seeds, limits, &mut told).await?;
            found.iterations = batches.unwrap_or(found.iterations);
            if best.as_ref().is_none_or(|best| found.inertia < best.inertia) {
                best = Some(found);
            }
        }
        let found = best.ok_or_else(|| Error::bug("k-means without a start"))?;
        Ok(Clusters::new(first, table.frame, found))
    }

    fn check(&self, table: &Table<'_>) -> Result<()> {
        at_least_one("number of clusters", self.clusters)?;
        at_least_one("number of starts", self.starts)?;
        at_least_one("iterations of k-means", self.max_iterations)?;
        if let Some(rows) = self.batch {
            at_least_one("rows of a mini-batch", rows)?;
        }
        if self.clusters > table.rows {
            let rule = format!("at most {}, the number of rows", table.rows);
            return Err(Error::argument("number of clusters", self.clusters, &rule));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::argument(
                "tolerance",
                self.tolerance,
                "0 or a positive, finite number",
            ));
        }
        let Seeding::Centers(given) = &self.seeding else { return Ok(()) };
        let numbers = self.clusters.saturating_mul(table.columns);
        if given.len() != numbers {
            let rule =
                format!("{numbers}: {} for each of {} clusters", table.columns, self.clusters);
            return Err(Error::argument("numbers of the given centres", given.len(), &rule));
        }
        if let Some((at, value)) = crate::finite::first_not_finite(given) {
            return Err(Error::argument(&format!("given centre number [{at}]"), value, "finite"));
        }
        if self.starts > 1 {
            let rule = "1 with given centres, since every start would be the same";
            return Err(Error::argument("number of starts", self.starts, rule));
        }
        Ok(())
    }
}

/// The mean of the variances of the columns, in the frame of the rows.
fn mean_variance(table: &Table<'_>) -> Result<f64> {
    Ok(table.squares()? / (table.rows * table.columns) as f64)
}
