//! A model as a file: everything that a process needs to predict with it, or to train it on.

mod container;
#[cfg(not(target_arch = "wasm32"))]
mod disk;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod header;
pub(crate) mod number;
#[cfg(feature = "onnx")]
mod onnx;
mod pytorch;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use folder::{last_moment, make_folder, write_moment};

use super::fit::FitState;
use super::model::Model;
use super::predictor::{self, Predictor};
use super::progress::Progress;
use super::state::TrainingState;
use super::task::{Task, TrainingConfig};
use crate::data::Encoder;
use crate::exec::Parameters;
use crate::gpu::Gpu;
use crate::nn::{Loaders, Sequential};
use crate::plan::ArenaLayout;
use crate::{Error, Result};
use container::Container;

/// A trained model without a device, as a file holds it: layers, loss, optimizer and metrics, the parameters,
/// the optimizer's state, the step and the place in the epoch, and the encoder of its table.
///
/// The bytes are those of [safetensors](https://github.com/huggingface/safetensors): other programs read the
/// parameters under their names (`dense_0.weight`, fan-in × units) and the optimizer's state under
/// `optimizer.` and its own (`optimizer.velocity.dense_0.weight`). The rest stands as JSON in the metadata
/// under `wgrad`, with a checksum over all.
///
/// ```no_run
/// use wgrad::prelude::*;
/// use wgrad::train::ModelFile;
///
/// # async fn run(gpu: Gpu, model: Model) -> wgrad::Result<()> {
/// model.save("concrete.wgrad").await?;
/// // In another process, to look at it without a device:
/// let file = ModelFile::read("concrete.wgrad")?;
/// println!("{}", file.architecture().summary());
/// // To train on or to predict:
/// let model = Model::load(&gpu, "concrete.wgrad").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ModelFile {
    task: Task,
    state: TrainingState,
    progress: Progress,
    /// η of every step to come, if it was set by hand.
    learning_rate: Option<f32>,
    /// The call of `fit` that it is a checkpoint of.
    fit: Option<Box<FitState>>,
}

impl ModelFile {
    /// A model before its first step.
    ///
    /// # Errors
    /// Those of [`Sequential::compile`] that need no device.
    pub fn new(model: Sequential, config: TrainingConfig) -> Result<Self> {
        let task = Task::new(model, config)?;
        let state = TrainingState::initial(&task)?;
        Ok(Self { task, state, progress: Progress::default(), learning_rate: None, fit: None })
    }

    /// Of something that trains, after the steps of `state`.
    pub(crate) fn of(
        task: &Task,
        state: TrainingState,
        progress: Progress,
        learning_rate: Option<f32>,
    ) -> Self {
        Self { task: task.clone(), state, progress, learning_rate, fit: None }
    }

    /// The same model with other parameters, optimizer state and step, such as those of lanes
    /// ([`Parallel::state`](crate::lanes::Parallel::state)).
    ///
    /// # Errors
    /// [`Error::Argument`] naming what is not of this model and optimizer, and any number that no training
    /// comes to.
    pub fn with_state(self, state: TrainingState) -> Result<Self> {
        state.check(&self.task)?;
        Ok(Self { state, ..self })
    }

    /// The same model with what made features and targets of a table's columns.
    ///
    /// # Errors
    /// [`Error::Shape`] if the layers take or give another number of columns than the encoder.
    pub fn with_encoder(self, encoder: Encoder) -> Result<Self> {
        Ok(Self { task: self.task.with_encoder(encoder)?, ..self })
    }

    /// What makes features and targets of a table's columns, if the model was given such.
    pub fn encoder(&self) -> Option<&Encoder> {
        self.task.encoder.as_deref()
    }

    /// A model from its bytes.
    ///
    /// Bytes from anywhere may be tried: whatever they say, no more memory is taken than a few times their
    /// length, and a byte that was changed is always found.
    ///
    /// # Errors
    /// [`Error::ModelFile`] saying what is wrong with them; [`Error::Argument`] or [`Error::Shape`] if what
    /// they describe is no model.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_bytes_with(bytes, &Loaders::new())
    }

    /// The same for a model with layers of a program's own, of which `loaders` knows.
    ///
    /// # Errors
    /// Those of [`ModelFile::from_bytes`], and those of the loaders.
    pub fn from_bytes_with(bytes: &[u8], loaders: &Loaders) -> Result<Self> {
        let Container { header, tensors } = Container::from_bytes(bytes)?;
        header.model(tensors, loaders)
    }

    /// As bytes, to be saved.
    ///
    /// # Errors
    /// [`Error::ModelFile`] if a layer has no [settings](crate::nn::Layer::settings).
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Container::of(self)?.to_bytes()
    }

    /// The layers.
    pub fn architecture(&self) -> &Sequential {
        &self.task.architecture
    }

    /// Loss, optimizer and metrics.
    pub fn config(&self) -> &TrainingConfig {
        &self.task.compile
    }

    /// Parameters, the optimizer's state and the step.
    pub fn state(&self) -> &TrainingState {
        &self.state
    }

    /// The model on a device. It trains on as if it had never left one.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn model(self, gpu: &Gpu) -> Result<Model> {
        let mut model = Model::new(gpu, self.task).await?;
        self.state.write_to(model.parameters(), 0..self.state.values.len())?;
        model.steps = self.state.step;
        model.progress = self.progress;
        model.learning_rate = self.learning_rate;
        Ok(model)
    }
}

impl ModelFile {
    /// What predicts with it on a device, and has nothing for training.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn predictor(&self, gpu: &Gpu) -> Result<Predictor> {
        let (architecture, loss) = (&self.task.architecture, self.task.compile.loss);
        let (graph, ..) = predictor::graph(architecture, 1)?;
        let layout = ArenaLayout::new(&graph, &gpu.target())?;
        let parameters = Parameters::new(gpu, &layout, None).await?;
        for (number, values) in self.state.values.iter().enumerate() {
            parameters.write(number, values)?;
        }
        Ok(Predictor::new(gpu, architecture, loss, &parameters, &graph))
    }
}

impl Model {
    /// The model as a file holds it, after all steps so far.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn file(&self) -> Result<ModelFile> {
        let (step, progress) = self.standing().await?;
        let capture = self.parameters().capture(Vec::new()).await?;
        let (bytes, _) = capture.bytes(self.parameters()).await?;
        let state = TrainingState::read(self.parameters(), step, &bytes)?;
        Ok(ModelFile::of(&self.task, state, progress, self.learning_rate))
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// Those of [`Model::file`] and [`ModelFile::to_bytes`].
    pub async fn to_bytes(&self) -> Result<Vec<u8>> {
        self.file().await?.to_bytes()
    }

    /// A model from the bytes of its file, on a device.
    ///
    /// # Errors
    /// Those of [`ModelFile::from_bytes`] and [`ModelFile::model`].
    pub async fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Self> {
        ModelFile::from_bytes(bytes)?.model(gpu).await
    }
}

/// What is wrong with a model's file, and what to do.
fn refused(reason: impl Into<String>) -> Error {
    Error::ModelFile { path: None, reason: reason.into() }
}
