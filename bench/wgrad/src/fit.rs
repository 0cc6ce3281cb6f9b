//! Epochs through `fit`.

use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed, words};
use bench_common::workload::Training;
use wgrad::Gpu;
use wgrad::data::Dataset;
use wgrad::train::FitOptions;

pub struct Fitting {
    gpu: Gpu,
    training: Training,
    data: Dataset,
    epochs: usize,
}

impl Fitting {
    pub fn new(gpu: Gpu, training: &Training, epochs: usize) -> Result<Self, String> {
        Ok(Self { gpu, training: training.clone(), data: crate::dataset(training)?, epochs })
    }
}

impl Trial for Fitting {
    /// The clock holds the whole call of `fit`, the upload of the data included.
    fn run(&mut self) -> Result<Measured, String> {
        let Training { net, optimizer, learning_rate, batch, .. } = &self.training;
        let mut model = crate::model(&self.gpu, net, *optimizer, *learning_rate)?;
        timed(|| {
            let fit = FitOptions::new(self.epochs).batch_size(*batch).in_order();
            let history = model.fit_blocking(&self.data, fit).map_err(words)?;
            history.values("loss").map_err(words)?.last().copied().ok_or_else(|| "no epoch".into())
        })
    }
}
