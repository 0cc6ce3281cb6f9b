//! The parameters of a model on a device, shared by all of its executors.

use std::sync::Arc;

use super::serial::Serials;
use super::status::{Halt, STATUS_BYTES};
use super::values::Values;
use crate::gpu::{Buffer, Gpu};
use crate::kernel::Arena;
use crate::plan::{ArenaEntry, ArenaLayout, Precision};
use crate::{Error, Result};

/// Parameter values with their gradients and the optimizer's state. Cloning is cheap and yields
/// the same buffers.
#[derive(Clone, Debug)]
pub struct Parameters {
    shared: Arc<Arenas>,
}

#[derive(Debug)]
struct Arenas {
    gpu: Gpu,
    layout: ArenaLayout,
    values: Values,
    gradients: Vec<Buffer>,
    states: Vec<Vec<Buffer>>,
    status: Buffer,
    serials: Serials,
}

impl Parameters {
    /// Zeroed parameters. With `states` given there is room for gradients and for that many values
    /// of optimizer state per parameter.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] and the other errors of the device.
    pub async fn new(gpu: &Gpu, layout: &ArenaLayout, states: Option<usize>) -> Result<Self> {
        Self::with_precision(gpu, layout, states, Precision::F32).await
    }

    /// The same for plans of this `precision`: with [`Precision::Mixed`] there are copies of the values in 16 bits,
    /// half as much memory again. A plan that trains them must be of the same precision.
    ///
    /// # Errors
    /// As for [`Parameters::new`].
    pub async fn with_precision(
        gpu: &Gpu,
        layout: &ArenaLayout,
        states: Option<usize>,
        precision: Precision,
    ) -> Result<Self> {
        let with_copies = precision.is_mixed();
        let arena = async |label: &str| -> Result<Vec<Buffer>> {
            let mut buffers = Vec::new();
            for &bytes in &layout.chunks {
                buffers.push(gpu.buffer(label, bytes).await?);
            }
            Ok(buffers)
        };
        let mut state_buffers = Vec::new();
        for _ in 0..states.unwrap_or(0) {
            state_buffers.push(arena("optimizer state").await?);
        }
        Ok(Self {
            shared: Arc::new(Arenas {
                values: Values::new(gpu, "parameters", layout, with_copies).await?,
                gradients: if states.is_some() { arena("gradients").await? } else { Vec::new() },
                states: state_buffers,
                status: gpu.buffer("status", STATUS_BYTES).await?,
                serials: Serials::default(),
                layout: layout.clone(),
                gpu: gpu.clone(),
            }),
        })
    }

    /// Where each parameter lies.
    pub fn layout(&self) -> &ArenaLayout {
        &self.shared.layout
    }

    /// Values of optimizer state per parameter, `None` without room for training.
    pub fn states(&self) -> Option<usize> {
        (!self.shared.gradients.is_empty() || self.shared.layout.chunks.is_empty())
            .then_some(self.shared.states.len())
    }

    /// The device they lie on.
    pub fn gpu(&self) -> &Gpu {
        &self.shared.gpu
    }

    /// Writes parameter `number`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such parameter or `values` has another length;
    /// [`Error::Argument`] if a value is not finite.
    pub fn write(&self, number: usize, values: &[f32]) -> Result<()> {
        self.check(number, values)?;
        let entry = self.entry(number)?;
        self.shared.values.write(&self.shared.gpu, entry, values)
    }

    /// Writes all of them, in their order.
    ///
    /// # Errors
    /// [`Error::Argument`] if their number, a length or a value does not fit; then none is written.
    pub fn write_all(&self, all: &[Vec<f32>]) -> Result<()> {
        let entries = &self.layout().entries;
        if all.len() != entries.len() {
            let rule = format!(
                "{} ({}); give their values in the order of `Model::weights`",
                entries.len(),
                self.layout().names()
            );
            return Err(Error::argument("number of parameters", all.len(), &rule));
        }
        for (number, values) in all.iter().enumerate() {
            self.check(number, values)?;
        }
        all.iter().enumerate().try_for_each(|(number, values)| self.write(number, values))
    }

    /// Whether [`Parameters::write`] would take `values`.
    pub(crate) fn check(&self, number: usize, values: &[f32]) -> Result<()> {
        let entry = self.entry(number)?;
        let elements = entry.shape.elements();
        if values.len() != elements {
            let name = format!("number of values for '{}' ({})", entry.name, entry.shape);
            return Err(Error::argument(&name, values.len(), &elements.to_string()));
        }
        if let Some((position, value)) = crate::finite::first_not_finite(values) {
            let name = format!("'{}'[{position}]", entry.name);
            return Err(Error::argument(&name, value, "finite"));
        }
        Ok(())
    }

    /// Reads parameter `number`.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such parameter; the errors of the device.
    pub async fn read(&self, number: usize) -> Result<Vec<f32>> {
        self.read_arena(Arena::Values, number).await
    }

    /// Reads the gradient of parameter `number` as the last step left it. A whole-step kernel keeps
    /// its gradients to itself: they are those of the last step of the general kernels.
    ///
    /// # Errors
    /// As for [`Parameters::read`], and without room for training.
    pub async fn read_gradient(&self, number: usize) -> Result<Vec<f32>> {
        self.read_arena(Arena::Gradients, number).await
    }

    async fn read_arena(&self, arena: Arena, number: usize) -> Result<Vec<f32>> {
        let entry = self.entry(number)?;
        let buffer = self.buffer(arena, entry.chunk)?;
        let bytes = self.shared.gpu.read(buffer, entry.offset, entry.shape.bytes() as u64).await?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Makes the copies in 16 bits of [mixed precision](Precision::Mixed) anew, by way of the host: after a program has
    /// written to a buffer of [`Parameters::buffer`] or [`Executor::buffer_of`](super::Executor::buffer_of) itself. All
    /// other calls keep them up to date. Submit no step and write nothing until it returns: the copies are those of the
    /// values that it read.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn refresh_copies(&self) -> Result<()> {
        if self.has_copies() {
            for (number, values) in self.read_all().await?.iter().enumerate() {
                let entry = self.entry(number)?;
                self.shared.values.write_copy(&self.shared.gpu, entry, values)?;
            }
        }
        Ok(())
    }

    /// Reads all parameters, in their order.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn read_all(&self) -> Result<Vec<Vec<f32>>> {
        let mut all = Vec::new();
        for number in 0..self.shared.layout.entries.len() {
            all.push(self.read(number).await?);
        }
        Ok(all)
    }

    /// The buffer of a chunk, for kernels and for apps that draw from it. Whoever writes to values with mixed
    /// precision must then call [`Parameters::refresh_copies`].
    ///
    /// # Errors
    /// [`Error::Argument`] if the arena has no such chunk: without room for training there are no
    /// gradients and no states.
    pub fn buffer(&self, arena: Arena, chunk: usize) -> Result<&wgpu::Buffer> {
        let shared = &self.shared;
        let buffers = match arena {
            Arena::Values => Some(shared.values.numbers()),
            Arena::Copies => Some(shared.values.copies()),
            Arena::Gradients => Some(&*shared.gradients),
            Arena::State(number) => shared.states.get(number).map(|state| &**state),
        };
        buffers.and_then(|buffers| buffers.get(chunk)).map(|buffer| &**buffer).ok_or_else(|| {
            Error::argument(
                "chunk",
                format!("{chunk} of {arena:?}"),
                "one that these parameters have room for",
            )
        })
    }

    /// Forgets the gradients, the optimizer's state and that a step was not finite. The values stay, as
    /// do the step, the epoch and the learning rate, which are the model's:
    /// [`Model::reset`](crate::train::Model::reset) goes back to the start with all of them.
    ///
    /// # Errors
    /// The errors of the device.
    pub fn reset(&self) -> Result<()> {
        let shared = &self.shared;
        for buffer in shared.gradients.iter().chain(shared.states.iter().flatten()) {
            shared.gpu.write(buffer, 0, &vec![0; buffer.size() as usize])?;
        }
        self.clear_status()
    }

    /// Forgets that a step was not finite, so that steps move the parameters again; the optimizer's
    /// state stays as it is.
    ///
    /// # Errors
    /// The errors of the device.
    pub fn clear_status(&self) -> Result<()> {
        self.shared.gpu.write(&self.shared.status, 0, &[0; STATUS_BYTES as usize])
    }

    /// The first step that was not finite, if one was.
    ///
    /// # Errors
    /// The errors of the device.
    pub(crate) async fn halt(&self) -> Result<Option<Halt>> {
        let shared = &self.shared;
        Halt::read(&shared.gpu.read(&shared.status, 0, STATUS_BYTES).await?)
    }

    /// Bytes of all arenas and of the status.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn bytes(&self) -> u64 {
        let shared = &self.shared;
        let states = shared.states.iter().flatten();
        let values = shared.values.numbers().iter().chain(shared.values.copies());
        let arenas = values.chain(&shared.gradients).chain(states);
        arenas.chain([&shared.status]).map(|buffer| buffer.size()).sum()
    }

    pub(super) fn values(&self) -> &Values {
        &self.shared.values
    }

    /// Whether they have copies in 16 bits.
    pub(crate) fn has_copies(&self) -> bool {
        !self.shared.values.copies().is_empty()
    }

    /// That kernels of this precision may use these parameters: with copies in 16 bits if they read or, where they move
    /// the values, write such.
    ///
    /// # Errors
    /// [`Error::Shape`] otherwise.
    pub(super) fn check_precision(&self, plan: Precision, moves: bool) -> Result<()> {
        let (mixed, empty) = (plan.is_mixed(), self.layout().chunks.is_empty());
        let detail = match (mixed, self.has_copies()) {
            (true, false) if !empty => {
                "the plan is of mixed precision, and the shared parameters have no copies in 16 bits; make them by \
                 `Parameters::with_precision`, or a model's by `TrainingConfig::precision`"
            }
            (false, true) if moves => {
                "the shared parameters have copies in 16 bits, which a plan of 32 bits would leave as they are; give the \
                 plan the same `PlanOptions::precision`"
            }
            _ => return Ok(()),
        };
        Err(Error::shape("executor", detail))
    }

    /// Where steps that use these parameters draw their serial numbers.
    pub(super) fn serials(&self) -> &Serials {
        &self.shared.serials
    }

    pub(crate) fn status(&self) -> &wgpu::Buffer {
        &self.shared.status
    }

    pub(crate) fn entry(&self, number: usize) -> Result<&ArenaEntry> {
        let count = self.shared.layout.entries.len();
        self.shared.layout.entries.get(number).ok_or_else(|| {
            Error::argument(
                "parameter number",
                number,
                &format!("below {count}, as many there are"),
            )
        })
    }
}
