//! A step of a lane as a list of commands, built once for all batches of one size. The lane's thread
//! runs it, barriers are counted on it, and it prints.

use std::fmt;
use std::ops::Range;

use super::exchange::Content;
use super::lane::{Lane, MicroBatch, Role};
use super::schedule::{Instruction, program};
use super::tree::{self, Block, Tree};
use super::wire::Wire;
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
    /// A bucket of these blocks of the sums, as whoever has them numbers them.
    Sums { bucket: usize, blocks: Range<usize> },
    /// A bucket of the sum of all replicas.
    Totals { bucket: usize },
}

impl Transfer {
    pub(super) fn content(&self) -> Content {
        match self {
            Transfer::Activations(at) => Content::Activations(at.number),
            Transfer::Gradients(at) => Content::Gradients(at.number),
            Transfer::Sums { bucket, .. } => Content::Sums(*bucket),
            Transfer::Totals { bucket } => Content::Totals(*bucket),
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
    /// Copies buckets of a block to the sum at hand.
    Load { block: usize, buckets: Range<usize> },
    /// Copies what is to be sent to a staging buffer.
    Stage(Transfer),
    /// Sends what was staged, to these lanes.
    Send { to: Vec<usize>, transfer: Transfer },
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
        let (stage, own) = (lane.role.stage_number, lane.role.replica);
        let share = job.shares.get(own).cloned();
        let share = share.ok_or_else(|| Error::bug("a lane without a share of the step"))?;
        let blocks: Vec<Vec<Block>> = job.shares.iter().map(|s| tree::blocks(s.clone())).collect();
        let first_block = blocks.iter().take(own).map(Vec::len).sum();
        // Where others' blocks have buffers of their own, so have the lane's.
        let own_block = if lane.role.has_owners { 0 } else { first_block };
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
            own_block,
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
        for instruction in program(stage, lane.role.grid.stages, share) {
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
    /// The number of the lane's first block among all, and among those that it has.
    first_block: usize,
    own_block: usize,
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
            self.send(vec![number + 1], [Transfer::Activations(at)]);
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
        let (buckets, all_parts) = (lane.role.buckets, lane.sum.buckets());
        // Only the last micro-batch completes sums that others wait for.
        let sends = m + 1 == self.share.end && lane.role.grid.replicas > 1;
        let parts = if lane.role.has_owners { lane.role.grid.replicas } else { 1 };
        let push = self.tree.push(Block::leaf(m));
        let Range { start: mut from, end: all } = slot.executor.passes().1;
        for part in 0..if sends { buckets } else { 1 } {
            let these = if sends { part * parts..(part + 1) * parts } else { 0..all_parts };
            let end = if sends { slot.ready.get(part).copied() } else { Some(all) };
            let end = end.ok_or_else(|| Error::bug("no such bucket"))?;
            self.push(Command::Backward { at, dispatches: from..end });
            self.pending += 1;
            from = end;
            // The first part has the gradient of the input, and nothing was added to the scalars yet.
            if part == 0 {
                if slot.dy.is_none() {
                    self.push(Command::CopyScalars(at));
                }
                if slot.dx.is_some() {
                    self.send(vec![number.wrapping_sub(1)], [Transfer::Gradients(at)]);
                }
            }
            // The stage before need not wait for this.
            for &block in &push.adds {
                self.add(self.own_block + block, these.clone(), Some(m));
            }
            let block = self.own_block + push.store;
            self.push(Command::Store { block, buckets: these.clone() });
            if sends {
                self.send_sums(these)?;
            } else if self.passes_apart || self.pending >= MOST_PENDING {
                self.submit();
            }
        }
        Ok(())
    }

    fn send(&mut self, to: Vec<usize>, transfer: impl IntoIterator<Item = Transfer>) {
        self.send_each(transfer.into_iter().map(|transfer| (to.clone(), transfer)).collect());
    }

    /// Sends these after one submission.
    fn send_each(&mut self, all: Vec<(Vec<usize>, Transfer)>) {
        for (_, transfer) in &all {
            self.push(Command::Stage(transfer.clone()));
        }
        self.submit();
        for (to, transfer) in all {
            self.push(Command::Send { to, transfer });
        }
    }

    /// The lanes that have this one's stage in the other replicas.
    fn others(&self) -> Vec<usize> {
        let Role { grid, replica, stage_number, .. } = self.lane.role;
        let others = (0..grid.replicas).filter(|&other| other != replica);
        others.map(|other| grid.lane(other, stage_number)).collect()
    }

    /// Sends these buckets of the lane's sums: to all others, or each to its owner.
    fn send_sums(&mut self, buckets: Range<usize>) -> Result<()> {
        let blocks = self.own_block..self.own_block + self.tree.blocks().len();
        let Role { grid, stage_number, has_owners, .. } = self.lane.role;
        let mut all = Vec::new();
        for bucket in buckets {
            let to = match has_owners {
                true => vec![grid.lane(bucket % grid.replicas.max(1), stage_number)],
                false => self.others(),
            };
            if self.lane.sum.bucket_bytes(bucket)? > 0 && to != [self.lane.role.number] {
                all.push((to, Transfer::Sums { bucket, blocks: blocks.clone() }));
            }
        }
        self.send_each(all);
        Ok(())
    }

    fn add(&mut self, block: usize, buckets: Range<usize>, micro_batch: Option<usize>) {
        let pieces = self.lane.sum.chunks(buckets.clone()).count();
        self.push(Command::Add { block, buckets, pieces, micro_batch });
    }

    fn update(&mut self, state: bool) -> Result<()> {
        let all = 0..self.lane.sum.buckets();
        let Role { grid, has_owners, .. } = self.lane.role;
        if grid.replicas > 1 && has_owners {
            self.submit();
            self.total_parts()?;
        } else if grid.replicas > 1 {
            self.submit();
            self.receive_sums(all.clone())?;
            self.merge(all);
        } else {
            for above in self.tree.finish() {
                self.add(self.own_block + above, all.clone(), None);
            }
        }
        let dispatches = self.lane.update.plan().dispatches().len();
        self.push(Command::Update { dispatches });
        self.push(Command::Report { state });
        self.submit();
        self.push(Command::ReadReport);
        Ok(())
    }

    /// Sums buckets of all replicas' blocks in the order of the tree.
    fn merge(&mut self, buckets: Range<usize>) {
        let mut tree = Tree::default();
        let stack = self.lane.merge_stack;
        let blocks: Vec<Block> = self.blocks.iter().flatten().copied().collect();
        for (number, block) in blocks.into_iter().enumerate() {
            self.push(Command::Load { block: self.place(number), buckets: buckets.clone() });
            let push = tree.push(block);
            for above in push.adds {
                self.add(stack + above, buckets.clone(), None);
            }
            self.push(Command::Store { block: stack + push.store, buckets: buckets.clone() });
        }
        for above in tree.finish() {
            self.add(stack + above, buckets.clone(), None);
        }
    }

    /// Where the lane has the block of this number among all.
    fn place(&self, number: usize) -> usize {
        let own =
            self.first_block..self.first_block + self.blocks.get(self.own).map_or(0, Vec::len);
        match own.contains(&number) {
            true => self.own_block + number - self.first_block,
            false => self.lane.received + number,
        }
    }

    /// Sums the lane's parts of all replicas' sums, sends them to the others, and takes theirs. So whatever the
    /// number of replicas, a lane sends and receives twice the gradients at most, if each share is one block.
    fn total_parts(&mut self) -> Result<()> {
        let Role { grid, stage_number, number, wire, .. } = self.lane.role;
        let (parts, is_rounded) = (self.lane.sum.buckets(), wire != Wire::F32);
        let owner = |part: usize| grid.lane(part % grid.replicas.max(1), stage_number);
        for part in (0..parts).filter(|&part| owner(part) == number) {
            if self.lane.sum.bucket_bytes(part)? > 0 {
                self.receive_sums(part..part + 1)?;
                self.merge(part..part + 1);
                let mut to = self.others();
                // What others have is rounded, and all are to have the same.
                to.extend(is_rounded.then_some(number));
                self.send(to, [Transfer::Totals { bucket: part }]);
            }
        }
        for part in (0..parts).filter(|&part| is_rounded || owner(part) != number) {
            if self.lane.sum.bucket_bytes(part)? > 0 {
                self.receive(owner(part), Transfer::Totals { bucket: part });
            }
        }
        Ok(())
    }

    /// These buckets of the sums of all other replicas.
    fn receive_sums(&mut self, buckets: Range<usize>) -> Result<()> {
        let Role { grid, stage_number, .. } = self.lane.role;
        for bucket in buckets {
            let mut first = 0;
            for from in 0..self.blocks.len() {
                let blocks = first..first + self.blocks.get(from).map_or(0, Vec::len);
                first = blocks.end;
                let nothing = blocks.is_empty() || self.lane.sum.bucket_bytes(bucket)? == 0;
                if from != self.own && !nothing {
                    let blocks = self.place(blocks.start)..self.place(blocks.start) + blocks.len();
                    self.receive(grid.lane(from, stage_number), Transfer::Sums { bucket, blocks });
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
            Command::Load { block, buckets } => {
                write!(f, "load block {block}, buckets {buckets:?}")
            }
            Command::Stage(transfer) => write!(f, "stage {transfer}"),
            Command::Send { to, transfer } => match to.as_slice() {
                [to] => write!(f, "send {transfer} to lane {to}"),
                to => write!(f, "send {transfer} to lanes {to:?}"),
            },
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
            Transfer::Totals { bucket } => write!(f, "the sum of all, bucket {bucket}"),
        }
    }
}
