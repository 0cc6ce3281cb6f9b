//! How a training is laid over lanes: which lane does what, and the room that it needs for that. All
//! of it comes from shapes and options, before a number is drawn or a buffer is made.
#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;

use super::lane::{Lane, Role};
use super::room::Room;
use super::schedule::{self, Schedule};
use super::{ParallelOptions, named};
use crate::data::{OwnedData, Wanted, Windows};
use crate::gpu::Gpu;
use crate::graph::Tensor;
use crate::plan::{Plan, Target};
use crate::train::TrainingState;
use crate::train::feed::Order;
use crate::train::task::Task;
use crate::{Error, Result};

/// What lanes of a training do, and for which batches they have room.
#[derive(Debug)]
pub(super) struct Layout {
    /// Micro-batches per lane if all are there, for replicas.
    pub(super) weights: Vec<usize>,
    roles: Vec<Role>,
    /// Each lane's plan of its update, and the plan's input.
    updates: Vec<(Plan, Tensor)>,
    room: Room,
}

impl Layout {
    /// Lays `task` on `rows` rows over `gpus`, as `options` say.
    ///
    /// # Errors
    /// [`Error::Argument`] and [`Error::Shape`] if options, lanes, model and data do not fit each
    /// other; [`Error::Lane`] with an [`Error::Limit`] if a lane's device has no buffers large enough
    /// for its parameters.
    pub(super) fn new(
        task: &Task,
        rows: usize,
        options: &ParallelOptions,
        gpus: &[Gpu],
        step: u64,
    ) -> Result<Self> {
        options.check(rows, gpus.len())?;
        let costs = task.costs();
        let pipeline = options.schedule.is_pipeline();
        let sizes = match &options.schedule {
            Schedule::Pipeline { stages } if stages.is_empty() => {
                schedule::cut(&costs, gpus.len())?
            }
            Schedule::Pipeline { stages } => stages.clone(),
            _ => vec![costs.len()],
        };
        if sizes.len() > 1 && task.compile.optimizer.clip().is_some() {
            let detail = "clipping by global norm needs all gradients on one lane; \
                          use data-parallel, or leave the clipping out";
            return Err(Error::shape("pipeline", detail));
        }
        let stages = task.stages(&sizes)?;
        task.check_trained()?;
        let trained: Vec<bool> = task.architecture.trained().collect();
        for (number, stage) in stages.iter().enumerate() {
            let own = trained.get(stage.parameters.clone()).unwrap_or_default();
            if !own.contains(&true) {
                let detail = format!(
                    "all layers of stage {number} are frozen; cut the layers by `Schedule::Pipeline` so that \
                     each stage trains one"
                );
                return Err(Error::shape("pipeline", detail));
            }
        }
        let weights = match &options.schedule {
            Schedule::DataParallel { shares } if !shares.is_empty() => shares.clone(),
            Schedule::DataParallel { .. } => vec![1; gpus.len()],
            _ => vec![1],
        };
        let targets: Vec<Target> = gpus.iter().map(Gpu::target).collect();
        let (mut roles, mut updates) = (Vec::new(), Vec::new());
        for (number, gpu) in gpus.iter().enumerate() {
            let stage = stages.get(if pipeline { number } else { 0 }).cloned();
            let stage = stage.ok_or_else(|| Error::bug("fewer stages than lanes"))?;
            let replicas = if pipeline { 1 } else { gpus.len() };
            // A bucket without a parameter would be a message about nothing.
            let most = task.parameter_count().max(1);
            let role = Role {
                number,
                target: gpu.target().laid_out_with(&targets),
                in_flight: match pipeline {
                    true => schedule::in_flight(number, gpus.len(), options.micro_batches),
                    false => 1,
                },
                replicas,
                buckets: if replicas > 1 { options.buckets.clamp(1, most) } else { 1 },
                keeps_state: pipeline || number == 0,
                stage,
            };
            let update = task.update_plan(&role.stage, &role.target);
            updates.push(update.map_err(|error| named(number, gpu, step, error))?);
            roles.push(role);
        }
        let room = Room::new(rows, options, &weights);
        Ok(Self { weights, roles, updates, room })
    }

    /// The lanes, on the devices that they were laid over, with the parameters and optimizer states of
    /// `state`.
    pub(super) async fn lanes(
        &self,
        gpus: &[Gpu],
        task: &Task,
        data: &OwnedData,
        state: &TrainingState,
        order: &Order,
    ) -> Result<Vec<Lane>> {
        let mut lanes = Vec::new();
        // What one lane reads of a source the others have too.
        let windows = match data {
            OwnedData::Source(source) => Some(Windows::new(source, Wanted::Epochs)),
            OwnedData::Dataset(_) => None,
        };
        for ((role, update), gpu) in self.roles.iter().zip(&self.updates).zip(gpus) {
            let rows = (data.clone(), windows.clone());
            let lane = Lane::new(gpu, task, role, update, rows, &self.room, state);
            let lane = match lane.await {
                Ok(mut lane) => lane.set_order(order).map(|()| lane),
                Err(error) => Err(error),
            };
            lanes.push(lane.map_err(|error| named(role.number, gpu, state.step, error))?);
        }
        Ok(lanes)
    }
}

/// The rows of batch `index`, as positions in the order of rows.
pub(super) fn batch_rows(rows: usize, batch: usize, index: usize) -> Range<usize> {
    let start = index.saturating_mul(batch).min(rows);
    start..start.saturating_add(batch).min(rows)
}
