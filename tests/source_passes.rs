//! How often a source is read, and which part of it, as the documentation says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::gpu;
use wgrad::cluster::KMeans;
use wgrad::data::{DataError, Dataset, Origin, ReadRows, RowReader, Source};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::TrainingConfig;

const ROWS: usize = 60;

/// Rows of a formula, which counts those that it gives.
#[derive(Clone)]
struct Counted {
    width: usize,
    given: Arc<AtomicUsize>,
}

impl Counted {
    fn new(width: usize) -> Self {
        Self { width, given: Arc::default() }
    }

    /// How often all of them were read since this was last asked.
    fn passes(&self) -> f64 {
        self.given.swap(0, Ordering::Relaxed) as f64 / ROWS as f64
    }
}

fn number(row: usize, column: usize) -> f32 {
    ((row * 37 + column * 11) % 101) as f32 / 10.0
}

impl ReadRows for Counted {
    fn origin(&self) -> Origin {
        Origin::Named("a formula".into())
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self) -> Option<usize> {
        Some(ROWS)
    }

    fn reads_anywhere(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn RowReader>, DataError> {
        Ok(Box::new(self.clone()))
    }
}

impl RowReader for Counted {
    fn read(&mut self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<usize, DataError> {
        let rows = first..first.saturating_add(count).min(ROWS);
        self.given.fetch_add(rows.len(), Ordering::Relaxed);
        let found = rows.len();
        rows.for_each(|row| out.extend((0..self.width).map(|column| number(row, column))));
        Ok(found)
    }
}

/// R² compares with the spread of all targets: these are read for it once, and no features with them.
#[test]
fn targets_are_looked_at_without_features() {
    let (x, y) = (Counted::new(3), Counted::new(1));
    let apart = Source::new(x.clone()).with_targets(y.clone()).unwrap().block_rows(7).unwrap();
    let together = Source::new(Counted::new(4)).last_columns_as_targets(1).unwrap();
    let config = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
    let net = Sequential::new(3).dense(1).seed(1);
    let model = net.compile_blocking(&gpu(), config.metric(Metric::RSquared)).unwrap();
    let of_memory = |source: &Source| -> Dataset { source.read().unwrap() };
    for source in [&apart, &together] {
        let expected = model.evaluate_blocking(&of_memory(source)).unwrap();
        x.passes();
        y.passes();
        assert_eq!(model.evaluate_blocking(source).unwrap(), expected);
    }
    x.passes();
    y.passes();
    let fresh = apart.clone().block_rows(9).unwrap();
    model.evaluate_blocking(&fresh).unwrap();
    assert_eq!((x.passes(), y.passes()), (1.0, 2.0));
    // What is known of them is not read again.
    model.evaluate_blocking(&fresh).unwrap();
    assert_eq!((x.passes(), y.passes()), (1.0, 1.0));
}

#[test]
fn clusterings_read_as_often_as_they_say() {
    let x = Counted::new(2);
    let source = Source::new(x.clone()).block_rows(16).unwrap();
    for (clusters, most) in [(2, 1), (3, 4)] {
        let means = KMeans::new(clusters).starts(1).max_iterations(most).seed(5);
        let found = means.fit_source_blocking(&gpu(), &source).unwrap();
        // Twice before, once more and for each centre, whose rows are read by their place, for each iteration, and
        // at the end.
        let passes = x.passes();
        let least = 2 + 1 + clusters + found.iterations() + 1;
        assert!(
            (least as f64..=least as f64 + 1.9).contains(&passes),
            "{passes} passes for {clusters} clusters, {} iterations",
            found.iterations()
        );
    }
}

#[cfg(feature = "decompose")]
#[test]
fn components_read_as_often_as_they_say() {
    use wgrad::decompose::{Pca, Solver};
    let x = Counted::new(3);
    let source = Source::new(x.clone()).block_rows(16).unwrap();
    for (solver, passes) in [(Solver::Exact, 2.0), (Solver::Randomized, 3.0 + 4.0)] {
        let pca = Pca::new(1).solver(solver).iterations(4);
        pca.fit_source_blocking(&gpu(), &source).unwrap();
        assert_eq!(x.passes(), passes, "{solver:?}");
    }
}
