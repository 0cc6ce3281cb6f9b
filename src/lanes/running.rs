//! Lanes at work, each on a thread of its own, and their way back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::Parallel;
use super::announce::Line;
use super::commands::StepCommands;
use super::exchange::{Exchange, RunId};
use super::lane::Lane;
use super::peers::Peers;
use super::record::Recorder;
use super::run::{self, LaneReturn, LaneSettings, Outcome};
use super::timeline::{ClockSource, Timeline};
use super::work::{JobQueue, Work};
use crate::lanes::Schedule;
use crate::train::TrainingState;
use crate::train::fit::Completed;
use crate::{Error, Result};

/// Lanes that are out on a run.
#[derive(Debug)]
pub(super) struct RunningLanes {
    jobs: Arc<JobQueue>,
    threads: Vec<Result<JoinHandle<LaneReturn>>>,
    exchange: Arc<dyn Exchange>,
    run: RunId,
    /// The state before, where that after has parts that other processes have.
    before: Option<TrainingState>,
    /// If the run is recorded.
    clock: Option<Recorded>,
}

/// What recorded times are, and since when they count.
type Recorded = (ClockSource, Instant);

/// Nobody waits for them any more: they come to their end by themselves.
impl Drop for RunningLanes {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

/// What a lane's thread leaves behind; of one that panicked, or that there never was, nothing but why.
pub(super) struct FinishedLane {
    pub(super) lane: Option<Lane>,
    pub(super) recorder: Option<Recorder>,
    pub(super) outcome: Outcome,
}

impl Parallel {
    /// Sends the lanes out to train on `batches`, one step each.
    pub(super) async fn set_out(&mut self, batches: Range<usize>) -> Result<()> {
        self.call_back();
        let set_out = self.set_out_all(batches).await;
        self.leave_if(set_out)
    }

    async fn set_out_all(&mut self, batches: Range<usize>) -> Result<()> {
        self.peers.as_ref().map_or(Ok(()), Peers::check)?;
        if batches.start > batches.end || batches.end > self.batches() {
            let rule = format!("a range within 0..{}", self.batches());
            return Err(Error::argument("batches", format!("{batches:?}"), &rule));
        }
        if let Some(ahead) = batches.len().checked_sub(1) {
            self.step_number(ahead as u64)?;
        }
        self.revive().await?;
        self.agree(&batches)?;
        let work = Work::new(self);
        let (recorders, clock) = self.recorders(&work, batches.clone()).await?;
        let (first, lanes) = (self.state.step, self.lanes.len());
        let (exchange, patience) = (self.options.exchange.clone(), self.options.patience);
        let run = self.peers.as_mut().map_or_else(RunId::next, Peers::next_run);
        let line = self.options.world.clone().map(|world| {
            let exchange = exchange.clone();
            Line { exchange, world, run, patience }
        });
        let rate = self.learning_rate;
        let jobs = Arc::new(JobQueue::new(work, batches, first, rate, lanes, line));
        let grid = self.options.grid(lanes);
        let settings = LaneSettings {
            exchange,
            jobs: jobs.clone(),
            run,
            lanes: grid.stages * grid.replicas,
            world: self.options.world.clone(),
            pipeline: grid.is_pipeline(),
            patience: self.options.patience,
            waits_for_rows: Arc::default(),
            serial: self.options.schedule == Schedule::Serial,
            keeps_every_state: self.options.keep_state,
        };
        let threads = self.lanes.drain(..).zip(recorders);
        let threads = threads.map(|(lane, recorder)| run::start(lane, settings.clone(), recorder));
        let threads = threads.collect();
        let exchange = self.options.exchange.clone();
        let before = (self.peers.is_some() && grid.is_pipeline()).then(|| self.state.clone());
        self.running = Some(RunningLanes { jobs, threads, exchange, run, before, clock });
        Ok(())
    }

    /// A recorder per lane, and what its times are if it is on.
    async fn recorders(
        &mut self,
        work: &Work,
        batches: Range<usize>,
    ) -> Result<(Vec<Recorder>, Option<Recorded>)> {
        if !self.records {
            let off = self.lanes.iter().map(|_| Recorder::off(Instant::now()));
            return Ok((off.collect(), None));
        }
        let (mut passes, mut known) = (0_usize, BTreeMap::new());
        for batch in batches {
            let job = work.job(0, batch, None);
            // Batches of one size have the same commands.
            let of_batch = match known.get(&job.rows.len()) {
                Some(&of_batch) => of_batch,
                None => {
                    let commands = self.commands_of(&job)?;
                    commands.iter().map(StepCommands::passes).max().unwrap_or(0)
                }
            };
            known.insert(job.rows.len(), of_batch);
            passes = passes.saturating_add(of_batch);
        }
        let origin = Instant::now();
        let (on, clock) = Recorder::on(&self.gpus, passes, origin).await?;
        self.origin = Some(origin);
        Ok((on, Some((clock, origin))))
    }

    /// What the lanes that are out have completed since.
    pub(super) fn news(&self) -> Vec<Completed> {
        self.running.as_ref().map_or_else(Vec::new, |running| running.jobs.take())
    }

    /// The same, waiting for it; none when the lanes are back, and the state is that after the last step.
    /// Given up, the lanes are out as before.
    ///
    /// # Errors
    /// What made a lane fail, and [`Error::NotFinite`].
    pub(super) async fn wait_for_news(&mut self) -> Result<Vec<Completed>> {
        let Some(running) = &self.running else { return Ok(Vec::new()) };
        let completed = running.jobs.wait().await;
        if !completed.is_empty() {
            return Ok(completed);
        }
        let (completed, recorders, clock) = self.come_back()?;
        // After a fault a device may have no times to give.
        if let Some((clock, origin)) = clock {
            let own = self.gather(recorders, clock).await;
            let all = own.and_then(|own| self.merge(own, origin));
            self.timeline = Some(self.leave_if(all)?);
        }
        Ok(completed)
    }

    /// Ends a run at the steps that were begun, and waits for those.
    pub(super) fn call_back(&mut self) {
        if let Some(running) = &self.running {
            running.jobs.close();
            // Whoever gave the run up does not hear how it went; the state says it, and what failed
            // fails again.
            drop(self.come_back());
        }
    }

    /// Sees to it that the lanes begin no more steps.
    pub(super) fn close(&self) {
        if let Some(running) = &self.running {
            running.jobs.close();
        }
    }

    /// Trains every step that is not begun yet with this learning rate.
    pub(super) fn pass_on(&self, rate: f32) {
        if let Some(running) = &self.running {
            running.jobs.set_learning_rate(rate);
        }
    }

    /// Waits for the threads of the lanes, and takes in what they bring: the steps that nobody has heard
    /// of, and what was recorded.
    fn come_back(&mut self) -> Result<(Vec<Completed>, Vec<Recorder>, Option<Recorded>)> {
        let Some(mut running) = self.running.take() else { return Ok(Default::default()) };
        let first = running.jobs.first();
        let ended = std::mem::take(&mut running.threads).into_iter().enumerate();
        let first_lane = self.options.first_lane();
        let returned = ended.map(|(local, thread)| match thread.map(JoinHandle::join) {
            Ok(Ok(LaneReturn { lane, recorder, outcome })) => {
                FinishedLane { lane: Some(lane), recorder: Some(recorder), outcome }
            }
            Ok(Err(_)) => {
                let outcome = Outcome::panicked(first_lane + local, first);
                FinishedLane { lane: None, recorder: None, outcome }
            }
            Err(error) => {
                let outcome = Outcome::not_started(first, error);
                FinishedLane { lane: None, recorder: None, outcome }
            }
        });
        let mut returned: Vec<FinishedLane> = returned.collect();
        let ended_early = running.jobs.ended_early();
        running.exchange.clear(running.run);
        self.bytes_exchanged += returned.iter().map(|r| r.outcome.bytes_sent).sum::<u64>();
        self.timeline = None;
        let recorders = returned.iter_mut().filter_map(|r| r.recorder.take()).collect();
        let completed = self.take_back(&running.jobs, returned);
        let completed = self.leave_if(completed).and_then(|completed| {
            if ended_early {
                self.leave("its training was given up");
            }
            if running.before.is_some() {
                let gathered = self.gather_state();
                self.leave_if(gathered)?;
            }
            Ok(completed)
        });
        if let (Err(_), Some(before)) = (&completed, running.before.take()) {
            // Other processes have the rest of what came after it.
            self.state = before;
        }
        Ok((completed?, recorders, running.clock))
    }

    async fn gather(&self, recorders: Vec<Recorder>, clock: ClockSource) -> Result<Timeline> {
        let first = self.options.first_lane();
        let names = (first..).zip(&self.gpus).map(|(number, gpu)| self.name(number, gpu));
        let mut timeline = Timeline::new(names.collect(), clock);
        for recorder in recorders {
            timeline.spans.extend(recorder.finish().await?);
        }
        timeline.spans.sort_by(|a, b| a.start.total_cmp(&b.start));
        Ok(timeline)
    }
}
