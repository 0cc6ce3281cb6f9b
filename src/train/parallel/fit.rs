//! Whole epochs over lanes, and the way back to a model on one device.

use super::Parallel;
use crate::clock::Clock;
use crate::gpu::Gpu;
use crate::train::model::Model;
use crate::train::sums::Sums;
use crate::train::task::Task;
use crate::train::{EpochLog, History, epoch_order};
use crate::{Error, Result};

impl Parallel {
    /// Trains until `epochs` epochs are done in all, from wherever the state is: calling it again
    /// after a lane was lost and [relayed](Parallel::relay) completes what was begun, to the bits of
    /// an undisturbed training. With `shuffle` the rows of each epoch come in the order that
    /// [`Model::fit`] draws from that seed, without it in the order of the data set.
    ///
    /// The history has an entry for each epoch that ended in this call, over the rows it saw in this
    /// call: without R², if those are not all.
    ///
    /// # Errors
    /// As for [`Parallel::run`]; [`Error::NotFinite`] names the epoch.
    pub fn fit(&mut self, epochs: usize, shuffle: Option<u64>) -> Result<History> {
        let clock = Clock::now();
        let compile = &self.task.compile;
        let mut sums = Sums::new(compile.loss, &compile.metrics, self.data.targets());
        let mut history = History::default();
        let batches = self.batches();
        loop {
            let done = usize::try_from(self.state.step).unwrap_or(usize::MAX);
            let (epoch, first) = (done / batches, done % batches);
            if epoch >= epochs {
                return Ok(history);
            }
            self.set_order(match shuffle {
                Some(seed) => epoch_order(self.data.rows(), seed, epoch as u64),
                None => (0..crate::kernel::word(self.data.rows())).collect(),
            })?;
            let results = self.run(first..batches).map_err(|error| match error {
                Error::NotFinite { step, loss, .. } => {
                    Error::NotFinite { step, epoch: epoch + 1, loss }
                }
                error => error,
            })?;
            sums.clear();
            for result in &results {
                sums.add(result)?;
                history.batch_losses.push(result.loss);
            }
            let seen = sums.evaluation();
            history.epochs.push(EpochLog {
                epoch: epoch + 1,
                epochs,
                loss: seen.loss,
                metrics: seen.metrics,
                validation: None,
                learning_rate: self
                    .task
                    .compile
                    .optimizer
                    .learning_rate_at(self.state.step.saturating_sub(1)),
                seconds: clock.seconds(),
            });
        }
    }

    /// The model on one device, with the parameters and optimizer state of [`Parallel::state`]: to
    /// evaluate, to predict, or to go on with [`Model::fit`].
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn model(&self, gpu: &Gpu) -> Result<Model> {
        let Task { architecture, compile } = self.task.clone();
        let mut model = architecture.compile(gpu, compile).await?;
        self.state.write_to(model.parameters(), 0..self.state.values.len())?;
        model.steps = self.state.step;
        model.epochs = self.state.step / self.batches() as u64;
        Ok(model)
    }
}
