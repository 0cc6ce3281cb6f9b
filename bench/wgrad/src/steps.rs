//! Steps through a `Trainer`, on data that lies on the device.

use std::sync::Arc;

use bench_common::protocol::Measured;
use bench_common::worker::{Trial, timed, words};
use bench_common::workload::Training;
use wgrad::Gpu;
use wgrad::data::Dataset;
use wgrad::train::Residency;

pub struct Steps {
    gpu: Gpu,
    training: Training,
    data: Arc<Dataset>,
    steps: usize,
}

impl Steps {
    pub fn new(gpu: Gpu, training: &Training, steps: usize) -> Result<Self, String> {
        let data = Arc::new(crate::dataset(training)?);
        Ok(Self { gpu, training: training.clone(), data, steps })
    }
}

impl Trial for Steps {
    /// Model, upload and trainer come before the clock; the results of every step are taken within.
    fn run(&mut self) -> Result<Measured, String> {
        let Training { net, optimizer, learning_rate, batch, .. } = &self.training;
        let mut model = crate::model(&self.gpu, net, *optimizer, *learning_rate)?;
        let trainer = model.trainer(self.data.clone(), *batch, Residency::Resident);
        let mut trainer = pollster::block_on(trainer).map_err(words)?;
        let order = (0..self.training.rows as u32).collect();
        trainer.set_order(order).map_err(words)?;
        timed(|| {
            let (batches, most) = (trainer.batches(), trainer.batches_per_submission());
            let (mut submitted, mut loss) = (0, f32::NAN);
            while submitted < self.steps {
                let first = submitted % batches;
                let count = most.min(batches - first).min(self.steps - submitted);
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
            model.completed(submitted as u64);
            Ok(loss.into())
        })
    }
}
