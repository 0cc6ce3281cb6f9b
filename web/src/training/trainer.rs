//! `Trainer`.

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wgrad::data::Dataset;
use wgrad::nn::Metric;
use wgrad::train::{Residency, StepResult, Sums, epoch_order};

use super::fit::Order;
use super::lock::Lock;
use super::results::metrics;
use super::shared::Shared;
use crate::convert::Record;
use crate::error::{Result, js};
use crate::options::count;
use crate::promise::promise;

/// A training loop of one's own: the data stays on the device, batches run when asked for.
#[wasm_bindgen]
pub struct Trainer {
    shared: Shared,
    batches: usize,
    lock: Lock<Loop>,
}

/// Where the loop stands.
struct Loop {
    trainer: wgrad::train::Trainer<Dataset>,
    sums: Sums,
    rows: usize,
    shuffle: Option<u64>,
    /// Epochs begun.
    epoch: u64,
    /// The next batch; 0 before an epoch begins.
    batch: usize,
}

impl Trainer {
    pub(crate) async fn new(
        shared: Shared,
        model: &mut wgrad::train::Model,
        data: Dataset,
        order: Order,
    ) -> Result<Self> {
        let (rows, sums) = (data.rows(), model.sums(&data));
        let trainer = model.trainer(data, order.batch, Residency::Auto).await.map_err(js)?;
        // A `fit` that was given up may have halted.
        shared.steps.set(model.steps());
        let batches = trainer.batches();
        let state = Loop { trainer, sums, rows, shuffle: order.shuffle, epoch: 0, batch: 0 };
        Ok(Self { shared, batches, lock: Lock::new(state) })
    }

    fn run(&self, call: &'static str, steps: impl FnOnce(&Loop) -> Result<usize>) -> Promise {
        let shared = self.shared.clone();
        let begin = || {
            let model = shared.take(call)?;
            let state = self.lock.take("the trainer", call)?;
            let steps = steps(&state)?;
            Ok((model, state, steps))
        };
        promise(begin().map(|(mut model, mut state, steps)| async move {
            let result = state.run(&mut model, steps).await;
            shared.steps.set(model.steps());
            result
        }))
    }
}

impl Loop {
    /// Trains on the next `steps` batches.
    async fn run(&mut self, model: &mut wgrad::train::Model, steps: usize) -> Result<JsValue> {
        let all_rows = self.batch == 0 && steps == self.trainer.batches();
        self.sums.clear();
        let (mut left, mut ahead) = (steps, 0);
        while left > 0 {
            if self.batch == 0 {
                self.begin_epoch()?;
            }
            let batches = self.trainer.batches();
            let count = left.min(batches - self.batch).min(self.trainer.batches_per_submission());
            let first = self.batch;
            let step = |batch: usize| model.next_step(ahead + (batch - first) as u64);
            self.trainer.submit(first..first + count, step).await.map_err(js)?;
            self.batch = (first + count) % batches;
            left -= count;
            ahead += count as u64;
            while let Some(results) =
                self.trainer.results_ready().await.map_err(|e| stopped(model, e))?
            {
                ahead -= results.len() as u64;
                model.completed(results.len() as u64);
                self.add(&results)?;
            }
        }
        while let Some(results) = self.trainer.results().await.map_err(|e| stopped(model, e))? {
            model.completed(results.len() as u64);
            self.add(&results)?;
        }
        let mut found = self.sums.evaluation();
        // As many rows as the data has, over the end of an epoch, are not each of them once.
        found.metrics.retain(|(metric, _)| all_rows || *metric != Metric::RSquared);
        Ok(Record::new()
            .set("loss", found.loss)
            .set("steps", steps as f64)
            .set("epoch", self.epoch as f64)
            .set("metrics", metrics(&found.metrics))
            .done())
    }

    fn add(&mut self, results: &[StepResult]) -> Result<()> {
        results.iter().try_for_each(|result| self.sums.add(result)).map_err(js)
    }

    fn begin_epoch(&mut self) -> Result<()> {
        self.epoch += 1;
        let order = match self.shuffle {
            // The same orders as those of a first `fit`.
            Some(seed) => epoch_order(self.rows, seed, self.epoch - 1),
            None if self.epoch == 1 => (0..=u32::MAX).take(self.rows).collect(),
            None => return Ok(()),
        };
        self.trainer.set_order(order).map_err(js)
    }
}

/// The error, with the model's step set to the one that failed.
fn stopped(model: &mut wgrad::train::Model, error: wgrad::Error) -> JsValue {
    if let wgrad::Error::NotFinite { step, .. } = error {
        model.completed(step.saturating_sub(model.steps()));
    }
    js(error)
}

#[wasm_bindgen]
impl Trainer {
    /// Batches in an epoch.
    #[wasm_bindgen(getter)]
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Trains to the end of the epoch: all batches, or those that `steps` left.
    #[wasm_bindgen(unchecked_return_type = "Promise<StepsResult>")]
    pub fn epoch(&self) -> Promise {
        self.run("epoch", |state| Ok(state.trainer.batches() - state.batch))
    }

    /// Trains on the next `count` batches, over the ends of epochs, in few submissions.
    #[wasm_bindgen(unchecked_return_type = "Promise<StepsResult>")]
    pub fn steps(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number")] number: JsValue,
    ) -> Promise {
        self.run("steps", |_| match count(&number, "count")? {
            0 => Err(crate::error::argument("count", "0", "at least 1")),
            count => Ok(count),
        })
    }
}
