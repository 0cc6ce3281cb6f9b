//! What runs a trainer's batches: executors of plans, or a whole-step kernel.

use std::collections::VecDeque;

use super::choose::figures;
use super::feed::Feed;
use super::graphs::{Rows, TrainingGraph};
use super::model::Model;

use crate::data::AsData;
use crate::exec::{
    Bindings, Executor, ExecutorOptions, MAX_STEPS, Numbers, Step, WholeStep, submit_all,
};
use crate::kernel::whole_step::{MOST_STEPS, Net};
use crate::plan::{AdapterClass, MOST_TURNS, Plan, Precision};
use crate::{Error, Result};

/// Multiply-adds per submission, at most, unless a single step has more: what a device does in a
/// fraction of a second, so that no watchdog fires and progress can be shown.
const SOFTWARE_BUDGET: u64 = 1 << 31;
const GPU_BUDGET: u64 = 1 << 34;
/// The same for the whole-step kernels, of which each workgroup has one core of a processor or of a GPU.
const WHOLE_STEP_BUDGET: u64 = 1 << 28;

/// What runs batches. The results of submissions come back in their order.
#[derive(Debug)]
pub(super) enum Engine {
    General(Box<General>),
    WholeStep(Box<WholeStep>),
}

/// An executor for full batches and one for the last batch, if it has fewer rows.
#[derive(Debug)]
pub(super) struct General {
    batch: usize,
    full: Executor,
    tail: Option<Executor>,
    /// Steps of the two in each submission under way.
    under_way: VecDeque<[usize; 2]>,
}

/// The plan of a batch of `batch` rows, with its graph.
pub(super) fn plan<D: AsData>(
    model: &Model,
    feed: &Feed<D>,
    batch: usize,
    trains: bool,
) -> Result<(TrainingGraph, Plan)> {
    let rows = Rows { resident: feed.resident_rows, batch };
    let graph = TrainingGraph::new(&model.task, trains, feed.form, rows, &model.missed_steps())?;
    // What is evaluated is so with the weights as they are.
    let precision = if trains { model.task.compile.precision } else { Precision::F32 };
    let plan = graph.plan(&model.gpu().target(), precision)?;
    Ok((graph, plan))
}

async fn executor<D: AsData>(
    model: &Model,
    feed: &Feed<D>,
    graph: TrainingGraph,
    plan: Plan,
) -> Result<Executor> {
    let mut inputs = vec![
        (graph.features, feed.buffers.features.clone()),
        (graph.targets, feed.buffers.targets.clone()),
        (graph.order, feed.buffers.order.clone()),
    ];
    inputs.extend(graph.weights.zip(feed.buffers.weights.as_deref().cloned()));
    let options = ExecutorOptions { parameters: Some(model.parameters().clone()), inputs };
    Executor::with_options(model.gpu(), plan, options).await
}

impl Engine {
    /// Executors of the model's plans; `full` is that of a full batch.
    pub(super) async fn general<D: AsData>(
        model: &Model,
        feed: &Feed<D>,
        full: (TrainingGraph, Plan),
        batch: usize,
        trains: bool,
    ) -> Result<Self> {
        let full = executor(model, feed, full.0, full.1).await?;
        let tail = match feed.rows % batch {
            0 => None,
            rest => {
                let (graph, plan) = plan(model, feed, rest, trains)?;
                Some(executor(model, feed, graph, plan).await?)
            }
        };
        Ok(Engine::General(Box::new(General { batch, full, tail, under_way: VecDeque::new() })))
    }

    /// The whole-step kernel that `net` is for.
    pub(super) async fn whole_step<D>(
        model: &Model,
        feed: &Feed<D>,
        net: Net,
        batch: usize,
    ) -> Result<Self> {
        let data = Bindings {
            features: &feed.buffers.features,
            targets: &feed.buffers.targets,
            order: &feed.buffers.order,
        };
        let figures = figures(model.loss(), model.optimizer());
        let kernel =
            WholeStep::new(model.gpu(), net, batch, figures, model.parameters(), data).await?;
        Ok(Engine::WholeStep(Box::new(kernel)))
    }

    /// Whether many submissions' worth of steps may be gathered in one.
    pub(super) fn gathers(&self) -> bool {
        matches!(self, Engine::WholeStep(_))
    }

    /// Most steps of `batch` rows in one submission: bounded by the device's time for them.
    pub(super) fn most_steps(&self, batch: usize, class: AdapterClass) -> usize {
        let affordable = |budget: u64, step: u64| {
            usize::try_from(budget / step.max(1)).unwrap_or(usize::MAX).max(1)
        };
        match self {
            Engine::General(general) => {
                let budget = match class {
                    AdapterClass::Software => SOFTWARE_BUDGET,
                    AdapterClass::Gpu => GPU_BUDGET,
                };
                affordable(budget, general.full.plan().multiply_adds()).min(MAX_STEPS)
            }
            Engine::WholeStep(kernel) => {
                let net = kernel.net();
                let of_turns = match net.workgroups {
                    1 => net.steps_of_dispatch(batch, MOST_TURNS).max(1),
                    _ => MOST_STEPS,
                };
                affordable(WHOLE_STEP_BUDGET * net.workgroups as u64, net.multiply_adds(batch))
                    .min(of_turns)
                    .min(MOST_STEPS)
            }
        }
    }

    /// Makes sure that the next submission has room for its results, waiting for the oldest if not.
    pub(super) async fn make_room(&mut self) -> Result<()> {
        match self {
            Engine::General(general) => general.make_room().await,
            Engine::WholeStep(kernel) => kernel.make_room().await,
        }
    }

    /// Runs `steps`, each with the rows of its batch, in one submission for which there is room. As soon
    /// as it is submitted, before anything is waited for, `then` is called.
    pub(super) async fn submit(
        &mut self,
        steps: &[(Step, usize)],
        then: impl FnOnce(),
    ) -> Result<()> {
        match self {
            Engine::General(general) => general.submit(steps, then).await,
            Engine::WholeStep(kernel) => kernel.submit(steps, then).await,
        }
    }

    /// Whether the results of the oldest submission are here.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Engine::General(general) => general.is_ready(),
            Engine::WholeStep(kernel) => kernel.is_ready(),
        }
    }

    /// The results of the oldest submission, waiting for them; given up, they stay the oldest.
    pub(super) async fn results(&mut self) -> Result<Numbers> {
        let results = match self {
            Engine::General(general) => general.results().await?,
            Engine::WholeStep(kernel) => kernel.results().await?,
        };
        results.ok_or_else(|| Error::bug("a submission under way has no results"))
    }
}

impl General {
    async fn make_room(&mut self) -> Result<()> {
        self.full.make_room().await?;
        match &mut self.tail {
            Some(tail) => tail.make_room().await,
            None => Ok(()),
        }
    }

    async fn submit(&mut self, steps: &[(Step, usize)], then: impl FnOnce()) -> Result<()> {
        // The last batch of an epoch is the only one that may be shorter.
        let full = steps.iter().take_while(|(_, rows)| *rows == self.batch).count();
        let steps: Vec<Step> = steps.iter().map(|&(step, _)| step).collect();
        let (full, tail) = steps.split_at(full);
        if self.tail.is_none() && !tail.is_empty() {
            return Err(Error::bug(format!("{} steps of a short batch that is not", tail.len())));
        }
        let gpu = self.full.gpu().clone();
        let mut parts = vec![(&mut self.full, full)];
        parts.extend(self.tail.as_mut().map(|executor| (executor, tail)));
        let under_way = &mut self.under_way;
        let mut sent = false;
        let submitted = submit_all(&gpu, &mut parts, || {
            under_way.push_back([full.len(), tail.len()]);
            sent = true;
            then();
        })
        .await;
        if submitted.is_err() && sent {
            self.under_way.pop_back();
        }
        submitted
    }

    fn is_ready(&self) -> bool {
        self.under_way.front().is_some_and(|&[full, tail]| {
            (full == 0 || self.full.is_ready())
                && (tail == 0 || self.tail.as_ref().is_none_or(Executor::is_ready))
        })
    }

    async fn results(&mut self) -> Result<Option<Numbers>> {
        let Some(&[full, tail]) = self.under_way.front() else { return Ok(None) };
        let executors = [(full, Some(&mut self.full)), (tail, self.tail.as_mut())];
        let mut ran: Vec<(usize, &mut Executor)> = executors
            .into_iter()
            .filter_map(|(steps, executor)| Some((steps, executor?)))
            .filter(|&(steps, _)| steps > 0)
            .collect();
        for (_, executor) in &mut ran {
            executor.arrive().await?;
        }
        // All are here: nothing is waited for from here on.
        self.under_way.pop_front();
        let (mut all, mut before) = (Numbers::default(), 0);
        for (steps, executor) in ran {
            let some = executor.arrived().ok_or_else(|| Error::bug("results here are not here"))?;
            all.steps += some.steps;
            all.numbers.extend(some.numbers);
            all.halt = all.halt.or(some.halt);
            all.halted_row = all.halted_row.or(some.halted_row.map(|row| before + row));
            before += steps;
        }
        Ok(Some(all))
    }
}
