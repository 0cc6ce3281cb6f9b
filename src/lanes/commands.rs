//! A step of a lane as a list of commands, built once for all batches of one size. The lane's thread
//! runs it, barriers are counted on it, and it prints.

use std::fmt;
use std::ops::Range;

use super::exchange::Content;
use super::lane::{Lane, MicroBatch};
use super::schedule::{Instruction, program};
use super::tree::{self, Block, Tree};
use super::work::Job;
use crate::{Error, Result};

/// So many passes over micro-batches are submitted together at most.
const MOST_PENDING: usize = 64;

/// What crosses from one lane to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// The output of a stage's forward pass.
    Activations(MicroBatch),
    /// The gradient of a stage's input, with the scalars.
    Gradients(MicroBatch),
    /// A bucket of these blocks of the sums.
    Sums { bucket: usize, blocks: Range<usize> },
}

impl Transfer {
    pub(super) fn content(&self) -> Content {
        match self {
            Transfer::Activations(at) => Content::Activations(at.number),
            Transfer::Gradients(at) => Content::Gradients(at.number),
            Transfer::Sums { bucket, .. } => Content::Sums(*bucket),
        }
    }
}

/// One thing that a lane does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Brings rows of the batch, counted from its first, to the device.
    Upload(Range<usize>),
    /// Waits for a message of lane `from` and writes it to the device.
    Receive { from: usize, transfer: Transfer },
    /// Dispatches of a micro-batch, whose rows begin `row` rows behind the lane's first.
    Forward { at: MicroBatch, row: usize, dispatches: Range<usize> },
    /// Dispatches of a micro-batch, up to where the gradients of a bucket are complete, or to the end.
    Backward { at: MicroBatch, dispatches: Range<usize> },
    /// Copies the loss and the metrics' sums of a micro-batch to the sum at hand.
    CopyScalars(MicroBatch),
    /// Adds buckets of a block to the sum at hand, one dispatch per piece; for a micro-batch, or in
    /// the update.
    Add { block: usize, buckets: Range<usize>, pieces: usize, micro_batch: Option<usize> },
    /// Copies buckets of the sum at hand to a block.
    Store { block: usize, buckets: Range<usize> },
    /// Copies a block to the sum at hand.
    Load { block: usize },
    /// Copies what is to be sent to a staging buffer.
    Stage(Transfer),
    /// Sends what was staged, to a lane or to all others.
    Send { to: Option<usize>, transfer: Transfer },
    /// Moves the parameters.
    Update { dispatches: usize },
    /// Copies status and scalars to a staging buffer, perhaps with the training state.
    Report { state: bool },
    /// Submits what is recorded.
    Submit,
    /// Has the report read once the device is done with the step.
    ReadReport,
}

impl Command {
    fn dispatches(&self) -> usize {
        match self {
            Command::Forward { dispatches, .. } | Command::Backward { dispatches, .. } => {
                dispatches.len()
            }
            Command::Add { pieces, .. } => *pieces,
            Command::Update { dispatches } => *dispatches,
            _ => 0,
        }
    }

    /// Whether it is a pass of which a recorder notes the time.
    fn is_pass(&self) -> bool {
        matches!(
            self,
            Command::Forward { .. }
                | Command::Backward { .. }
                | Command::Add { .. }
                | Command::Update { .. }
        )
    }

    /// Whether it puts something into the encoder, which a submission then takes.
    fn is_recorded(&self) -> bool {
        !matches!(
            self,
            Command::Upload(_)
                | Command::Receive { .. }
                | Command::Send { .. }
                | Command::Submit
                | Command::ReadReport
        )
    }
}

/// What a lane does in a step, command by command; prints as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCommands {
    list: Vec<Command>,
}

/// What the commands of a step depend on, beside its lane and its batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepOptions {
    /// Stages of the pipeline; one for replicas.
    pub(super) stages: usize,
    /// Whether each pass is a submission of its own, to be timed by the host.
    pub(super) passes_apart: bool,
    /// Whether the training state comes back with the report.
    pub(super) state: bool,
}

impl StepCommands {
    /// What `lane` does for `job`, and for every job with as many rows.
    ///
    /// # Errors
    /// [`Error::Argument`] if the lane was made for other batches.
    pub(super) fn new(lane: &Lane, job: &Job, options: StepOptions) -> Result<Self> {
        let (stage, own) = match options.stages > 1 {
            true => (lane.role.number, 0),
            false => (0, lane.role.number),
        };
        let share = job.shares.get(own).cloned();
        let share = share.ok_or_else(|| Error::bug("a lane without a share of the step"))?;
        let blocks: Vec<Vec<Block>> = job.shares.iter().map(|s| tree::blocks(s.clone())).collect();
        let first_block = blocks.iter().take(own).map(Vec::len).sum();
        let rows = |end: usize, of: fn(&Range<usize>) -> usize| job.micro_batches.get(end).map(of);
        let begin = rows(share.start, |rows| rows.start).unwrap_or(0);
        let end = rows(share.end.wrapping_sub(1), |rows| rows.end).unwrap_or(0);
        let (passes_apart, tree) = (options.passes_apart, Tree::default());
        let (list, is_recording, pending) = (Vec::new(), false, 0);
        let mut builder = Builder {
            lane,
            job,
            share: share.clone(),
            own,
            blocks,
            first_block,
            passes_apart,
            first_row: begin,
            tree,
            list,
            is_recording,
            pending,
        };
        if lane.feed.is_some() && !share.is_empty() {
            builder.push(Command::Upload(begin..end.max(begin)));
        }
        for instruction in program(stage, options.stages, share) {
            match instruction {
                Instruction::Forward(m) => builder.forward(m)?,
                Instruction::Backward(m) => builder.backward(m)?,
                Instruction::Update => builder.update(options.state)?,
            }
        }
        Ok(Self { list: builder.list })
    }

    /// The commands, in the order in which they run.
    pub(super) fn list(&self) -> &[Command] {
        &self.list
    }

    /// Passes on the device, each a span in a timeline.
    pub fn passes(&self) -> usize {
        self.list.iter().filter(|command| command.is_pass()).count()
    }

    /// How often something is submitted to the device.
    pub fn submissions(&self) -> usize {
        self.list.iter().filter(|command| matches!(command, Command::Submit)).count()
    }

    /// Dispatches of all passes.
    pub fn dispatches(&self) -> usize {
        self.list.iter().map(Command::dispatches).sum()
    }
}

/// A list that grows.
struct Builder<'a> {
    lane: &'a Lane,
    job: &'a Job,
    /// The lane's micro-batches.
    share: Range<usize>,
    /// Which of the shares it is.
    own: usize,
    /// The blocks that each share sums to.
    blocks: Vec<Vec<Block>>,
    /// The number of the lane's first block.
    first_block: usize,
    passes_apart: bool,
    /// The first row of the share.
    first_row: usize,
    tree: Tree,
    list: Vec<Command>,
    /// Whether something is recorded that is not submitted.
    is_recording: bool,
    /// Passes over micro-batches since the last submission.
    pending: usize,
}

impl Builder<'_> {
    fn push(&mut self, command: Command) {
        self.is_recording |= command.is_recorded();
        self.list.push(command);
    }

    fn submit(&mut self) {
        self.pending = 0;
        if std::mem::take(&mut self.is_recording) {
            self.list.push(Command::Submit);
        }
    }

    fn receive(&mut self, from: usize, transfer: Transfer) {
        // Others may wait for what is recorded, and what is written must come after it.
        self.submit();
        self.push(Command::Receive { from, transfer });
    }

    fn micro_batch(&self, m: usize) -> Result<MicroBatch> {
        let rows = self.job.micro_batches.get(m).map_or(0, Range::len);
        self.lane.micro_batch(m, rows, self.job.rows.len(), m - self.share.start)
    }

    fn forward(&mut self, m: usize) -> Result<()> {
        let (lane, number) = (self.lane, self.lane.role.number);
        let at = self.micro_batch(m)?;
        let slot = lane.slot(at)?;
        if slot.x.is_some() {
            self.receive(number.wrapping_sub(1), Transfer::Activations(at));
        }
        let row = self.job.micro_batches.get(m).map_or(0, |rows| rows.start) - self.first_row;
        self.push(Command::Forward { at, row, dispatches: slot.executor.passes().0 });
        self.pending += 1;
        if slot.y.is_some() {
            self.send(Some(number + 1), [Transfer::Activations(at)]);
        } else if self.passes_apart {
            self.submit();
        }
        Ok(())
    }

    fn backward(&mut self, m: usize) -> Result<()> {
        let (lane, number) = (self.lane, self.lane.role.number);
        let at = self.micro_batch(m)?;
        let slot = lane.slot(at)?;
        if slot.dy.is_some() {
            self.receive(number + 1, Transfer::Gradients(at));
        }
        let buckets = lane.sum.buckets();
        // Only the last micro-batch completes sums that others wait for.
        let sends = m + 1 == self.share.end && lane.role.replicas > 1;
        let push = self.tree.push(Block::leaf(m));
        let Range { start: mut from, end: all } = slot.executor.passes().1;
        for part in 0..if sends { buckets } else { 1 } {
            let these = if sends { part..part + 1 } else { 0..buckets };
            let end = if sends { slot.ready.get(part).copied() } else { Some(all) };
            let end = end.ok_or_else(|| Error::bug("no such bucket"))?;
            self.push(Command::Backward { at, dispatches: from..end });
            self.pending += 1;
            from = end;
            if part == 0 {
                if slot.dy.is_none() {
                    self.push(Command::CopyScalars(at));
                }
                if slot.dx.is_some() {
                    self.send(Some(number.wrapping_sub(1)), [Transfer::Gradients(at)]);
                }
            }
            // The stage before need not wait for this.
            for &block in &push.adds {
                self.add(self.first_block + block, these.clone(), Some(m));
            }
            let block = self.first_block + push.store;
            self.push(Command::Store { block, buckets: these.clone() });
            if sends {
                let blocks = self.first_block..self.first_block + self.tree.blocks().len();
                let bucket = match lane.sum.bucket_bytes(part)? {
                    0 => None,
                    _ => Some(Transfer::Sums { bucket: part, blocks }),
                };
                self.send(None, bucket);
            } else if self.passes_apart || self.pending >= MOST_PENDING {
                self.submit();
            }
        }
        Ok(())
    }

    fn send(&mut self, to: Option<usize>, transfer: impl IntoIterator<Item = Transfer> + Clone) {
        for transfer in transfer.clone() {
            self.push(Command::Stage(transfer));
        }
        self.submit();
        for transfer in transfer {
            self.push(Command::Send { to, transfer });
        }
    }

    fn add(&mut self, block: usize, buckets: Range<usize>, micro_batch: Option<usize>) {
        let pieces = self.lane.sum.chunks(buckets.clone()).count();
        self.push(Command::Add { block, buckets, pieces, micro_batch });
    }

    fn update(&mut self, state: bool) -> Result<()> {
        let all = 0..self.lane.sum.buckets();
        if self.lane.role.replicas > 1 {
            self.receive_sums()?;
            let mut tree = Tree::default();
            let stack = self.lane.merge_stack;
            let blocks: Vec<Block> = self.blocks.iter().flatten().copied().collect();
            for (number, block) in blocks.into_iter().enumerate() {
                self.push(Command::Load { block: number });
                let push = tree.push(block);
                for above in push.adds {
                    self.add(stack + above, all.clone(), None);
                }
                self.push(Command::Store { block: stack + push.store, buckets: all.clone() });
            }
            for above in tree.finish() {
                self.add(stack + above, all.clone(), None);
            }
        } else {
            for above in self.tree.finish() {
                self.add(self.first_block + above, all.clone(), None);
            }
        }
        let dispatches = self.lane.update.plan().dispatches().len();
        self.push(Command::Update { dispatches });
        self.push(Command::Report { state });
        self.submit();
        self.push(Command::ReadReport);
        Ok(())
    }

    /// The sums of all other lanes.
    fn receive_sums(&mut self) -> Result<()> {
        self.submit();
        for bucket in 0..self.lane.sum.buckets() {
            let mut first = 0;
            for from in 0..self.blocks.len() {
                let blocks = first..first + self.blocks.get(from).map_or(0, Vec::len);
                first = blocks.end;
                let nothing = blocks.is_empty() || self.lane.sum.bucket_bytes(bucket)? == 0;
                if from != self.own && !nothing {
                    self.receive(from, Transfer::Sums { bucket, blocks });
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for StepCommands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.iter().try_for_each(|command| writeln!(f, "{command}"))?;
        write!(f, "{} submissions, {} dispatches", self.submissions(), self.dispatches())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Upload(rows) => write!(f, "upload rows {rows:?}"),
            Command::Receive { from, transfer } => write!(f, "receive {transfer} from lane {from}"),
            Command::Forward { at, dispatches, .. } => {
                write!(f, "forward {}: dispatches {dispatches:?}", at.number)
            }
            Command::Backward { at, dispatches } => {
                write!(f, "backward {}: dispatches {dispatches:?}", at.number)
            }
            Command::CopyScalars(at) => write!(f, "copy scalars {}", at.number),
            Command::Add { block, buckets, pieces, .. } => {
                write!(f, "add block {block}, buckets {buckets:?}: {pieces} dispatches")
            }
            Command::Store { block, buckets } => {
                write!(f, "store block {block}, buckets {buckets:?}")
            }
            Command::Load { block } => write!(f, "load block {block}"),
            Command::Stage(transfer) => write!(f, "stage {transfer}"),
            Command::Send { to: Some(to), transfer } => write!(f, "send {transfer} to lane {to}"),
            Command::Send { to: None, transfer } => write!(f, "send {transfer} to all lanes"),
            Command::Update { dispatches } => write!(f, "update: {dispatches} dispatches"),
            Command::Report { state: true } => write!(f, "stage report with state"),
            Command::Report { state: false } => write!(f, "stage report"),
            Command::Submit => write!(f, "submit"),
            Command::ReadReport => write!(f, "read report"),
        }
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transfer::Activations(at) => write!(f, "activations {}", at.number),
            Transfer::Gradients(at) => write!(f, "gradients {}", at.number),
            Transfer::Sums { bucket, blocks } => {
                write!(f, "sums, bucket {bucket}, blocks {blocks:?}")
            }
        }
    }
}
