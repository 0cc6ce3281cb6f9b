//! Prediction: the outputs of a model for rows, from any number of threads.

use std::sync::{Arc, Mutex, PoisonError};

use super::feed::fitting;
use crate::data::{EpochOrder, Pass, Source, Wanted, Windows};
use crate::exec::{Executor, ExecutorOptions, Parameters, Step};
use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Loss, Role, Tensor};
use crate::nn::Sequential;
use crate::plan::{ArenaLayout, Plan};
use crate::{Error, Result};

/// Rows of a block that is predicted, at most; bounds the memory, not the result.
pub(super) const MOST_ROWS: usize = 1024;

/// Plans of one size that are kept for the next calls: as many calls at once need nothing new.
const IDLE_OF_A_SIZE: usize = 4;

/// A model that predicts, and nothing else: it has no gradients and no optimizer's state. Any number of threads
/// may call it at once; clones share everything.
///
/// From a file it is loaded by [`Predictor::load`] or [`ModelFile::predictor`](super::ModelFile::predictor) (with
/// the feature `files`); [`Model::predictor`](super::Model::predictor) gives one that follows the model's
/// training.
#[derive(Clone, Debug)]
pub struct Predictor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gpu: Gpu,
    architecture: Sequential,
    /// What the outputs mean.
    loss: Loss,
    parameters: Parameters,
    /// Bytes of the widest tensor for each row.
    row_bytes: u64,
    /// Of powers of two up to the rows of a block, and of each size a few.
    idle: Mutex<Vec<Planned>>,
}

/// A plan that predicts so many rows.
#[derive(Debug)]
struct Planned {
    rows: usize,
    executor: Executor,
    x: Tensor,
    y: Tensor,
    /// By way of which outputs are read.
    staging: Option<Buffer>,
}

/// A graph of the model for so many rows: its input and output.
pub(super) fn graph(architecture: &Sequential, rows: usize) -> Result<(Graph, Tensor, Tensor)> {
    let mut graph = Graph::new();
    let x = graph.input("features", [rows, architecture.input_width()])?;
    let (y, _) = architecture.build(&mut graph, x)?;
    Ok((graph, x, y))
}

impl Predictor {
    /// Of a model whose tensors for one row are those of `graph`.
    pub(super) fn new(
        gpu: &Gpu,
        architecture: &Sequential,
        loss: Loss,
        parameters: &Parameters,
        graph: &Graph,
    ) -> Self {
        let of_rows = graph.tensors().iter().filter(|t| !matches!(t.role, Role::Parameter(_)));
        let row_bytes = of_rows.map(|tensor| tensor.shape.bytes() as u64).max().unwrap_or(0);
        let shared = Shared {
            gpu: gpu.clone(),
            architecture: architecture.clone(),
            loss,
            parameters: parameters.clone(),
            row_bytes,
            idle: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Of layers with these values of their parameters, in the order of [`Sequential::parameters`], on a device;
    /// `loss` says what the outputs mean.
    ///
    /// # Errors
    /// [`Error::Argument`] if the number of parameters, a length or a value does not fit; the errors of the device.
    pub async fn with_weights(
        gpu: &Gpu,
        architecture: &Sequential,
        loss: Loss,
        weights: &[Vec<f32>],
    ) -> Result<Self> {
        let (graph, ..) = graph(architecture, 1)?;
        let layout = ArenaLayout::new(&graph, &gpu.target())?;
        let parameters = Parameters::new(gpu, &layout, None).await?;
        parameters.write_all(weights)?;
        Ok(Self::new(gpu, architecture, loss, &parameters, &graph))
    }

    /// The layers.
    pub fn architecture(&self) -> &Sequential {
        &self.shared.architecture
    }

    /// What it was trained to minimise, which says what the outputs mean.
    pub fn loss(&self) -> Loss {
        self.shared.loss
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.shared.gpu
    }

    /// Rows of a block that is evaluated or predicted: up to `most`, as long as the widest tensor fits the
    /// device.
    pub(super) fn block_rows(&self, most: usize) -> usize {
        fitting(self.shared.row_bytes, &self.gpu().target()).min(most)
    }

    /// Rows of `features` (rows × input width).
    ///
    /// # Errors
    /// [`Error::Argument`] if there is none, or the last one is not whole.
    pub fn rows(&self, features: &[f32]) -> Result<usize> {
        let width = self.architecture().input_width();
        if features.is_empty() || !features.len().is_multiple_of(width) {
            let rule = format!("a positive multiple of the {width} features per row");
            return Err(Error::argument("number of features", features.len(), &rule));
        }
        Ok(features.len() / width)
    }

    /// As [`Predictor::rows`], of features that can be predicted.
    ///
    /// # Errors
    /// As for [`Predictor::rows`]; and [`Error::Argument`] naming the first feature that is not finite.
    pub fn finite_rows(&self, features: &[f32]) -> Result<usize> {
        let (width, rows) = (self.architecture().input_width(), self.rows(features)?);
        let Some((at, value)) = crate::finite::first_not_finite(features) else { return Ok(rows) };
        let name = format!("feature {} of row {}", at % width, at / width);
        let rule = "finite; replace it by a finite number or leave its row out";
        Err(Error::argument(&name, value, rule))
    }

    /// The model's output for each row of `features` (rows × input width): rows × output width. Rows are
    /// computed in blocks, so that the device's memory is bounded.
    ///
    /// # Errors
    /// If the number of features is no multiple of the input width, or zero, or one is not finite;
    /// the errors of the device.
    pub async fn predict(&self, features: &[f32]) -> Result<Vec<f32>> {
        let (width, rows) = (self.architecture().input_width(), self.finite_rows(features)?);
        let mut outputs = room_for(rows, self.architecture().output_width())?;
        let (mut rest, mut most) = (features, 1 << self.block_rows(MOST_ROWS).ilog2());
        while !rest.is_empty() {
            let rows = (rest.len() / width).min(most);
            let (block, later) = rest.split_at(rows * width);
            match self.predict_block(block, rows).await {
                Ok(some) => {
                    outputs.extend(some);
                    rest = later;
                }
                // What a plan adds to the tensors of its graph may take more.
                Err(Error::Limit { .. }) if rows > 1 => most = rows.next_power_of_two() / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(outputs)
    }

    /// As [`Predictor::predict`], for the features of a source, which is read once, ahead of the device: `take` has the
    /// outputs of some rows at a time, in their order. What is in memory does not grow with the rows.
    ///
    /// ```no_run
    /// use wgrad::data::{NpyWriter, Source};
    /// # async fn run(predictor: &wgrad::train::Predictor) -> wgrad::Result<()> {
    /// let mut file = NpyWriter::create("predictions.npy", predictor.architecture().output_width())?;
    /// let rows = Source::npy("rows.npy")?;
    /// predictor.predict_source(&rows, |outputs| Ok(file.write(outputs)?)).await?;
    /// file.finish()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if its rows have another number of features than the model takes; [`Error::Data`] if they cannot
    /// be read or are not finite; those of `take`; the errors of the device.
    pub async fn predict_source(
        &self,
        source: &Source,
        mut take: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let (width, inputs) = (source.width(), self.architecture().input_width());
        if width != inputs {
            let detail = format!(
                "the source has {width} features per row, the model takes {inputs}; give rows of {inputs}"
            );
            return Err(Error::shape("predict_source", detail));
        }
        let rows = source.count()?;
        let pass = Arc::new(Pass::new(source, rows, EpochOrder::AS_THEY_LIE)?);
        let windows = Windows::new(source, Wanted::Features);
        for number in 0..pass.windows().len() {
            let window = windows.get(&pass, number)?;
            let mut rest = window.rows.features.as_slice();
            while !rest.is_empty() {
                // However many outputs a row has.
                let rows = (rest.len() / width).min(MOST_ROWS);
                let (some, later) = rest.split_at(rows * width);
                take(&self.predict(some).await?)?;
                rest = later;
            }
        }
        Ok(())
    }

    /// Records the prediction of `rows` rows into the app's encoder: `input` holds rows × input width numbers,
    /// and rows × output width are written to `output`, both from their beginning. Nothing waits, nothing goes
    /// to the host, and numbers that are not finite are computed with as they are. The encoder is submitted by
    /// the app, whenever it likes; for other numbers of rows than were recorded or predicted before, the first
    /// call makes a plan.
    ///
    /// # Errors
    /// [`Error::Argument`] if a buffer is too small or lacks a usage (`COPY_SRC` of the input, `COPY_DST` of the
    /// output), if the encoder is of another device and wgpu can tell, or if there are no rows;
    /// [`Error::Limit`] if they are too many for one plan; the errors of the device.
    pub async fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        input: &wgpu::Buffer,
        output: &wgpu::Buffer,
        rows: usize,
    ) -> Result<()> {
        use wgpu::BufferUsages as Usage;
        if rows == 0 {
            return Err(Error::argument("number of rows", rows, "at least 1"));
        }
        let architecture = self.architecture();
        let bytes = |width: usize| (rows as u64).saturating_mul(width as u64).saturating_mul(4);
        let (taken, given) =
            (bytes(architecture.input_width()), bytes(architecture.output_width()));
        for (what, buffer, bytes, usage) in
            [("input", input, taken, Usage::COPY_SRC), ("output", output, given, Usage::COPY_DST)]
        {
            if buffer.size() < bytes {
                let rule = format!("at least {bytes}, for {rows} rows");
                return Err(Error::argument(&format!("bytes of the {what}"), buffer.size(), &rule));
            }
            if !buffer.usage().contains(usage) {
                let rule = format!("with {usage:?} too");
                let found = format!("{:?}", buffer.usage());
                return Err(Error::argument(&format!("usages of the {what}"), found, &rule));
            }
        }
        let mut borrowed = self.planned(rows).await?;
        let Planned { executor, x, y, .. } = borrowed.planned()?;
        let (from, offset) = executor.buffer_of(*x)?;
        encoder.copy_buffer_to_buffer(input, 0, from, offset, taken);
        executor.record(encoder, &[Step::forward(0)])?;
        let (to, offset) = executor.buffer_of(*y)?;
        encoder.copy_buffer_to_buffer(to, offset, output, 0, given);
        // Its commands bring all that they read, so that others may be recorded or run before they are.
        Ok(())
    }

    /// The outputs of `rows` rows of `features`. They are filled up to a power of two, for which there is a
    /// plan already unless this is the first such prediction.
    async fn predict_block(&self, features: &[f32], rows: usize) -> Result<Vec<f32>> {
        let mut borrowed = self.planned(rows).await?;
        let Planned { rows: whole, executor, x, y, staging } = borrowed.planned()?;
        match *whole == rows {
            true => executor.write(*x, features)?,
            false => {
                let mut filled = features.to_vec();
                filled.resize(features.len() / rows * *whole, 0.0);
                executor.write(*x, &filled)?;
            }
        }
        executor.run(&[Step::forward(0)]).await?;
        // What predictions left that were given up.
        while executor.arrived().is_some() {}
        let mut outputs = executor.read_by_way_of(staging, *y).await?;
        outputs.truncate(rows * self.architecture().output_width());
        Ok(outputs)
    }

    /// A plan for `rows` rows or more, for one call alone.
    async fn planned(&self, rows: usize) -> Result<Borrowed<'_>> {
        let rows = rows.next_power_of_two();
        let known = {
            let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let place = idle.iter().position(|planned| planned.rows == rows);
            place.map(|place| idle.swap_remove(place))
        };
        let planned = match known {
            Some(planned) => planned,
            None => self.plan(rows).await?,
        };
        Ok(Borrowed { predictor: self, planned: Some(planned) })
    }

    async fn plan(&self, rows: usize) -> Result<Planned> {
        let (graph, x, y) = graph(self.architecture(), rows)?;
        let plan = Plan::new(&graph, &[y], &self.gpu().target())?;
        let parameters = Some(self.shared.parameters.clone());
        let options = ExecutorOptions { parameters, ..ExecutorOptions::default() };
        let executor = Executor::with_options(self.gpu(), plan, options).await?;
        Ok(Planned { rows, executor, x, y, staging: None })
    }
}

/// A plan that one call has for itself. However the call ends, the next one has it.
struct Borrowed<'p> {
    predictor: &'p Predictor,
    planned: Option<Planned>,
}

impl Borrowed<'_> {
    fn planned(&mut self) -> Result<&mut Planned> {
        self.planned.as_mut().ok_or_else(|| Error::bug("a plan that is used was put back"))
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let idle = &self.predictor.shared.idle;
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(planned) = self.planned.take() {
            let same = idle.iter().filter(|other| other.rows == planned.rows).count();
            if same < IDLE_OF_A_SIZE {
                idle.push(planned);
            }
        }
    }
}

/// An empty vector with room for `rows` × `width` numbers.
///
/// # Errors
/// If no memory holds so many: a browser's holds 4 GB, whatever the machine has.
fn room_for(rows: usize, width: usize) -> Result<Vec<f32>> {
    let mut outputs = Vec::new();
    match rows.checked_mul(width).map(|numbers| outputs.try_reserve_exact(numbers)) {
        Some(Ok(())) => Ok(outputs),
        _ => {
            let value = format!("{rows} rows of {width}");
            let rule = "what the memory holds at once; predict fewer rows at a time";
            Err(Error::argument("number of outputs", value, rule))
        }
    }
}
