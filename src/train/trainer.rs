//! Running batches: the loop below `fit`, for those who write their own.

use std::collections::VecDeque;
use std::ops::Range;

use super::choose::KernelChoice;
use super::engine::{self, Engine};
use super::feed::{Bringing, Feed, Order, Residency, check_order};
use super::graphs::{check_data, forward_step};
use super::model::Model;
use crate::data::{AsData, Data, EpochOrder, Wanted, Windows};
use crate::exec::{Halt, Numbers, Step};
use crate::gpu::Gpu;
use crate::kernel::whole_step::MOST_STEPS;
use crate::plan::Plan;
use crate::{Error, Result};

/// The scalars of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResult {
    /// Rows of the batch.
    pub rows: usize,
    /// Mean loss of the batch.
    pub loss: f32,
    /// For each metric its sum over the batch.
    pub sums: Vec<f32>,
}

impl StepResult {
    /// The loss, and then a sum per metric, of a batch of `rows` rows.
    ///
    /// # Errors
    /// [`Error::Bug`] if there is no loss.
    pub(super) fn of(rows: usize, numbers: &[f32]) -> Result<Self> {
        match numbers {
            &[loss, ref sums @ ..] => Ok(Self { rows, loss, sums: sums.to_vec() }),
            [] => Err(Error::bug(format!("a step of {rows} rows without its loss"))),
        }
    }
}

/// A model's training (or evaluation) on one data set, batch by batch; made by
/// [`Model::trainer`]. It holds the data by reference (`&Dataset`, `&Source`) or owns it (`Arc<Dataset>`,
/// `Dataset`, `Source`), as suits the loop.
///
/// Batches are numbered from 0; batch `b` holds the rows `b·size..(b+1)·size` of the current order,
/// the last one those that are left. Submissions do not wait for the device; results arrive in
/// order from [`Trainer::results`].
#[derive(Debug)]
pub struct Trainer<D> {
    gpu: Gpu,
    feed: Feed<D>,
    engine: Engine,
    plan: Plan,
    kernels: String,
    rows: usize,
    batch: usize,
    trains: bool,
    /// The order that steps draw their rows from, of those that the device holds.
    order: usize,
    /// Steps for the next submission, each with the rows of its batch.
    waiting: Vec<(Step, usize)>,
    /// Rows of the steps whose results are yet to be taken.
    submitted: VecDeque<usize>,
    /// Steps of each submission.
    under_way: VecDeque<usize>,
    /// Steps submitted, all together.
    sent: u64,
}

impl Model {
    /// A loop of one's own over `data` in batches of `batch` rows (all of them, if it has fewer): submit
    /// batches with the records of [`Model::next_step`], take results, and say with [`Model::completed`]
    /// how many steps are done.
    ///
    /// Trainers of one model share its parameters and the optimizer's state, each with data, batches and an
    /// order of its own: their submissions run one after another, in the order in which they were submitted,
    /// and a step that is not finite halts all of them. A new trainer goes on from the weights before
    /// that step, and the others with it.
    ///
    /// # Errors
    /// If the data does not fit the model, or `batch` is zero; the errors of the device.
    pub async fn trainer<D: AsData>(
        &mut self,
        data: D,
        batch: usize,
        residency: Residency,
    ) -> Result<Trainer<D>> {
        self.make_sure_of_steps().await?;
        self.parameters().clear_status()?;
        Trainer::new("trainer", self, data, batch, true, residency).await
    }
}

impl<'d> Trainer<Data<'d>> {
    /// A trainer that only evaluates, in batches of up to `most` rows: as many as the device allows.
    /// `call` is the function that this is for, as errors name it.
    pub(super) async fn evaluating(
        call: &str,
        model: &Model,
        data: Data<'d>,
        most: usize,
        residency: Residency,
    ) -> Result<Self> {
        let mut rows = model.block_rows(most).min(data.rows()?);
        loop {
            match Self::new(call, model, data, rows, false, residency).await {
                // What a plan adds to the tensors of its graph may take more.
                Err(Error::Limit { .. }) if rows > 1 => rows /= 2,
                other => return other,
            }
        }
    }
}

impl<D: AsData> Trainer<D> {
    /// `call` is the function that this is for, as errors name it.
    pub(super) async fn new(
        call: &str,
        model: &Model,
        data: D,
        batch: usize,
        trains: bool,
        residency: Residency,
    ) -> Result<Self> {
        let all = data.as_data();
        check_data(call, model.architecture(), model.loss(), all)?;
        if batch == 0 {
            return Err(Error::argument("batch size", batch, "at least 1"));
        }
        if trains {
            model.task.check_trained()?;
        }
        let gpu = model.gpu().clone();
        let rows = all.rows()?;
        let batch = batch.min(rows);
        let KernelChoice { net, why } = match trains {
            true => model.choose_kernels(batch, all.form()?.weighted)?,
            false => KernelChoice { net: None, why: "general: nothing is trained".into() },
        };
        let orders = match net {
            Some(_) => orders_at_once(rows, batch, gpu.target().max_tensor_bytes()),
            None => 1,
        };
        // What is evaluated is gone over once, and not read ahead into another epoch.
        let windows = match all {
            Data::Source(source) if !trains => Some(Windows::new(source, Wanted::Pairs)),
            _ => None,
        };
        let loss = model.loss();
        let weights = model.task.weighting(all, trains);
        let mixed = trains && model.task.compile.precision.is_mixed();
        let how = Bringing { batch, residency, orders, loss, mixed, weights, windows };
        let feed = Feed::new(&gpu, data, how).await?;
        let (graph, plan) = engine::plan(model, &feed, batch, trains)?;
        let engine = match net {
            Some(net) => Engine::whole_step(model, &feed, net, batch).await?,
            None => Engine::general(model, &feed, (graph, plan.clone()), batch, trains).await?,
        };
        Ok(Self {
            gpu,
            feed,
            engine,
            plan: plan.trains_with(&why),
            kernels: why,
            rows,
            batch,
            trains,
            order: 0,
            waiting: Vec::new(),
            submitted: VecDeque::new(),
            under_way: VecDeque::new(),
            sent: 0,
        })
    }

    /// Number of batches that cover the data set once.
    pub fn batches(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    /// Rows of batch `index`; 0 if there is no such batch.
    pub fn batch_rows(&self, index: usize) -> usize {
        self.rows.saturating_sub(index.saturating_mul(self.batch)).min(self.batch)
    }

    /// The plan of a full batch, to print or to count. A whole-step kernel computes the same in one
    /// dispatch for many steps, or for each; the last line in print says whether it does, as
    /// [`Trainer::kernels`] does.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Which kernels run, and why: `whole-step: 97 parameters in each of 8 invocations, …`,
    /// `general: a batch has 60000 rows, …`.
    pub fn kernels(&self) -> &str {
        &self.kernels
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Most batches that one submission may hold: bounded by the device's time for them and by the
    /// rows that are on the device at once.
    pub fn batches_per_submission(&self) -> usize {
        self.engine.most_steps(self.batch, self.gpu.target().class).min(self.feed.batches_per_block)
    }

    /// Sets the order in which rows are drawn from the next submission on; `order` holds every row
    /// number once. The rows of a source are not all there, and are drawn by [`Trainer::set_epoch`].
    ///
    /// # Errors
    /// [`Error::Argument`] if it does not, or they are a source's.
    pub fn set_order(&mut self, order: Vec<u32>) -> Result<()> {
        check_order(&order, self.rows)?;
        self.order = 0;
        self.feed.set_order(&self.gpu, Order::Rows(order))
    }

    /// Draws rows from the next submission on in the order in which [`Model::fit`] draws those of epoch `epoch`,
    /// counted from 0, with this seed; see [`Source`](crate::data::Source) for its rows' and
    /// [`epoch_order`](super::epoch_order) for others.
    ///
    /// # Errors
    /// If the rows of a window of a source are too many; the errors of the device.
    pub fn set_epoch(&mut self, seed: u64, epoch: u64) -> Result<()> {
        let order = Order::of(self.feed.data.as_data(), EpochOrder::new(Some(seed), epoch));
        self.order = 0;
        self.feed.set_order(&self.gpu, order)
    }

    /// The order of an epoch from the next step on, whether or not it is of the next submission.
    pub(super) async fn next_order(&mut self, order: EpochOrder) -> Result<()> {
        let order = Order::of(self.feed.data.as_data(), order);
        // Steps that wait for their submission draw from the orders so far.
        if self.waiting.is_empty() {
            self.order = 0;
        } else if self.order + 1 < self.feed.orders {
            self.order += 1;
        } else {
            self.flush().await?;
            self.order = 0;
        }
        self.feed.set_order_at(&self.gpu, order, self.order)
    }

    /// Runs `batches` in one submission. `step` gives the record of each: its number and learning
    /// rate; the trainer fills in where the batch starts. Does not wait for the device unless four
    /// submissions' results are under way; given up in that wait, nothing is submitted.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are no such batches or too many; the errors of the device.
    pub async fn submit(
        &mut self,
        batches: Range<usize>,
        step: impl FnMut(usize) -> Step,
    ) -> Result<()> {
        self.flush().await?;
        self.engine.make_room().await?;
        self.add(batches, step).await?;
        self.flush().await
    }

    /// Adds `batches` to the next submission, which runs at [`Trainer::flush`], or when it is full, or
    /// at once where steps cannot wait. Given up while it waits for the device, it has added nothing.
    pub(super) async fn add(
        &mut self,
        batches: Range<usize>,
        mut step: impl FnMut(usize) -> Step,
    ) -> Result<()> {
        let most = self.batches_per_submission();
        if batches.is_empty() || batches.end > self.batches() || batches.len() > most {
            let rule = format!("a range within 0..{} of at most {most}", self.batches());
            return Err(Error::argument("batches", format!("{batches:?}"), &rule));
        }
        if self.waiting.len() + batches.len() > most {
            self.flush().await?;
        }
        // Streamed rows lie where those of the next steps will.
        let gathers = self.engine.gathers() && !self.feed.is_streamed();
        if !gathers {
            self.engine.make_room().await?;
        }
        let rows = batches.start * self.batch..(batches.end * self.batch).min(self.rows);
        let first_row = rows.start;
        let on_device = self.feed.bring(&self.gpu, rows)? + self.order * self.rows;
        for index in batches {
            let start = on_device + index * self.batch - first_row;
            let mut step = step(index);
            step.batch_start = crate::kernel::word(start);
            self.waiting.push((step, self.batch_rows(index)));
        }
        if gathers { Ok(()) } else { self.flush().await }
    }

    /// Submits the steps that wait for it.
    pub(super) async fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.engine.make_room().await?;
        // Noted as soon as it is submitted: nobody may hear of the end of this call.
        let steps = std::mem::take(&mut self.waiting);
        let (under_way, submitted) = (&mut self.under_way, &mut self.submitted);
        let before = self.sent;
        let result = self.engine.submit(&steps, || {
            under_way.push_back(steps.len());
            submitted.extend(steps.iter().map(|&(_, rows)| rows));
            self.sent += steps.len() as u64;
        });
        let result = result.await;
        if result.is_err() && self.sent > before {
            self.sent = before;
            let count = self.under_way.pop_back().unwrap_or_default();
            self.submitted.truncate(self.submitted.len().saturating_sub(count));
        }
        // The room is kept for the next steps.
        self.waiting = steps;
        self.waiting.clear();
        result
    }

    /// Runs all batches of the data set once, without moving any parameter.
    pub(super) async fn run_all(&mut self) -> Result<Vec<StepResult>> {
        let mut results = Vec::new();
        let (batches, most) = (self.batches(), self.batches_per_submission());
        for first in (0..batches).step_by(most) {
            self.submit(first..(first + most).min(batches), |_| forward_step(0)).await?;
        }
        while let Some(some) = self.results().await? {
            results.extend(some);
        }
        Ok(results)
    }

    /// Steps submitted so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether results are under way.
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The results of the oldest submission, if they are here already.
    ///
    /// # Errors
    /// As for [`Trainer::results`].
    pub async fn results_ready(&mut self) -> Result<Option<Vec<StepResult>>> {
        let here = !self.under_way.is_empty() && self.engine.is_ready();
        if here { self.results().await } else { Ok(None) }
    }

    /// The results of the oldest submission, waiting for them; `None` if none is under way. If the wait
    /// is given up they stay the oldest.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a step's loss or a new parameter was NaN or infinite, of this trainer or of
    /// another of the model: no step from that one on moved the parameters. The errors of the device.
    pub async fn results(&mut self) -> Result<Option<Vec<StepResult>>> {
        let Some(&count) = self.under_way.front() else { return Ok(None) };
        let Numbers { steps, numbers, halt, halted_row } = self.engine.results().await?;
        self.under_way.pop_front();
        let rows = self.submitted.drain(..count.min(self.submitted.len()));
        if steps != count || rows.len() != count {
            let here = format!("results of {steps} steps with {} batches", rows.len());
            return Err(Error::bug(format!("{here} of a submission of {count}")));
        }
        let mut numbers = numbers.chunks(self.plan.columns().max(1));
        let steps = rows
            .map(|rows| StepResult::of(rows, numbers.next().unwrap_or_default()))
            .collect::<Result<Vec<StepResult>>>()?;
        match halt {
            Some(Halt { number: step, by_extreme: true, .. }) if self.trains => {
                Err(Error::NotANumber { step })
            }
            Some(Halt { number: step, .. }) if self.trains => {
                let loss = halted_row.and_then(|row| steps.get(row)).map(|step| step.loss);
                let mixed = self.plan.precision().is_mixed();
                Err(Error::NotFinite { step, epoch: 0, loss, mixed })
            }
            _ => Ok(Some(steps)),
        }
    }
}

/// Bytes of orders of rows on the device, at most, where there is more than one.
const ORDERS: u64 = 1 << 20;

/// Orders of rows that a submission may draw from: those of as many epochs as it may have.
fn orders_at_once(rows: usize, batch: usize, largest: u64) -> usize {
    let epochs = MOST_STEPS / rows.div_ceil(batch.max(1)).max(1);
    let room = ORDERS.min(largest) / (4 * rows.max(1) as u64);
    usize::try_from(room).unwrap_or(usize::MAX).min(epochs).max(1)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
