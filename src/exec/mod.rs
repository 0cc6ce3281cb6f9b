//! Runs a plan on a device: owns what exists per device, records many steps into one submission,
//! and after the first step creates nothing.

mod capture;
mod parameters;
#[cfg(not(target_arch = "wasm32"))]
mod portion;
mod record;
mod ring;
mod serial;
mod snapshot;
mod status;
mod step;
mod values;
mod whole_step;

pub(crate) use capture::{Capture, Staging};
pub use parameters::Parameters;
pub(crate) use record::submit_all;
pub(crate) use ring::Numbers;
pub use ring::Results;
pub use snapshot::Snapshot;
pub(crate) use status::Halt;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use status::STATUS_BYTES;
pub use step::Step;
pub(crate) use step::corrects;
pub(crate) use whole_step::{Bindings, Figures, WholeStep};

use std::collections::VecDeque;
use std::sync::Arc;

use crate::gpu::{Buffer, Gpu, Pipeline, Texels};
use crate::graph::{DType, Role, Tensor, TensorInfo};
use crate::plan::{Place, Plan};
use crate::{Error, Result};
use ring::Ring;
use step::StepRecord;

/// Most steps in one submission.
pub const MAX_STEPS: usize = 64;

/// Segments of the step table and of the results table: recordings that may be under way at once.
const SEGMENTS: usize = 4;

/// What an executor shares with others or with the app.
#[derive(Debug, Default)]
pub struct ExecutorOptions {
    /// Parameters to use instead of zeroed ones of its own.
    pub parameters: Option<Parameters>,
    /// Buffers of the executor's device that hold inputs already. They need the usages `STORAGE`, and `COPY_SRC` or
    /// `COPY_DST` if the executor is asked to read or write them; `COPY_SRC` as well if a product in texels reads them,
    /// as large ones on software adapters do ([`Memory::Texels`](crate::kernel::matmul::Memory)).
    pub inputs: Vec<(Tensor, wgpu::Buffer)>,
}

/// A plan with everything it needs on one device.
#[derive(Debug)]
pub struct Executor {
    gpu: Gpu,
    plan: Plan,
    parameters: Parameters,
    inputs: Vec<Buffer>,
    /// Bytes of those that nobody else owns.
    #[cfg(not(target_arch = "wasm32"))]
    own_input_bytes: u64,
    slots: Vec<Buffer>,
    dispatches: Vec<Bound>,
    /// Where dispatches have the operands that they read as texels, one after another.
    texels: Vec<(&'static str, Texels)>,
    /// Constants and sizes; bound, and never written again.
    fixed: Vec<Buffer>,
    step_table: Buffer,
    /// The bytes of one step's records to the next step's.
    step_stride: u64,
    /// The numbers of steps that parameters missed; each has a record of every step.
    missed: Vec<u64>,
    results: Buffer,
    ring: Ring,
    segment: usize,
    /// Row of the step table for the next single record.
    #[cfg(not(target_arch = "wasm32"))]
    next_row: usize,
    /// Results taken in, and yet to be taken by the caller.
    arrived: VecDeque<Numbers>,
}

/// A dispatch with its pipeline and bindings.
#[derive(Debug)]
struct Bound {
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    /// Where its record lies among those of a step, in bytes, if it takes one.
    record: Option<u64>,
    grid: [u32; 2],
    /// What it wants copied before.
    copies: Vec<Copied>,
}

/// An operand that a dispatch reads as texels.
#[derive(Debug)]
struct Copied {
    /// Which of the executor's textures has it then.
    to: usize,
    buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
}

impl Executor {
    /// An executor with zeroed parameters and inputs of its own.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] and the other errors of the device.
    pub async fn new(gpu: &Gpu, plan: Plan) -> Result<Self> {
        Self::with_options(gpu, plan, ExecutorOptions::default()).await
    }

    /// An executor that shares parameters or inputs.
    ///
    /// # Errors
    /// As for [`Executor::new`]; and if what is shared does not fit the plan or is of another device.
    pub async fn with_options(gpu: &Gpu, plan: Plan, options: ExecutorOptions) -> Result<Self> {
        let states = plan.rule().map(crate::graph::UpdateRule::states);
        let parameters = match options.parameters {
            Some(parameters) => parameters,
            None => Parameters::with_precision(gpu, plan.arena(), states, plan.precision()).await?,
        };
        if parameters.layout() != plan.arena() {
            let (have, needed) = (parameters.layout().names(), plan.arena().names());
            let detail = format!(
                "the shared parameters are of another model: they are {have}, the plan's {needed}; \
                 share those of a model with the same layers, or give none for new ones"
            );
            return Err(Error::shape("executor", detail));
        }
        gpu.expect_same("the shared parameters", parameters.gpu())?;
        parameters.check_precision(plan.precision(), plan.moves_parameters())?;
        if states.is_some_and(|needed| parameters.states().is_none_or(|have| have < needed)) {
            let (have, needed) = (parameters.states().unwrap_or(0), states.unwrap_or(0));
            let detail = format!(
                "the shared parameters have room for {have} numbers of the optimizer's state each, \
                 and this one has {needed}; make them by `Parameters::new` with `Some({needed})`"
            );
            return Err(Error::shape("executor", detail));
        }
        for (position, (tensor, _)) in options.inputs.iter().enumerate() {
            let info = plan.known("executor", *tensor)?;
            let place = plan.place(*tensor);
            let again = |(other, _): &(Tensor, _)| plan.place(*other) == place;
            if !matches!(place, Place::Input(_)) {
                let detail = format!(
                    "'{}' has a buffer, but is no input that the plan reads; leave it out",
                    info.name
                );
                return Err(Error::shape("executor", detail));
            }
            if options.inputs.iter().take(position).any(again) {
                let detail = format!("'{}' has two buffers; give it one", info.name);
                return Err(Error::shape("executor", detail));
            }
        }
        let mut inputs = Vec::new();
        #[cfg(not(target_arch = "wasm32"))]
        let mut own_input_bytes = 0;
        for &tensor in plan.inputs() {
            let (name, bytes) = describe(&plan, tensor);
            let given = options.inputs.iter().find(|(t, _)| plan.place(*t) == plan.place(tensor));
            inputs.push(match given {
                Some((_, buffer)) if buffer.size() >= bytes => {
                    gpu.expect_buffer(&name, buffer)?;
                    Buffer::lent(buffer.clone())
                }
                Some((_, buffer)) => {
                    let needed = format!("at least {bytes}");
                    return Err(Error::argument(
                        &format!("size of the buffer for '{name}'"),
                        buffer.size(),
                        &needed,
                    ));
                }
                None => {
                    let own = gpu.buffer(&name, bytes).await?;
                    #[cfg(not(target_arch = "wasm32"))]
                    {
                        own_input_bytes += own.size();
                    }
                    own
                }
            });
        }
        let mut slots = Vec::new();
        for &bytes in &plan.memory().slots {
            slots.push(gpu.buffer("intermediate tensors", bytes).await?);
        }
        let record = size_of::<StepRecord>() as u64;
        let missed = plan.missed_steps();
        let step_stride =
            record.next_multiple_of(plan.target().alignment.into()) * missed.len() as u64;
        let table = step_stride * (MAX_STEPS * SEGMENTS) as u64;
        use wgpu::BufferUsages as Usage;
        let step_table =
            gpu.buffer_for("step table", table, Usage::UNIFORM | Usage::COPY_DST).await?;
        let results_bytes = (plan.columns() * MAX_STEPS * SEGMENTS * 4) as u64;
        let results = gpu.buffer("results", results_bytes).await?;
        let ring = Ring::new(gpu, plan.columns(), MAX_STEPS).await?;
        let mut executor = Self {
            gpu: gpu.clone(),
            plan,
            parameters,
            inputs,
            #[cfg(not(target_arch = "wasm32"))]
            own_input_bytes,
            slots,
            dispatches: Vec::new(),
            texels: Vec::new(),
            fixed: Vec::new(),
            step_table,
            step_stride,
            missed,
            results,
            ring,
            segment: 0,
            #[cfg(not(target_arch = "wasm32"))]
            next_row: 0,
            arrived: VecDeque::new(),
        };
        executor.bind().await?;
        Ok(executor)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Writes an input or a parameter of `f32`. What is NaN or infinite is refused, since one such
    /// number can reach every parameter; to compute with it all the same, write to the buffer that
    /// [`Executor::buffer_of`] gives through the queue.
    ///
    /// # Errors
    /// If the tensor is of another graph or the plan does not read it, if its element type or number of elements
    /// differs, or if a value is not finite.
    pub fn write(&self, tensor: Tensor, values: &[f32]) -> Result<()> {
        if let Place::Parameter(number) = self.plan.place(tensor) {
            return self.parameters.write(number, values);
        }
        let (buffer, info) = self.input(tensor, DType::F32, values.len())?;
        if let Some((at, value)) = crate::finite::first_not_finite(values) {
            let rule = "finite; replace it by a finite number or leave its row out";
            return Err(Error::argument(&format!("'{}'[{at}]", info.name), value, rule));
        }
        self.gpu.write(buffer, 0, bytemuck::cast_slice(values))
    }

    /// Writes an input of `u32`: indices or class labels. Each must be one: below the number of rows
    /// that it chooses from, or of classes. (What an app writes to a buffer of its own is not looked at:
    /// there an index past the last row gives a row of NaN, at which training halts.)
    ///
    /// # Errors
    /// As for [`Executor::write`]; and if a label is not below the number of classes, or an index not
    /// below the number of rows.
    pub fn write_indices(&self, tensor: Tensor, values: &[u32]) -> Result<()> {
        let (buffer, info) = self.input(tensor, DType::U32, values.len())?;
        let wrong = |bound| values.iter().position(|&value| value as usize >= bound);
        if let Some(rows) = self.plan.rows(tensor)
            && let Some(at) = wrong(rows)
        {
            let rule =
                format!("below {rows}, the number of rows that it chooses from, counted from 0");
            let name = format!("index '{}'[{at}]", info.name);
            return Err(Error::argument(&name, values[at], &rule));
        }
        if let Some(classes) = self.plan.classes(tensor)
            && let Some(at) = wrong(classes)
        {
            let rule = format!(
                "below {classes}, the number of classes; count labels from 0, or give the model \
                 more outputs"
            );
            let name = format!("label '{}'[{at}]", info.name);
            return Err(Error::argument(&name, values[at], &rule));
        }
        self.gpu.write(buffer, 0, bytemuck::cast_slice(values))
    }

    /// The buffer of an input that is to be given `elements` values.
    fn input(
        &self,
        tensor: Tensor,
        dtype: DType,
        elements: usize,
    ) -> Result<(&Buffer, &TensorInfo)> {
        let info = self.plan.known("write", tensor)?;
        let Place::Input(number) = self.plan.place(tensor) else {
            let detail = format!(
                "'{}' is neither an input nor a parameter of this plan; write to one of those",
                info.name
            );
            return Err(Error::shape("write", detail));
        };
        if info.dtype != dtype {
            let call = match info.dtype {
                DType::F32 | DType::F16 => "write",
                DType::U32 => "write_indices",
            };
            let detail =
                format!("'{}' holds {:?}, not {dtype:?}; use `{call}`", info.name, info.dtype);
            return Err(Error::shape("write", detail));
        }
        if info.shape.elements() != elements {
            let name = format!("number of values for '{}' ({})", info.name, info.shape);
            return Err(Error::argument(&name, elements, &info.shape.elements().to_string()));
        }
        match self.inputs.get(number) {
            Some(buffer) => Ok((buffer, info)),
            None => Err(self.not_kept(tensor)),
        }
    }

    /// Reads a tensor of `f32` that the plan keeps: an output, an input, a parameter, a gradient.
    ///
    /// # Errors
    /// If the plan does not keep it, or holds `u32`; the errors of the device.
    pub async fn read(&self, tensor: Tensor) -> Result<Vec<f32>> {
        self.holds(tensor, DType::F32)?;
        Ok(bytemuck::pod_collect_to_vec(&self.read_bytes(tensor).await?))
    }

    /// [`Executor::read`] by way of the buffer in `kept`, or a new one that is left there for the next time.
    pub(crate) async fn read_by_way_of(
        &self,
        kept: &mut Option<Buffer>,
        tensor: Tensor,
    ) -> Result<Vec<f32>> {
        let (_, bytes) = describe(&self.plan, tensor);
        let (buffer, offset) = self.buffer_of(tensor)?;
        let bytes = self.gpu.read_by_way_of(kept, buffer, offset, bytes).await?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Reads a tensor of `u32`.
    ///
    /// # Errors
    /// As for [`Executor::read`].
    pub async fn read_indices(&self, tensor: Tensor) -> Result<Vec<u32>> {
        self.holds(tensor, DType::U32)?;
        Ok(bytemuck::pod_collect_to_vec(&self.read_bytes(tensor).await?))
    }

    /// That `tensor`, which is to be read, is of the plan's graph and of this element type.
    fn holds(&self, tensor: Tensor, dtype: DType) -> Result<()> {
        let info = self.plan.known("read", tensor)?;
        if info.dtype == dtype {
            return Ok(());
        }
        let call = match info.dtype {
            DType::F32 | DType::F16 => "read",
            DType::U32 => "read_indices",
        };
        let detail = format!("'{}' holds {:?}, not {dtype:?}; use `{call}`", info.name, info.dtype);
        Err(Error::shape("read", detail))
    }

    async fn read_bytes(&self, tensor: Tensor) -> Result<Vec<u8>> {
        let (_, bytes) = describe(&self.plan, tensor);
        if let (Some(Role::Constant(value)), Place::Constant(_) | Place::Nowhere) =
            (self.plan.info(tensor).map(|info| info.role), self.plan.place(tensor))
        {
            return Ok(bytemuck::cast_slice(&vec![value; bytes as usize / 4]).to_vec());
        }
        let (buffer, offset) = self.buffer_of(tensor)?;
        self.gpu.read(buffer, offset, bytes).await
    }

    /// The buffer that holds an input, an output or a parameter, and the offset in it in bytes: for
    /// shaders of the app, without a copy to the host.
    ///
    /// In a browser the buffer is destroyed with the executor (or, for parameters, with the last
    /// executor or model that holds them), even if the app has a clone of it. Whoever writes to a parameter with
    /// mixed precision must then call [`Parameters::refresh_copies`].
    ///
    /// # Errors
    /// If the tensor is of another graph, or the plan does not keep it in a buffer.
    pub fn buffer_of(&self, tensor: Tensor) -> Result<(&wgpu::Buffer, u64)> {
        self.plan.known("buffer_of", tensor)?;
        if self.plan.keeps(tensor) { self.location(tensor) } else { Err(self.not_kept(tensor)) }
    }

    fn not_kept(&self, tensor: Tensor) -> Error {
        let name = self.plan.info(tensor).map_or("?", |info| info.name.as_str());
        Error::shape("read", format!("the plan does not keep '{name}'; list it among the outputs"))
    }

    fn location(&self, tensor: Tensor) -> Result<(&wgpu::Buffer, u64)> {
        use crate::kernel::Arena;
        let parameter = |arena, number| -> Result<(&wgpu::Buffer, u64)> {
            let entry = self.parameters.entry(number)?;
            Ok((self.parameters.buffer(arena, entry.chunk)?, entry.offset))
        };
        let buffer = match self.plan.place(tensor) {
            Place::Slot(slot) => self.slots.get(slot),
            Place::Input(number) => self.inputs.get(number),
            Place::Parameter(number) => return parameter(Arena::Values, number),
            Place::Gradient(number) => return parameter(Arena::Gradients, number),
            Place::Copy(_) | Place::Constant(_) | Place::Result(_) | Place::Nowhere => None,
        };
        let offset = self.plan.offset(tensor);
        buffer.map(|buffer| (&**buffer, offset)).ok_or_else(|| self.not_kept(tensor))
    }
}

fn describe(plan: &Plan, tensor: Tensor) -> (String, u64) {
    plan.info(tensor).map_or_else(
        || (format!("#{}", tensor.index()), 0),
        |info| (info.name.clone(), info.bytes()),
    )
}
