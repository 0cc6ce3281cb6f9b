//! How a training is laid over lanes: which lane does what, and the room that it needs for that. All
//! of it comes from shapes and options, before a number is drawn or a buffer is made.
#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;

use super::lane::{Lane, Role};
use super::room::Room;
use super::schedule::{self, Schedule};
use super::stage::Rows;
use super::{ParallelOptions, name, named};
use crate::checksum::Checksum;
use crate::data::{AsData, OwnedData, Share, Wanted, Windows};
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
    /// Micro-batches per replica if all are there.
    pub(super) weights: Vec<usize>,
    roles: Vec<Role>,
    /// Each lane's plan of its update, and the plan's input.
    updates: Vec<(Plan, Tensor)>,
    room: Room,
    /// Rows of the data that the lanes of this process need, if not all are.
    share: Option<Share>,
}

impl Layout {
    /// Lays `task` on `rows` rows over `gpus`, as `options` say; `others` are the devices of all processes. `at` is
    /// how many steps there were, and how many of them each parameter missed.
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
        others: &[Target],
        at: (u64, &[u64]),
    ) -> Result<Self> {
        options.check(rows, gpus.len())?;
        let costs = task.costs();
        let (grid, first) = (options.grid(gpus.len()), options.first_lane());
        let sizes = match &options.schedule {
            Schedule::Pipeline { stages } | Schedule::Replicated { stages, .. } => {
                match stages.is_empty() {
                    true => schedule::cut(&costs, grid.stages)?,
                    false => stages.clone(),
                }
            }
            _ => vec![costs.len()],
        };
        if sizes.len() > 1 && task.compile.optimizer.clip().is_some() {
            let detail = "clipping by global norm needs all gradients on one lane; \
                          use data-parallel, or leave the clipping out";
            return Err(Error::shape("pipeline", detail));
        }
        if sizes.len() > 1 && task.compile.precision.is_mixed() {
            let detail = "what crosses from stage to stage is in 32 bits, so that mixed precision would come to \
                          other bits than on one device; use data-parallel, or `Precision::F32`";
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
            _ => vec![1; grid.replicas],
        };
        let targets: Vec<Target> = gpus.iter().map(Gpu::target).chain(others.to_vec()).collect();
        let (mut roles, mut updates) = (Vec::new(), Vec::new());
        for (number, gpu) in (first..).zip(gpus) {
            let (replica, stage_number) = grid.place(number);
            let stage = stages.get(stage_number).cloned();
            let stage = stage.ok_or_else(|| Error::bug("fewer stages than lanes"))?;
            let replicas = grid.replicas;
            // A bucket without a parameter would be a message about nothing.
            let most = task.parameter_count().max(1);
            let role = Role {
                number,
                local: number.saturating_sub(first),
                target: gpu.target().laid_out_with(&targets),
                in_flight: match grid.is_pipeline() {
                    true => schedule::in_flight(stage_number, grid.stages, options.micro_batches),
                    false => 1,
                },
                grid,
                replica,
                stage_number,
                has_owners: replicas > 1 && options.world.is_some(),
                wire: options.wire,
                buckets: if replicas > 1 { options.buckets.clamp(1, most) } else { 1 },
                // The first of this process that has the stage.
                keeps_state: !(first..number).any(|other| grid.place(other).1 == stage_number),
                stage,
            };
            let update = task.update_plan(&role.stage, &role.target, at.1);
            updates.push(update.map_err(|error| named(number, name(number, gpu), at.0, error))?);
            roles.push(role);
        }
        let room = Room::new(rows, options, &weights);
        let share = Share::new(rows, options.batch, |batch| {
            needed_rows(batch, options.micro_batches, &weights, &roles)
        });
        Ok(Self { weights, roles, updates, room, share })
    }

    /// Of each lane its stage, and a number of the kernels that it runs, as [`Plan::fingerprint`] has it: those of the
    /// first size of micro-batches, and of the update. Where rows lie on a device is no part of it.
    pub(super) fn plans(&self, task: &Task, data: &OwnedData) -> Result<Vec<(usize, u64)>> {
        let form = task.form(data.as_data(), true)?;
        let (micro_batch, batch) = self.room.sizes.first().copied().unwrap_or_default();
        let rows = Rows { micro_batch, batch, resident: batch };
        let of_lane = |(role, (update, _)): (&Role, &(Plan, Tensor))| {
            let graph = task.stage_graph(&role.stage, form, rows, &role.target)?;
            let numbers = [graph.plan.fingerprint(), update.fingerprint()];
            let words = numbers.map(|number| [number as u32, (number >> 32) as u32]);
            Ok((role.stage_number, Checksum::new().words(words.as_flattened()).value()))
        };
        self.roles.iter().zip(&self.updates).map(of_lane).collect()
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
            OwnedData::Source(source) => {
                Some(Windows::of_share(source, Wanted::Epochs, self.share.clone()))
            }
            OwnedData::Dataset(_) => None,
        };
        for ((role, update), gpu) in self.roles.iter().zip(&self.updates).zip(gpus) {
            let rows = (data.clone(), windows.clone());
            let lane = Lane::new(gpu, task, role, update, rows, &self.room, state);
            let lane = match lane.await {
                Ok(mut lane) => lane.set_order(order).map(|()| lane),
                Err(error) => Err(error),
            };
            let named = |error| named(role.number, name(role.number, gpu), state.step, error);
            lanes.push(lane.map_err(named)?);
        }
        Ok(lanes)
    }
}

/// Rows of a batch of `batch` rows that lanes in these roles need, in their order.
fn needed_rows(
    batch: usize,
    micro_batches: usize,
    weights: &[usize],
    roles: &[Role],
) -> Vec<Range<usize>> {
    let micro_batches = schedule::micro_batches(batch, micro_batches);
    let shares = schedule::shares(micro_batches.len(), weights);
    let needs = |replica: usize| {
        let its = |role: &&Role| role.replica == replica && (role.stage.first || role.stage.last);
        roles.iter().find(its).is_some()
    };
    let needed = shares.into_iter().enumerate().filter(|(replica, _)| needs(*replica));
    needed.flat_map(|(_, share)| micro_batches.get(share).unwrap_or_default().to_vec()).collect()
}

/// The rows of batch `index`, as positions in the order of rows.
pub(super) fn batch_rows(rows: usize, batch: usize, index: usize) -> Range<usize> {
    let start = index.saturating_mul(batch).min(rows);
    start..start.saturating_add(batch).min(rows)
}
