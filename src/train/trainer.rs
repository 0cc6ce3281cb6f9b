//! Running batches: the loop below `fit`, for those who write their own.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::ops::Range;

use super::feed::{Feed, Residency};
use super::graphs::{Rows, TrainingGraph, check_data, forward_step};
use super::model::Model;
use crate::data::Dataset;
use crate::exec::{Executor, ExecutorOptions, MAX_STEPS, Step};
use crate::gpu::Gpu;
use crate::{Error, Result};

/// Multiply-adds per submission, at most, unless a single step has more: what a device does in a
/// fraction of a second, so that no watchdog fires and progress can be shown.
const SOFTWARE_BUDGET: u64 = 1 << 31;
const GPU_BUDGET: u64 = 1 << 38;

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

/// A model's training (or evaluation) on one data set, batch by batch; made by
/// [`Model::trainer`]. It holds the data by reference (`&Dataset`) or owns it (`Arc<Dataset>`,
/// `Dataset`), as suits the loop.
///
/// Batches are numbered from 0; batch `b` holds the rows `b·size..(b+1)·size` of the current order,
/// the last one those that are left. Submissions do not wait for the device; results arrive in
/// order from [`Trainer::results`].
#[derive(Debug)]
pub struct Trainer<D> {
    gpu: Gpu,
    feed: Feed<D>,
    full: Executor,
    /// For the last batch, if it has fewer rows.
    tail: Option<Executor>,
    rows: usize,
    batch: usize,
    trains: bool,
    under_way: VecDeque<Submission>,
}

#[derive(Clone, Copy, Debug)]
struct Submission {
    /// Number of its first step.
    first: u32,
    full: usize,
    tail: usize,
}

impl<D: Borrow<Dataset>> Trainer<D> {
    pub(super) async fn new(
        model: &Model,
        data: D,
        batch: usize,
        trains: bool,
        residency: Residency,
    ) -> Result<Self> {
        let all = data.borrow();
        check_data(model.architecture(), model.loss(), all)?;
        if batch == 0 {
            return Err(Error::argument("batch size", batch, "at least 1"));
        }
        let gpu = model.gpu().clone();
        let rows = all.rows();
        let batch = batch.min(rows);
        let feed = Feed::new(&gpu, data, batch, residency).await?;
        let full = executor(model, &feed, batch, trains).await?;
        let tail = match rows % batch {
            0 => None,
            rest => Some(executor(model, &feed, rest, trains).await?),
        };
        let under_way = VecDeque::new();
        Ok(Self { gpu, feed, full, tail, rows, batch, trains, under_way })
    }

    /// Number of batches that cover the data set once.
    pub fn batches(&self) -> usize {
        self.rows.div_ceil(self.batch)
    }

    /// Rows of batch `index`.
    pub fn batch_rows(&self, index: usize) -> usize {
        self.rows.saturating_sub(index * self.batch).min(self.batch)
    }

    /// The plan of a full batch, to print or to count.
    pub fn plan(&self) -> &crate::plan::Plan {
        self.full.plan()
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Most batches that one submission may hold: bounded by the device's time for them and by the
    /// rows that are on the device at once.
    pub fn batches_per_submission(&self) -> usize {
        let budget = match self.gpu.target().class {
            crate::plan::AdapterClass::Software => SOFTWARE_BUDGET,
            crate::plan::AdapterClass::Gpu => GPU_BUDGET,
        };
        let steps = budget / self.full.plan().multiply_adds().max(1);
        usize::try_from(steps)
            .unwrap_or(usize::MAX)
            .clamp(1, MAX_STEPS)
            .min(self.feed.batches_per_block)
    }

    /// Sets the order in which rows are drawn from the next submission on; `order` holds every row
    /// number once.
    ///
    /// # Errors
    /// [`Error::Argument`] if it does not.
    pub fn set_order(&mut self, order: Vec<u32>) -> Result<()> {
        let mut seen = vec![false; self.rows];
        let fresh =
            |&row: &u32| seen.get_mut(row as usize).is_some_and(|s| !std::mem::replace(s, true));
        if order.len() != self.rows || !order.iter().all(fresh) {
            let value = format!("of {} entries", order.len());
            return Err(Error::argument(
                "order",
                value,
                &format!("each of the {} rows once", self.rows),
            ));
        }
        self.feed.set_order(&self.gpu, order)
    }

    /// Runs `batches` in one submission. `step` gives the record of each: its number and learning
    /// rate; the trainer fills in where the batch starts.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are no such batches or too many; the errors of the device.
    pub async fn submit(
        &mut self,
        batches: Range<usize>,
        mut step: impl FnMut(usize) -> Step,
    ) -> Result<()> {
        if batches.is_empty()
            || batches.end > self.batches()
            || batches.len() > self.batches_per_submission()
        {
            let rule = format!(
                "a range within 0..{} of at most {}",
                self.batches(),
                self.batches_per_submission()
            );
            return Err(Error::argument("batches", format!("{batches:?}"), &rule));
        }
        let rows = batches.start * self.batch..(batches.end * self.batch).min(self.rows);
        let first_row = rows.start;
        let on_device = self.feed.bring(&self.gpu, rows)?;
        let records: Vec<Step> = batches
            .clone()
            .map(|index| {
                let start = on_device + index * self.batch - first_row;
                Step { batch_start: crate::kernel::word(start), ..step(index) }
            })
            .collect();
        let tails = usize::from(self.tail.is_some() && batches.end == self.batches());
        let (full, tail) = records.split_at(records.len() - tails);
        self.run(full, tail).await?;
        let first = records.first().map_or(0, |step| step.number);
        self.under_way.push_back(Submission { first, full: full.len(), tail: tail.len() });
        Ok(())
    }

    async fn run(&mut self, full_steps: &[Step], tail_steps: &[Step]) -> Result<()> {
        self.full.make_room().await?;
        if let Some(tail) = &mut self.tail {
            tail.make_room().await?;
        }
        let gpu = self.gpu.clone();
        let (full, tail) = (&mut self.full, self.tail.as_mut());
        gpu.submit(|encoder| {
            if !full_steps.is_empty() {
                full.record(encoder, full_steps)?;
            }
            match tail {
                Some(tail) if !tail_steps.is_empty() => tail.record(encoder, tail_steps),
                _ => Ok(()),
            }
        })
        .await?;
        self.full.submitted();
        if let Some(tail) = &mut self.tail {
            tail.submitted();
        }
        Ok(())
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

    /// Whether results are under way.
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The results of the oldest submission, if they are here already.
    ///
    /// # Errors
    /// As for [`Trainer::results`].
    pub async fn results_ready(&mut self) -> Result<Option<Vec<StepResult>>> {
        let Some(submission) = self.under_way.front().copied() else { return Ok(None) };
        let full = submission.full == 0 || self.full.is_ready();
        let tail = submission.tail == 0 || self.tail.as_ref().is_none_or(Executor::is_ready);
        if full && tail { self.results().await } else { Ok(None) }
    }

    /// The results of the oldest submission, waiting for them; `None` if none is under way.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a step's loss or a new parameter was NaN or infinite: no step from
    /// that one on moved the parameters. The errors of the device.
    pub async fn results(&mut self) -> Result<Option<Vec<StepResult>>> {
        let Some(submission) = self.under_way.pop_front() else { return Ok(None) };
        let mut steps = Vec::new();
        let mut halted = None;
        for (count, tail) in [(submission.full, false), (submission.tail, true)] {
            let executor = if tail { self.tail.as_mut() } else { Some(&mut self.full) };
            let (Some(executor), 1..) = (executor, count) else { continue };
            let rows = if tail { self.rows % self.batch } else { self.batch };
            let Some(results) = executor.results().await? else { continue };
            halted = halted.or(results.halted_at);
            steps.extend(results.rows.iter().map(|row| StepResult {
                rows,
                loss: row.first().copied().unwrap_or(f32::NAN),
                sums: row.get(1..).unwrap_or_default().to_vec(),
            }));
        }
        match halted {
            Some(step) if self.trains => {
                let behind = step.saturating_sub(submission.first) as usize;
                let loss = steps.get(behind).map_or(f32::NAN, |step| step.loss);
                Err(Error::NotFinite { step: step.into(), epoch: 0, loss })
            }
            _ => Ok(Some(steps)),
        }
    }
}

async fn executor<D: Borrow<Dataset>>(
    model: &Model,
    feed: &Feed<D>,
    batch: usize,
    trains: bool,
) -> Result<Executor> {
    let rows = Rows { resident: feed.resident_rows, batch };
    let optimizer = trains.then(|| model.optimizer());
    let graph = TrainingGraph::new(
        model.architecture(),
        model.loss(),
        model.metrics(),
        optimizer,
        feed.data.borrow(),
        rows,
    )?;
    let plan = graph.plan(&model.gpu().target())?;
    let options = ExecutorOptions {
        parameters: Some(model.parameters().clone()),
        inputs: vec![
            (graph.features, feed.buffers.features.clone()),
            (graph.targets, feed.buffers.targets.clone()),
            (graph.order, feed.buffers.order.clone()),
        ],
    };
    Executor::with(model.gpu(), plan, options).await
}
