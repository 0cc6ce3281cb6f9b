//! Runs the training kernels for small nets, `kernel::whole_step`: a range of batches in one submission.

use std::collections::VecDeque;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::record::check_rate;
use super::ring::{Numbers, Ring};
use super::serial::Serial;
use super::step::{StepFigures, words};
use super::{Parameters, Step};
use crate::gpu::{Buffer, Gpu, Pipeline};
use crate::graph::rule::MOST_FIGURES;
use crate::kernel::whole_step::{Held, MOST_STEPS, Memory, Net};
use crate::kernel::{Arena, word};
use crate::plan::Precision;
use crate::{Error, Result};

/// The figures of rule, clipping and loss; the head of `struct Run`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub(crate) struct Figures {
    pub(crate) steps: u32,
    /// Those of the rule, in its order.
    pub(crate) rule: [f32; MOST_FIGURES],
    pub(crate) clip_norm: f32,
    pub(crate) delta: f32,
    pub(crate) layers: u32,
    /// That of the first step.
    pub(crate) serial: [u32; 2],
    pub(crate) unused: [u32; 2],
}

/// `struct Record`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
struct Record {
    number: [u32; 2],
    batch_start: u32,
    rows: u32,
    share: f32,
    figures: StepFigures,
}

/// The data that batches are drawn from.
#[derive(Debug)]
pub(crate) struct Bindings<'a> {
    pub(crate) features: &'a wgpu::Buffer,
    pub(crate) targets: &'a wgpu::Buffer,
    pub(crate) order: &'a wgpu::Buffer,
}

/// The kernel with everything it needs on one device.
#[derive(Debug)]
pub(crate) struct WholeStep {
    gpu: Gpu,
    net: Net,
    parameters: Parameters,
    figures: Figures,
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    /// Figures and records. One is enough: a write waits for the submissions before it.
    run: Buffer,
    /// The table of layers, kept for as long as it is bound; none if the numbers are in registers.
    _layers: Option<Buffer>,
    results: Buffer,
    ring: Ring,
    /// Bytes of `run` under construction, kept so that steps allocate nothing.
    bytes: Vec<u8>,
    arrived: VecDeque<Numbers>,
}

impl WholeStep {
    /// Compiles the kernel, if this device has not yet, and binds it, for batches of up to `batch` rows.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] and the other errors of the device.
    pub(crate) async fn new(
        gpu: &Gpu,
        net: Net,
        batch: usize,
        figures: Figures,
        parameters: &Parameters,
        data: Bindings<'_>,
    ) -> Result<Self> {
        parameters.check_precision(Precision::F32, true)?;
        let pipeline = gpu.whole_step_pipeline(&net).await?;
        use wgpu::BufferUsages as Usage;
        let run_bytes = size_of::<Figures>() + MOST_STEPS * size_of::<Record>();
        let run =
            gpu.buffer_for("records", run_bytes as u64, Usage::UNIFORM | Usage::COPY_DST).await?;
        let columns = net.columns();
        let memory = (net.held == Held::Memory).then(|| net.memory(batch));
        // A memory begins with the results.
        let results = match &memory {
            Some(memory) => gpu.buffer("memory", memory.bytes).await?,
            None => gpu.buffer("results", (MOST_STEPS * columns * 4) as u64).await?,
        };
        let layers = match &memory {
            Some(Memory { places, .. }) => {
                let bytes: &[u8] = bytemuck::cast_slice(places);
                let usage = Usage::UNIFORM | Usage::COPY_DST;
                let layers = gpu.buffer_for("layers", bytes.len() as u64, usage).await?;
                gpu.write(&layers, 0, bytes)?;
                Some(layers)
            }
            None => None,
        };
        let ring = Ring::new(gpu, columns, MOST_STEPS).await?;
        let mut entries = Vec::new();
        for binding in &pipeline.bindings {
            let buffer: &wgpu::Buffer = match (binding.name, &layers) {
                ("run", _) => &run,
                ("features", _) => data.features,
                ("targets", _) => data.targets,
                ("order", _) => data.order,
                ("values", _) => parameters.buffer(Arena::Values, 0)?,
                ("results" | "memory", _) => &results,
                ("layers", Some(layers)) => layers,
                ("status", _) => parameters.status(),
                (other, _) => match Arena::of_state(other) {
                    Some(state) => parameters.buffer(state, 0)?,
                    None => {
                        return Err(Error::bug(format!(
                            "whole-step: binding '{other}' has no operand"
                        )));
                    }
                },
            };
            let resource = buffer.as_entire_binding();
            entries.push(wgpu::BindGroupEntry { binding: binding.index, resource });
        }
        gpu.tally().bind_groups.add(1);
        let group = gpu
            .scoped("binding the whole-step kernel", || {
                gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some("whole step"),
                    layout: &pipeline.layout,
                    entries: &entries,
                })
            })
            .await?;
        Ok(Self {
            gpu: gpu.clone(),
            net,
            parameters: parameters.clone(),
            figures,
            pipeline,
            group,
            run,
            _layers: layers,
            results,
            ring,
            bytes: Vec::new(),
            arrived: VecDeque::new(),
        })
    }

    /// What runs.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Makes sure that another submission's results have room, taking the oldest ones in if not.
    pub(crate) async fn make_room(&mut self) -> Result<()> {
        while !self.ring.has_room() {
            match self.ring.take(&self.gpu).await? {
                Some(numbers) => self.arrived.push_back(numbers),
                None => break,
            }
        }
        Ok(())
    }

    /// Runs `steps` (at most [`MOST_STEPS`]), each with the rows of its batch, in one submission: in one
    /// dispatch, or if workgroups share the rows, in one per step and one for the last update. There is
    /// room for its results. As soon as it is submitted, before anything is waited for, `then` is called.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are none or too many, or one does not train by the net's rule; the
    /// errors of the device. Then no results are under way.
    pub(crate) async fn submit(
        &mut self,
        steps: &[(Step, usize)],
        then: impl FnOnce(),
    ) -> Result<()> {
        if steps.is_empty() || steps.len() > MOST_STEPS {
            return Err(Error::argument("steps", steps.len(), &format!("1 to {MOST_STEPS}")));
        }
        let serial = self.parameters.serials().draw(steps.len());
        self.write_records(steps, serial)?;
        let gpu = self.gpu.clone();
        let submitted = gpu.scoped_of_step("a submission", || {
            let mut encoder = gpu.encoder();
            self.record(&mut encoder, steps.len(), serial)?;
            gpu.send(encoder);
            self.ring.sent(&gpu, serial);
            then();
            Ok(())
        });
        let submitted = submitted.await.and_then(|recorded| recorded);
        if submitted.is_err() {
            self.ring.retract(serial);
        }
        submitted
    }

    fn write_records(&mut self, steps: &[(Step, usize)], serial: Serial) -> Result<()> {
        let figures = Figures {
            steps: word(steps.len()),
            serial: serial.words(),
            layers: word(self.net.layers.len()),
            ..self.figures
        };
        self.bytes.clear();
        self.bytes.extend_from_slice(bytemuck::bytes_of(&figures));
        for &(step, rows) in steps {
            check_rate(&step)?;
            let record = Record {
                number: words(step.number),
                batch_start: step.batch_start,
                rows: word(rows),
                share: self.net.share(rows),
                figures: step.figures(Some(self.net.rule), 0)?,
            };
            self.bytes.extend_from_slice(bytemuck::bytes_of(&record));
        }
        self.gpu.write_of_step(&self.run, 0, &self.bytes)
    }

    fn record(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        steps: usize,
        serial: Serial,
    ) -> Result<()> {
        let workgroups = self.net.workgroups;
        let dispatches = if workgroups == 1 { 1 } else { steps + 1 };
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        for _ in 0..dispatches {
            pass.dispatch_workgroups(word(workgroups), 1, 1);
        }
        drop(pass);
        self.gpu.tally().dispatches.add(dispatches as u64);
        self.ring.record(encoder, (&self.results, 0), self.parameters.status(), (serial, steps))
    }

    /// Whether [`WholeStep::results`] would return at once.
    pub(crate) fn is_ready(&self) -> bool {
        !self.arrived.is_empty() || self.ring.is_ready()
    }

    /// The results of the oldest submission not yet taken, waiting for them; `None` if there are
    /// none. If the wait is given up they stay the oldest.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn results(&mut self) -> Result<Option<Numbers>> {
        match self.arrived.pop_front() {
            Some(numbers) => Ok(Some(numbers)),
            None => self.ring.take(&self.gpu).await,
        }
    }
}
