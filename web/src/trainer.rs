//! `Trainer`.

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wgrad::data::Dataset;
use wgrad::train::{Residency, epoch_order};

use crate::convert::{Record, metrics};
use crate::error::{Result, js};
use crate::fit::Order;
use crate::lock::{Lock, promise};
use crate::model::Shared;
use crate::options::count;
use crate::sums::{Facts, Sums};

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
    facts: Facts,
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
        model: &wgrad::train::Model,
        data: Dataset,
        order: Order,
    ) -> Result<Self> {
        let (rows, facts) = (data.rows(), Facts::of(data.targets()));
        let trainer = model.trainer(data, order.batch, Residency::Auto).await.map_err(js)?;
        let batches = trainer.batches();
        let state = Loop { trainer, facts, rows, shuffle: order.shuffle, epoch: 0, batch: 0 };
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
        let mut sums = Sums::new(model.metrics().len());
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
                results.iter().for_each(|result| sums.add(result));
            }
        }
        while let Some(results) = self.trainer.results().await.map_err(|e| stopped(model, e))? {
            model.completed(results.len() as u64);
            results.iter().for_each(|result| sums.add(result));
        }
        let found = sums.metrics(model.metrics(), model.loss(), &self.facts, all_rows);
        Ok(Record::new()
            .set("loss", sums.loss())
            .set("steps", steps as f64)
            .set("epoch", self.epoch as f64)
            .set("metrics", metrics(&found))
            .done())
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
