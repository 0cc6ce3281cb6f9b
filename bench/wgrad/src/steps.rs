//! Steps through a `Trainer`, on data that lies on the device.

use std::sync::Arc;

use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed, words};
use bench_common::workload::Training;
use wgrad::Gpu;
use wgrad::data::Dataset;
use wgrad::train::{Model, Residency, Trainer};

pub struct Steps {
    training: Training,
    model: Model,
    trainer: Trainer<Arc<Dataset>>,
    steps: usize,
}

impl Steps {
    pub fn new(gpu: Gpu, training: &Training, steps: usize) -> Result<Self, String> {
        let Training { net, optimizer, learning_rate, batch, rows, .. } = training;
        let data = Arc::new(crate::dataset(training)?);
        let mut model = crate::model(&gpu, net, *optimizer, *learning_rate)?;
        let trainer = model.trainer(data, *batch, Residency::Resident);
        let mut trainer = pollster::block_on(trainer).map_err(words)?;
        trainer.set_order((0..*rows as u32).collect()).map_err(words)?;
        Ok(Self { training: training.clone(), model, trainer, steps })
    }
}

impl Trial for Steps {
    /// Model, upload and trainer come before the clock, once for all runs, so that their memory is
    /// touched for the first time in none that counts; the peers too keep theirs. The results of every
    /// step are taken within.
    fn run(&mut self) -> Result<Measured, String> {
        let Self { training, model, trainer, steps } = self;
        model.set_weights(&crate::weights(&training.net)).map_err(words)?;
        model.parameters().reset().map_err(words)?;
        // Writes are queued; a reading waits for their end.
        model.parameters().read_blocking(0).map_err(words)?;
        timed(|| {
            let (batches, most) = (trainer.batches(), trainer.batches_per_submission());
            let (mut submitted, mut loss) = (0, f32::NAN);
            while submitted < *steps {
                let first = submitted % batches;
                let count = most.min(batches - first).min(*steps - submitted);
                let ahead = submitted as u64;
                let submission = trainer.submit(first..first + count, |batch| {
                    model.next_step(ahead + (batch - first) as u64)
                });
                pollster::block_on(submission).map_err(words)?;
                submitted += count;
                while let Some(results) =
                    pollster::block_on(trainer.results_ready()).map_err(words)?
                {
                    loss = results.last().map_or(loss, |result| result.loss);
                }
            }
            while let Some(results) = pollster::block_on(trainer.results()).map_err(words)? {
                loss = results.last().map_or(loss, |result| result.loss);
            }
            // The model is not told of completed steps: every run begins with the first one.
            Ok(loss.into())
        })
    }
}
