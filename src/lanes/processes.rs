//! A training over the processes of a [`World`](super::World): what they compare, and what they tell each other.

use std::fmt::Write;
use std::ops::Range;

use super::peers::{Fingerprint, LaneKind, Peers};
use super::{Parallel, ParallelOptions, World, name};
use crate::checksum::Checksum;
use crate::gpu::Gpu;
use crate::plan::Target;
use crate::train::feed::Order;
use crate::train::fit::{Call, Moment, Wishes};
use crate::train::progress::Course;
use crate::train::task::Task;
use crate::train::{Evaluation, Signal, TrainingState};
use crate::{Error, Result};

/// Compares what is trained, and how, with all other processes, and learns of their lanes.
pub(super) fn meet(
    peers: &mut Peers,
    task: &Task,
    options: &ParallelOptions,
    (rows, course): (usize, Course),
    lanes: &[Gpu],
) -> Result<()> {
    let ParallelOptions { batch, micro_batches, schedule, buckets, world, wire, .. } = options;
    let lanes_of = world.as_ref().map(|world| world.lanes_of().to_vec());
    let fingerprint = Fingerprint::default()
        .with("version of wgrad", env!("CARGO_PKG_VERSION"))
        .with("model", format!("{:?}", task.architecture))
        .with("loss, optimizer and metrics", format!("{:?}", task.compile))
        .with("batch size", batch)
        .with("number of micro-batches", micro_batches)
        .with("number of rows", rows)
        .with("data", format!("{course:?}"))
        .with("schedule", format!("{schedule:?}"))
        .with("number of buckets", buckets)
        .with("wire", format!("{wire:?}"))
        .with("lanes of each process", format!("{lanes_of:?}"));
    peers.agree(&fingerprint)?;
    let own: Vec<(String, Target)> = (peers.world.own())
        .zip(lanes)
        .map(|(number, gpu)| (name_in(&peers.world, number, gpu), gpu.target()))
        .collect();
    peers.introduce(&own)
}

/// Compares adapters, and the plans of lanes in their order, each with its stage.
pub(super) fn compare(peers: &mut Peers, lanes: &[Gpu], plans: Vec<(usize, u64)>) -> Result<()> {
    let kind = |(gpu, (stage, plan)): (&Gpu, (usize, u64))| {
        let adapter = format!("{} of class {:?}", gpu.describe(), gpu.target().class);
        LaneKind { adapter, stage, plan }
    };
    let kinds: Vec<LaneKind> = lanes.iter().zip(plans).map(kind).collect();
    peers.compare(&kinds)
}

fn name_in(world: &World, lane: usize, gpu: &Gpu) -> String {
    format!("lane {lane} of rank {} ({})", world.rank(), gpu.info().name)
}

impl Parallel {
    /// The name of a lane of this process, with the process if there are others.
    pub(super) fn name(&self, lane: usize, gpu: &Gpu) -> String {
        match &self.peers {
            Some(peers) => name_in(&peers.world, lane, gpu),
            None => name(lane, gpu),
        }
    }

    /// Takes no part any more in a training over processes.
    pub(super) fn leave(&mut self, reason: &str) {
        if let Some(peers) = &mut self.peers {
            peers.leave(reason);
        }
    }

    /// Leaves if `result` is an error.
    pub(super) fn leave_if<T>(&mut self, result: Result<T>) -> Result<T> {
        if let (Err(error), Some(peers)) = (&result, &mut self.peers) {
            peers.leave(&error.to_string());
        }
        result
    }

    /// Compares with all other processes where the training stands, before a run over `batches`.
    pub(super) fn agree(&mut self, batches: &Range<usize>) -> Result<()> {
        let Some(peers) = &mut self.peers else { return Ok(()) };
        let order = match &self.order {
            Order::Rows(rows) => format!("{:x}", Checksum::new().words(rows).value()),
            Order::Epoch(order) => format!("{order:?}"),
        };
        let mut fingerprint = Fingerprint::default()
            .with("number of steps before", self.state.step)
            .with("batches of the run", format!("{batches:?}"))
            .with("order of rows", order)
            .with("recording", self.records)
            .with("whether the training state was set", !self.agreed);
        if !self.agreed {
            fingerprint = fingerprint.with("training state", checksum(&self.state));
        }
        peers.agree(&fingerprint)?;
        self.agreed = true;
        Ok(())
    }

    /// Compares what `fit` was called with.
    pub(super) fn agree_on_fit(
        &mut self,
        epochs: usize,
        call: &Call,
        resumed: Option<&Moment>,
    ) -> Result<()> {
        let rate = self.learning_rate.map_or("planned".into(), |rate| rate.to_string());
        let Some(peers) = &mut self.peers else { return Ok(()) };
        let fingerprint = Fingerprint::default()
            .with("epochs to train", epochs)
            .with(
                "step of the checkpoint that is resumed",
                format!("{:?}", resumed.map(|moment| moment.state.step)),
            )
            // Its parameters and optimizer states are compared before the first run, as all that are set.
            .with("checkpoint that is resumed", format!("{:?}", resumed.map(of_moment)))
            .with("place in the training", format!("{call:?}"))
            .with("learning rate set by hand", rate);
        peers.agree(&fingerprint)
    }

    /// The first process's evaluation, everywhere.
    pub(super) fn share_evaluation(
        &mut self,
        own: Option<Evaluation>,
    ) -> Result<Option<Evaluation>> {
        let Some(peers) = &mut self.peers else { return Ok(own) };
        let metrics = &self.task.compile.metrics;
        let bytes = peers.hear(self.state.step, || {
            let own = own.as_ref().ok_or_else(|| Error::bug("no evaluation to tell"))?;
            let mut words = vec![own.rows as u64, own.loss.to_bits()];
            for (metric, value) in &own.metrics {
                let number = metrics.iter().position(|other| other == metric);
                words.extend([number.unwrap_or(usize::MAX) as u64, value.to_bits()]);
            }
            Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
        })?;
        if own.is_some() {
            return Ok(own);
        }
        let words = words(&bytes);
        let (&[rows, loss], rest) = words.split_first_chunk().ok_or_else(short)?;
        let metrics = rest.chunks_exact(2).filter_map(|pair| {
            let &[number, value] = pair else { return None };
            let metric = metrics.get(usize::try_from(number).ok()?)?;
            Some((*metric, f64::from_bits(value)))
        });
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        Ok(Some(Evaluation { rows, loss: f64::from_bits(loss), metrics: metrics.collect() }))
    }

    /// What the callbacks of the first process want, for the others; nothing on the first one.
    pub(super) fn share_wishes(&mut self, own: &Wishes) -> Result<Option<Wishes>> {
        let rate = self.learning_rate;
        let Some(peers) = &mut self.peers else { return Ok(None) };
        let bytes = peers.hear(self.state.step, || {
            let rate = rate.map_or(u64::MAX, |rate| u64::from(rate.to_bits()));
            let restore = own.restore.map_or(u64::MAX, |index| index as u64);
            let mut words = vec![u64::from(own.stop), rate, restore];
            for (index, signal) in &own.signals {
                words.extend([*index as u64, to_word(*signal)]);
            }
            Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
        })?;
        if peers.world.is_first() {
            return Ok(None);
        }
        let words = words(&bytes);
        let (&[stop, rate, restore], rest) = words.split_first_chunk().ok_or_else(short)?;
        if let Ok(bits) = u32::try_from(rate) {
            self.learning_rate = Some(f32::from_bits(bits));
        }
        let signals = rest.chunks_exact(2).filter_map(|pair| {
            let &[index, signal] = pair else { return None };
            Some((usize::try_from(index).ok()?, of_word(signal)))
        });
        let restore = usize::try_from(restore).ok().filter(|&index| index != usize::MAX);
        Ok(Some(Wishes { signals: signals.collect(), stop: stop == 1, restore }))
    }

    /// Takes the parameters and optimizer states of other processes' stages.
    pub(super) fn gather_state(&mut self) -> Result<()> {
        let Some(peers) = &mut self.peers else { return Ok(()) };
        let grid = self.options.grid(self.gpus.len());
        let sizes = match &self.options.schedule {
            super::Schedule::Pipeline { stages } | super::Schedule::Replicated { stages, .. }
                if !stages.is_empty() =>
            {
                stages.clone()
            }
            _ => super::schedule::cut(&self.task.costs(), grid.stages)?,
        };
        let stages = self.task.stages(&sizes)?;
        let (state, step) = (&self.state, self.state.step);
        let own = |stage: usize| {
            let numbers = stages.get(stage).map(|stage| stage.parameters.clone());
            Ok(state.part_to_bytes(numbers.unwrap_or_default()))
        };
        let parts = peers.gather(step, grid.stages, |stage| grid.lane(0, stage), own)?;
        for (stage, part) in stages.iter().zip(parts) {
            if let Some(bytes) = part {
                self.state.part_from_bytes(stage.parameters.clone(), &bytes)?;
            }
        }
        Ok(())
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64::from_le(bytemuck::pod_read_unaligned(word))).collect()
}

fn short() -> Error {
    Error::bug("the first process said less than it must")
}

/// A signal as a kind and, in the lower half, a number.
fn to_word(signal: Signal) -> u64 {
    match signal {
        Signal::Continue | Signal::ShowWeights | Signal::Wait => 0,
        Signal::Remember => 1 << 32,
        Signal::LearningRate(rate) => 2 << 32 | u64::from(rate.to_bits()),
        Signal::Stop => 3 << 32,
        Signal::RestoreAndStop => 4 << 32,
    }
}

fn of_word(word: u64) -> Signal {
    match word >> 32 {
        1 => Signal::Remember,
        2 => Signal::LearningRate(f32::from_bits(word as u32)),
        3 => Signal::Stop,
        4 => Signal::RestoreAndStop,
        _ => Signal::Continue,
    }
}

/// Of what a moment says beside parameters and optimizer states: the history, and what callbacks remember, which may be
/// whole sets of weights. So its text is added up as it is written, and never held.
fn of_moment(moment: &Moment) -> String {
    let mut sum = OfText(Checksum::new());
    // Nothing is written that could fail.
    let _ = write!(sum, "{:?} {:?}", moment.learning_rate, moment.fit);
    format!("{:016x}", sum.0.value())
}

/// The checksum of a text.
struct OfText(Checksum);

impl Write for OfText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 = text.bytes().fold(self.0, |sum, byte| sum.count(byte.into()));
        Ok(())
    }
}

/// Of all its numbers.
fn checksum(state: &TrainingState) -> String {
    let lists = state.values.iter().chain(state.states.iter().flatten());
    let sum = lists.fold(Checksum::new(), |sum, numbers| sum.numbers(numbers));
    let sum = state
        .missed
        .iter()
        .fold(sum, |sum, missed| sum.words(&[*missed as u32, (*missed >> 32) as u32]));
    format!("{:016x}", sum.value())
}
