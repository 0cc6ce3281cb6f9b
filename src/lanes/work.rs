//! The steps of a run, handed to its lanes one after another.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::Parallel;
use super::announce::Line;
use super::layout::batch_rows;
use crate::exec::Step;
use crate::lanes::schedule;
use crate::nn::Optimizer;
use crate::train::StepResult;
use crate::train::fit::Completed;
use crate::{Error, Result};

/// What a lane says of one step.
#[derive(Clone, Debug)]
pub(super) struct StepReport {
    /// The first step that was not finite, if one was.
    pub(super) halted_at: Option<u64>,
    pub(super) scalars: Vec<f32>,
}

/// One step's work, the same for all lanes.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Number, learning rate and corrections.
    pub(super) step: Step,
    /// Its batch, from 0.
    batch: usize,
    /// η, which the record of the step may hold in another form.
    learning_rate: f32,
    /// Positions of the batch in the order of rows.
    pub(super) rows: Range<usize>,
    /// Rows of each micro-batch, from the batch's first.
    pub(super) micro_batches: Vec<Range<usize>>,
    /// Micro-batches of each replica.
    pub(super) shares: Vec<Range<usize>>,
}

impl Job {
    pub(super) fn number(&self) -> u64 {
        self.step.number
    }

    /// What a lane that has the loss says of it.
    fn completed(&self, report: &StepReport) -> Result<Completed> {
        let (&loss, sums) = report.scalars.split_first().ok_or_else(|| {
            Error::bug(format!("a report of step {} without its loss", self.number()))
        })?;
        let result = StepResult { rows: self.rows.len(), loss, sums: sums.to_vec() };
        Ok(Completed { batch: self.batch, learning_rate: self.learning_rate, result })
    }
}

/// How batches become jobs.
#[derive(Clone, Debug)]
pub(super) struct Work {
    optimizer: Optimizer,
    /// Rows of the data set.
    rows: usize,
    batch: usize,
    micro_batches: usize,
    /// Micro-batches per replica if all are there.
    weights: Vec<usize>,
}

impl Work {
    pub(super) fn new(parallel: &Parallel) -> Self {
        Self {
            optimizer: parallel.task.compile.optimizer.clone(),
            rows: parallel.rows,
            batch: parallel.options.batch,
            micro_batches: parallel.options.micro_batches,
            weights: parallel.weights.clone(),
        }
    }

    /// The work of batch `batch` in step `number`; `rate` is η if it was set by hand.
    pub(super) fn job(&self, number: u64, batch: usize, rate: Option<f32>) -> Job {
        let learning_rate = rate.unwrap_or_else(|| self.optimizer.learning_rate_at(number));
        let step = Step::training(self.optimizer.rule(), number, 0, learning_rate);
        let rows = batch_rows(self.rows, self.batch, batch);
        let micro_batches = schedule::micro_batches(rows.len(), self.micro_batches);
        let shares = schedule::shares(micro_batches.len(), &self.weights);
        Job { step, batch, learning_rate, rows, micro_batches, shares }
    }
}

/// Where the lanes of a run get their jobs and report what they did. A job is made when the first lane
/// asks for it, so that the learning rate and the end of the run can be set until then, and every lane
/// gets the same.
#[derive(Debug)]
pub(super) struct JobQueue {
    work: Work,
    /// The batches of the run, and the number of its first step.
    batches: Range<usize>,
    first: u64,
    lanes: usize,
    /// From the process that says which steps there are, or to the others.
    line: Option<Line>,
    /// Held by the lane that waits for that process.
    turn: Mutex<()>,
    state: Mutex<JobQueueState>,
}

#[derive(Debug)]
struct JobQueueState {
    /// η if it was set by hand.
    learning_rate: Option<f32>,
    jobs: Vec<Arc<Job>>,
    /// Whether no more jobs are made, and whether that was the first process's word.
    closed: bool,
    was_told: bool,
    /// Steps that each lane has reported.
    reported: Vec<u64>,
    /// The first step that was not finite, if one was.
    halted: Option<u64>,
    /// What the last lane, which has the loss, said of the steps that were not taken yet.
    completed: VecDeque<Completed>,
    /// Steps that were taken.
    taken: u64,
    /// Lanes whose threads are at their end.
    ended: usize,
    /// Whether a lane has waited for another as long as it may: no other waits as long again.
    is_late: bool,
    /// Who waits for news.
    waker: Option<Waker>,
}

impl JobQueueState {
    /// What all lanes have reported, before the first step that was not finite.
    fn take(&mut self, first: u64) -> Vec<Completed> {
        let reported = self.reported.iter().copied().min().unwrap_or(0);
        let good = self.halted.map_or(u64::MAX, |halted| halted.saturating_sub(first));
        self.take_up_to(reported.min(good))
    }

    /// The steps before the `end`th that were not taken yet.
    fn take_up_to(&mut self, end: u64) -> Vec<Completed> {
        let count = usize::try_from(end.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        let count = count.min(self.completed.len());
        self.taken += count as u64;
        self.completed.drain(..count).collect()
    }

    fn tell(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl JobQueue {
    pub(super) fn new(
        work: Work,
        batches: Range<usize>,
        first: u64,
        learning_rate: Option<f32>,
        lanes: usize,
        line: Option<Line>,
    ) -> Self {
        let state = JobQueueState {
            learning_rate,
            jobs: Vec::new(),
            closed: false,
            was_told: false,
            reported: vec![0; lanes],
            halted: None,
            completed: VecDeque::new(),
            taken: 0,
            ended: 0,
            is_late: false,
            waker: None,
        };
        let turn = Mutex::new(());
        Self { work, batches, first, lanes, line, turn, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, JobQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the run's first step.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Job `index` of the run, and whether it is its last as far as is known; `None` after the last.
    ///
    /// # Errors
    /// Those of the exchange, if another process says which steps there are.
    pub(super) fn job(&self, index: usize) -> Result<Option<(Arc<Job>, bool)>> {
        let follows = self.line.as_ref().filter(|line| !line.leads());
        let Some(line) = follows else { return self.known_or(index, || Ok(None)) };
        let is_known = || {
            let state = self.state();
            index < state.jobs.len() || state.closed || index >= self.batches.len()
        };
        let known = || self.known_or(index, || Err(Error::bug("a step that nobody has heard of")));
        if is_known() {
            return known();
        }
        // Whoever holds the turn waits, and the state is free for the reports of others meanwhile.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if is_known() {
            return known();
        }
        let heard = line.hear(self.first.saturating_add(index as u64));
        if heard.is_err() {
            // The other lanes need not wait as long again.
            self.state().closed = true;
        }
        match heard? {
            Some(rate) => self.known_or(index, || Ok(Some(rate))),
            None => {
                let mut state = self.state();
                (state.closed, state.was_told) = (true, true);
                Ok(None)
            }
        }
    }

    /// Job `index` if it is known, or else made, with the learning rate that `rate` gives if it does.
    fn known_or(
        &self,
        index: usize,
        rate: impl FnOnce() -> Result<Option<f32>>,
    ) -> Result<Option<(Arc<Job>, bool)>> {
        let mut state = self.state();
        let is_last = index.saturating_add(1) == self.batches.len();
        if let Some(job) = state.jobs.get(index) {
            return Ok(Some((job.clone(), is_last)));
        }
        if state.closed || index >= self.batches.len() {
            return Ok(None);
        }
        let number = self.first.saturating_add(index as u64);
        let batch = self.batches.start.saturating_add(index);
        let rate = rate()?.or(state.learning_rate);
        let job = Arc::new(self.work.job(number, batch, rate));
        if let Some(line) = self.line.as_ref().filter(|line| line.leads()) {
            line.say(number, Some(job.learning_rate))?;
        }
        state.jobs.push(job.clone());
        Ok(Some((job, is_last)))
    }

    /// Makes no more jobs, and says so.
    fn end_early(&self, state: &mut JobQueueState) {
        let (closed, made) = (std::mem::replace(&mut state.closed, true), state.jobs.len());
        if let Some(line) = self.line.as_ref().filter(|line| line.leads())
            && !closed
            && made < self.batches.len()
        {
            // Whoever does not hear it is told when the lanes are back.
            drop(line.say(self.first.saturating_add(made as u64), None));
        }
    }

    /// Takes in what `lane` says of the run's step `index`. After one that was not finite there are no
    /// more: none would move a parameter.
    pub(super) fn report(&self, lane: usize, index: usize, report: &StepReport) -> Result<()> {
        let mut state = self.state();
        if let Some(count) = state.reported.get_mut(lane) {
            *count = count.saturating_add(1);
        }
        if let Some(halted) = report.halted_at {
            state.halted = Some(state.halted.map_or(halted, |known| known.min(halted)));
            self.end_early(&mut state);
        }
        if lane.saturating_add(1) == self.lanes {
            let job = state.jobs.get(index);
            let job = job.ok_or_else(|| Error::bug("a report of a step that was not begun"))?;
            let completed = job.completed(report)?;
            state.completed.push_back(completed);
        }
        state.tell();
        Ok(())
    }

    /// Says that the thread of a lane is at its end.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.ended = state.ended.saturating_add(1);
        state.tell();
    }

    /// Says that a lane has waited for another as long as it may.
    pub(super) fn give_up(&self) {
        self.state().is_late = true;
    }

    /// Whether one has.
    pub(super) fn is_given_up(&self) -> bool {
        self.state().is_late
    }

    /// Makes every job to come with η = `rate`.
    pub(super) fn set_learning_rate(&self, rate: f32) {
        self.state().learning_rate = Some(rate);
    }

    /// Makes no more jobs.
    pub(super) fn close(&self) {
        self.end_early(&mut self.state());
    }

    /// Whether this process alone made an end before all batches were done, which others wait for.
    pub(super) fn ended_early(&self) -> bool {
        let follows = self.line.as_ref().is_some_and(|line| !line.leads());
        let state = self.state();
        follows && state.closed && !state.was_told && state.jobs.len() < self.batches.len()
    }

    /// The steps that all lanes have completed since.
    pub(super) fn take(&self) -> Vec<Completed> {
        self.state().take(self.first)
    }

    /// The same, waiting for some; none when all lanes are at their end.
    pub(super) async fn wait(&self) -> Vec<Completed> {
        std::future::poll_fn(|context| {
            let mut state = self.state();
            let completed = state.take(self.first);
            if !completed.is_empty() || state.ended >= self.lanes {
                return Poll::Ready(completed);
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The steps up to `done` that nobody has taken yet, and the loss of the first step that was not
    /// finite.
    pub(super) fn take_rest(&self, done: u64) -> (Vec<Completed>, Option<(u64, Option<f32>)>) {
        let mut state = self.state();
        let halted = state.halted.map(|step| {
            let behind = step.saturating_sub(self.first).saturating_sub(state.taken);
            let at = usize::try_from(behind).ok().and_then(|at| state.completed.get(at));
            (step, at.map(|completed| completed.result.loss))
        });
        (state.take_up_to(done.saturating_sub(self.first)), halted)
    }
}

/// Says that a lane's thread is at its end, also if it panics.
pub(super) struct Ending(pub(super) Arc<JobQueue>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}
