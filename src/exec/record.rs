//! Binding a plan's dispatches, recording steps and submitting them.

use wgpu::BindingResource;

use super::ring::DEPTH as RESULTS;
use super::serial::Serial;
use super::{
    Bound, Copied, Executor, Halt, MAX_STEPS, Numbers, Results, SEGMENTS, Step, StepRecord,
};
use crate::gpu::{Buffer, Gpu, Pipeline, Texels};
use crate::graph::Tensor;
use crate::kernel::reflect::{self, Access};
use crate::kernel::{Arena, Operand, grid};
use crate::plan::{Dispatch, Place};
use crate::{Error, Result};

impl Executor {
    /// Compiles every pipeline and creates every bind group: nothing is created after this.
    pub(super) async fn bind(&mut self) -> Result<()> {
        let constants = self.constants().await?;
        let stride = u64::from(self.plan.target().alignment);
        let (uniforms, offsets) = self.uniforms(stride).await?;
        self.texels = self.texels().await?;
        let mut bound = Vec::new();
        for (dispatch, offset) in self.plan.dispatches().iter().zip(offsets) {
            bound.push(self.bind_dispatch(dispatch, &constants, &uniforms, offset).await?);
        }
        self.dispatches = bound;
        self.fixed = constants;
        self.fixed.push(uniforms);
        Ok(())
    }

    async fn constants(&self) -> Result<Vec<Buffer>> {
        let mut buffers = Vec::new();
        for &(tensor, value) in self.plan.constants() {
            let elements = self.plan.info(tensor).map_or(1, |info| info.shape.elements());
            let buffer = self.gpu.buffer("constant", elements as u64 * 4).await?;
            self.gpu.write(&buffer, 0, bytemuck::cast_slice(&vec![value; elements]))?;
            buffers.push(buffer);
        }
        Ok(buffers)
    }

    /// The `dims` of all dispatches in one buffer, with the offset of each.
    async fn uniforms(&self, stride: u64) -> Result<(Buffer, Vec<u64>)> {
        let mut words: Vec<u32> = Vec::new();
        let mut offsets = Vec::new();
        for dispatch in self.plan.dispatches() {
            offsets.push(words.len() as u64 * 4);
            words.extend(&dispatch.launch.dims);
            words.resize((words.len() as u64 * 4).next_multiple_of(stride) as usize / 4, 0);
        }
        use wgpu::BufferUsages as Usage;
        let bytes = words.len() as u64 * 4;
        let buffer = self.gpu.buffer_for("dims", bytes, Usage::UNIFORM | Usage::COPY_DST).await?;
        self.gpu.write(&buffer, 0, bytemuck::cast_slice(&words))?;
        Ok((buffer, offsets))
    }

    /// A texture for each name under which dispatches read texels, with room for the largest operand.
    async fn texels(&self) -> Result<Vec<(&'static str, Texels)>> {
        let mut rooms: Vec<(&'static str, u64)> = Vec::new();
        for dispatch in self.plan.dispatches() {
            let bindings = reflect::bindings(&dispatch.launch.parts);
            for binding in bindings.iter().filter(|binding| binding.access == Access::Texels) {
                let bytes = match dispatch.launch.operand(binding.name)? {
                    Operand::Tensor(tensor) => self.bytes_of(tensor),
                    Operand::Results | Operand::Status | Operand::Arena(..) => 0,
                };
                match rooms.iter_mut().find(|(name, _)| *name == binding.name) {
                    Some((_, room)) => *room = bytes.max(*room),
                    None => rooms.push((binding.name, bytes)),
                }
            }
        }
        let mut texels = Vec::new();
        for (name, room) in rooms {
            texels.push((name, Texels::new(&self.gpu, room).await?));
        }
        Ok(texels)
    }

    fn bytes_of(&self, tensor: Tensor) -> u64 {
        self.plan.info(tensor).map_or(0, |info| info.bytes())
    }

    async fn bind_dispatch(
        &self,
        dispatch: &Dispatch,
        constants: &[Buffer],
        uniforms: &wgpu::Buffer,
        dims_offset: u64,
    ) -> Result<Bound> {
        let launch = &dispatch.launch;
        let pipeline = self.gpu.pipeline(&launch.parts, &launch.constants).await?;
        let (mut entries, mut copies) = (Vec::new(), Vec::new());
        for binding in &pipeline.bindings {
            let resource = if Pipeline::is_step(binding) {
                range(&self.step_table, 0, size_of::<StepRecord>() as u64)
            } else if binding.access == Access::Uniform {
                range(uniforms, dims_offset, launch.dims.len() as u64 * 4)
            } else {
                let resource = self.operand(launch.operand(binding.name)?, constants)?;
                match binding.access {
                    Access::Texels => {
                        let (copied, texels) = self.copied(binding.name, &resource)?;
                        copies.push(copied);
                        BindingResource::TextureView(texels.view())
                    }
                    _ => resource,
                }
            };
            entries.push(wgpu::BindGroupEntry { binding: binding.index, resource });
        }
        self.gpu.tally().bind_groups.add(1);
        let bind_group = self
            .gpu
            .scoped(&format!("binding {}", launch.name), || {
                self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(&launch.name),
                    layout: &pipeline.layout,
                    entries: &entries,
                })
            })
            .await?;
        let record = self.missed.iter().position(|&missed| missed == dispatch.missed);
        let record = record.filter(|_| pipeline.bindings.iter().any(Pipeline::is_step));
        let record = record.map(|number| number as u64 * self.record_stride());
        let grid = grid(launch.workgroups, self.plan.target().max_workgroups);
        Ok(Bound { pipeline, bind_group, record, grid, copies })
    }

    /// What is to be copied so that the texture of this name has what lies in `resource`.
    fn copied(&self, name: &str, resource: &BindingResource<'_>) -> Result<(Copied, &Texels)> {
        let texels = self.texels.iter().enumerate().find(|(_, (of, _))| *of == name);
        let (Some((to, (_, texels))), BindingResource::Buffer(range)) = (texels, resource) else {
            return Err(Error::bug(format!("'{name}' cannot be read as texels")));
        };
        let (buffer, offset) = (range.buffer.clone(), range.offset);
        if !buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            let rule =
                "with COPY_SRC: large products read operands on this adapter through a texture";
            return Err(Error::argument(
                "usages of an input's buffer",
                format!("{:?}", buffer.usage()),
                rule,
            ));
        }
        let bytes = range.size.map_or(buffer.size() - offset, std::num::NonZero::get);
        Ok((Copied { to, buffer, offset, bytes }, texels))
    }

    fn operand<'a>(
        &'a self,
        operand: Operand,
        constants: &'a [Buffer],
    ) -> Result<BindingResource<'a>> {
        let tensor = match operand {
            Operand::Results => return Ok(self.results.as_entire_binding()),
            Operand::Status => return Ok(self.parameters.status().as_entire_binding()),
            Operand::Arena(arena, chunk) => {
                return Ok(self.parameters.buffer(arena, chunk)?.as_entire_binding());
            }
            Operand::Tensor(tensor) => tensor,
        };
        let bytes = self.bytes_of(tensor);
        if let Place::Constant(number) = self.plan.place(tensor)
            && let Some(buffer) = constants.get(number)
        {
            return Ok(range(buffer, 0, bytes));
        }
        if let Place::Copy(number) = self.plan.place(tensor) {
            let entry = self.parameters.entry(number)?;
            let (at, beyond) = entry.copy_at(self.plan.target().alignment);
            let buffer = self.parameters.buffer(Arena::Copies, entry.chunk)?;
            return Ok(range(buffer, at, beyond + bytes));
        }
        let (buffer, offset) = self.location(tensor)?;
        Ok(range(buffer, offset, bytes))
    }

    /// Records `steps` (at most [`MAX_STEPS`]) into the caller's encoder; their records are written
    /// through the queue, so the encoder must be submitted after this call. If the plan has results
    /// or trains, follow the submission with [`Executor::submitted`], and take the results of each:
    /// at most four may wait.
    ///
    /// # Errors
    /// If there are too many steps, one begins past the last batch, or too many results wait to be taken (those of an
    /// encoder that was dropped do not count); if the plan trains and a step does not ([`Step::forward`]), or does by
    /// another rule; [`Error::Argument`] if `encoder` is of another device and wgpu can tell: where it cannot,
    /// finishing the encoder is refused.
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder, steps: &[Step]) -> Result<()> {
        // A plan without results in which no step can go wrong has nothing to tell the host.
        let reports = self.plan.columns() > 0 || self.plan.reports();
        let recorded = recorded(|| self.record_steps(encoder, steps, reports));
        let first = recorded.unwrap_or_else(|| {
            let rule = format!("the executor's, {}", self.gpu.describe());
            Err(Error::argument("the encoder's device", "another", &rule))
        })?;
        if reports {
            self.ring.watch(encoder, first);
        }
        Ok(())
    }

    /// The bytes of one record to the next.
    pub(super) fn record_stride(&self) -> u64 {
        self.step_stride / self.missed.len().max(1) as u64
    }

    /// Writes the records of `step` under `serial` to a row of the table, one for each number of steps that parameters
    /// missed; its results go to `result_row`.
    ///
    /// # Errors
    /// [`Error::Argument`] if it begins past the last whole batch, does not suit the plan or has a learning
    /// rate that is not finite.
    pub(super) fn write_records(
        &self,
        step: &Step,
        serial: Serial,
        result_row: u32,
        row: &mut [u8],
    ) -> Result<()> {
        if let Some(last) = self.plan.last_batch_start()
            && step.batch_start as usize > last
        {
            let rule = format!("at most {last}, from where a whole batch is left");
            return Err(Error::argument("batch_start of a step", step.batch_start, &rule));
        }
        check_rate(step)?;
        for (&missed, bytes) in
            self.missed.iter().zip(row.chunks_mut(self.record_stride() as usize))
        {
            let record = StepRecord::new(step, self.plan.rule(), missed, serial, result_row)?;
            let start = bytes.get_mut(..size_of::<StepRecord>());
            let start = start.ok_or_else(|| Error::bug("a row too short for a step's record"))?;
            start.copy_from_slice(bytemuck::bytes_of(&record));
        }
        Ok(())
    }

    /// Returns the serial number of the first.
    fn record_steps(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        steps: &[Step],
        reports: bool,
    ) -> Result<Serial> {
        check_count(steps)?;
        if reports && !self.ring.has_room() {
            let rule = "fewer; take results between them";
            return Err(Error::argument(
                "recordings whose results wait to be taken",
                RESULTS,
                rule,
            ));
        }
        let first = self.segment * MAX_STEPS;
        let serial = self.parameters.serials().draw(steps.len());
        let mut table = vec![0; steps.len() * self.step_stride as usize];
        let rows = table.chunks_exact_mut(self.step_stride as usize);
        for (row, (bytes, step)) in rows.zip(steps).enumerate() {
            let result_row = (first + row) as u32;
            self.write_records(step, serial.after(row), result_row, bytes)?;
        }
        self.segment = (self.segment + 1) % SEGMENTS;
        let offset = first as u64 * self.step_stride;
        self.gpu.write_of_step(&self.step_table, offset, &table)?;
        let mut pass = None;
        for row in 0..steps.len() {
            let begin = |encoder: &mut wgpu::CommandEncoder, _| {
                encoder.begin_compute_pass(&Default::default()).forget_lifetime()
            };
            self.record_dispatches(encoder, &mut pass, first + row, &self.dispatches, begin)?;
        }
        drop(pass);
        if reports {
            let status = self.parameters.status();
            let results = (&*self.results, first);
            self.ring.record(encoder, results, status, (serial, steps.len()))?;
        }
        Ok(serial)
    }

    /// Records `dispatches` with the step's record in `row`, in `pass`: with `begin` a new one where there is none, and
    /// after copies, which no pass has. `begin` is told which of the dispatches comes first in it.
    pub(super) fn record_dispatches(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        pass: &mut Option<wgpu::ComputePass<'static>>,
        row: usize,
        dispatches: &[Bound],
        begin: impl Fn(&mut wgpu::CommandEncoder, usize) -> wgpu::ComputePass<'static>,
    ) -> Result<()> {
        let row = row as u64 * self.step_stride;
        for (number, bound) in dispatches.iter().enumerate() {
            if !bound.copies.is_empty() {
                *pass = None;
            }
            for Copied { to, buffer, offset, bytes } in &bound.copies {
                let (_, texels) =
                    self.texels.get(*to).ok_or_else(|| Error::bug("a texture that is missing"))?;
                texels.fill(encoder, (buffer, *offset), *bytes);
            }
            let pass = pass.get_or_insert_with(|| begin(encoder, number));
            pass.set_pipeline(&bound.pipeline.pipeline);
            let offset = bound.record.map(|record| (row + record) as u32);
            pass.set_bind_group(0, &bound.bind_group, offset.as_slice());
            pass.dispatch_workgroups(bound.grid[0], bound.grid[1], 1);
        }
        self.gpu.tally().dispatches.add(dispatches.len() as u64);
        Ok(())
    }

    /// Says that all that [`Executor::record`] recorded was submitted, so that results can come back, but
    /// for what lay in encoders that were dropped instead.
    pub fn submitted(&mut self) {
        self.ring.submitted(&self.gpu);
    }

    /// Runs `steps` (at most [`MAX_STEPS`]) in one submission. Does not wait for the device unless
    /// four submissions' results are under way; given up in that wait, nothing is submitted.
    ///
    /// # Errors
    /// Those of [`Executor::record`] and of the device.
    pub async fn submit(&mut self, steps: &[Step]) -> Result<()> {
        check_count(steps)?;
        self.make_room().await?;
        let gpu = self.gpu.clone();
        submit_all(&gpu, &mut [(self, steps)], || {}).await
    }

    /// Makes sure that another recording's results have room, taking the oldest ones in if not.
    pub(crate) async fn make_room(&mut self) -> Result<()> {
        while !self.ring.has_room() && self.take_in().await? {}
        Ok(())
    }

    /// Whether [`Executor::results`] would return at once.
    pub fn is_ready(&self) -> bool {
        !self.arrived.is_empty() || self.ring.is_ready()
    }

    /// Takes in the oldest results under way, waiting for them. Says whether there were any.
    async fn take_in(&mut self) -> Result<bool> {
        let taken = self.ring.take(&self.gpu).await?;
        let any = taken.is_some();
        self.arrived.extend(taken);
        Ok(any)
    }

    /// Waits until [`Executor::arrived`] has the oldest results, if there are any.
    pub(crate) async fn arrive(&mut self) -> Result<()> {
        if self.arrived.is_empty() {
            self.take_in().await?;
        }
        Ok(())
    }

    /// The oldest results, if they have been taken in.
    pub(crate) fn arrived(&mut self) -> Option<Numbers> {
        self.arrived.pop_front()
    }

    /// The results of the oldest submission not yet taken, waiting for them; `None` if there are
    /// none. If the wait is given up they stay the oldest.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn results(&mut self) -> Result<Option<Results>> {
        self.arrive().await?;
        Ok(self.arrived().map(|numbers| self.ring.rows(numbers)))
    }

    /// As [`Executor::results`], but only what is here already.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn results_ready(&mut self) -> Result<Option<Results>> {
        if self.is_ready() { self.results().await } else { Ok(None) }
    }

    /// Runs any number of steps and waits for them; returns their results, a row per step. Results of
    /// earlier submissions that nobody took stay for [`Executor::results`]; so do those of these steps
    /// if the wait for them is given up.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if the plan trains or assigns and the loss or a parameter of a step was NaN or
    /// infinite: neither that step nor a later one moved the parameters (but those that still could,
    /// where only a parameter was not finite), and none will until
    /// [`Parameters::clear_status`](super::Parameters::clear_status). Its `loss` is `None` if the loss is
    /// not among the plan's results, or the step was an earlier submission's. [`Error::NotANumber`] if a step
    /// asked a row with NaN for its largest or smallest element; where the plan moves parameters, none moves any
    /// more, as before. Besides, the errors of the device.
    pub async fn run(&mut self, steps: &[Step]) -> Result<Vec<Vec<f32>>> {
        let others = self.arrived.len() + self.ring.under_way();
        for chunk in steps.chunks(MAX_STEPS) {
            self.submit(chunk).await?;
        }
        while self.take_in().await? {}
        let (mut rows, mut halted) = (Vec::new(), None);
        for numbers in self.arrived.split_off(others) {
            let row = numbers.halted_row.map(|row| rows.len() + row);
            halted = halted.or(numbers.halt.map(|halt| (halt, row)));
            rows.extend(self.ring.rows(numbers).rows);
        }
        match halted {
            Some((halt, _)) if halt.by_extreme && self.plan.reports() => {
                // What moves no parameters has none to keep from moving.
                if !self.plan.moves_parameters() {
                    self.parameters.clear_status()?;
                }
                Err(Error::NotANumber { step: halt.number })
            }
            Some((Halt { number: step, .. }, row)) if self.plan.moves_parameters() => {
                let row = row.and_then(|row| rows.get(row));
                let loss = row.and_then(|row| row.get(self.plan.loss_column()?));
                let (loss, mixed) = (loss.copied(), self.plan.precision().is_mixed());
                Err(Error::NotFinite { step, epoch: 0, loss, mixed })
            }
            _ => Ok(rows),
        }
    }
}

/// Runs steps of several executors of one device in one submission, each at most [`MAX_STEPS`] and none if
/// there are none. All have room for their results. As soon as it is submitted, before anything is waited
/// for, `then` is called.
///
/// # Errors
/// Those of [`Executor::record`] and of the device; then no results are under way.
pub(crate) async fn submit_all(
    gpu: &Gpu,
    parts: &mut [(&mut Executor, &[Step])],
    then: impl FnOnce(),
) -> Result<()> {
    let mut serials = Vec::new();
    let submitted = gpu.scoped_of_step("a submission", || {
        let mut encoder = gpu.encoder();
        for (executor, steps) in parts.iter_mut().filter(|(_, steps)| !steps.is_empty()) {
            // Reports always, so that whoever runs steps can wait for them.
            serials.push(executor.record_steps(&mut encoder, steps, true)?);
        }
        gpu.send(encoder);
        for (executor, _) in parts.iter_mut() {
            serials.iter().for_each(|&first| executor.ring.sent(gpu, first));
        }
        then();
        Ok(())
    });
    let submitted = submitted.await.and_then(|recorded| recorded);
    if submitted.is_err() {
        for (executor, _) in parts.iter_mut() {
            serials.iter().for_each(|&first| executor.ring.retract(first));
        }
    }
    submitted
}

/// # Errors
/// [`Error::Argument`] if the step trains with a learning rate that is not finite.
pub(super) fn check_rate(step: &Step) -> Result<()> {
    match step.learning_rate() {
        Some(rate) if !rate.is_finite() => {
            Err(Error::argument("learning rate of a step", rate, "finite"))
        }
        _ => Ok(()),
    }
}

fn check_count(steps: &[Step]) -> Result<()> {
    match steps.len() {
        1..=MAX_STEPS => Ok(()),
        count => Err(Error::argument("steps", count, &format!("1 to {MAX_STEPS}"))),
    }
}

/// What `record` returns; nothing if the encoder is of an instance of wgpu that does not know a pipeline
/// or a buffer, since wgpu 30 panics then.
#[cfg(not(target_arch = "wasm32"))]
fn recorded<T>(record: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(record)).ok()
}

/// In a browser there is one instance.
#[cfg(target_arch = "wasm32")]
fn recorded<T>(record: impl FnOnce() -> T) -> Option<T> {
    Some(record())
}

fn range(buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> BindingResource<'_> {
    BindingResource::Buffer(wgpu::BufferBinding {
        buffer,
        offset,
        size: std::num::NonZeroU64::new(bytes),
    })
}
