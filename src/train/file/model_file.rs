//! What a model's file holds: made of a model, and made a model again.

use crate::data::Encoder;
use crate::gpu::Gpu;
use crate::nn::Sequential;
use crate::train::fit::state::FitState;
use crate::train::model::Model;
use crate::train::predictor::Predictor;
use crate::train::progress::Progress;
use crate::train::state::TrainingState;
use crate::train::task::{Task, TrainingConfig};
use crate::{Error, Result};

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
    pub(super) task: Task,
    pub(super) state: TrainingState,
    pub(super) progress: Progress,
    /// η of every step to come, if it was set by hand.
    pub(super) learning_rate: Option<f32>,
    /// The call of `fit` that it is a checkpoint of.
    pub(super) fit: Option<Box<FitState>>,
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

    /// The same model with a weight for each class when it trains on, or without such: see
    /// [`TrainingConfig::class_weights`].
    ///
    /// # Errors
    /// Those of [`Sequential::compile`] with such weights.
    pub fn with_class_weights(mut self, weights: Option<Vec<f32>>) -> Result<Self> {
        self.task.compile.class_weights = weights;
        self.task.check_class_weights()?;
        Ok(self)
    }

    /// What makes features and targets of a table's columns, if the model was given such.
    pub fn encoder(&self) -> Option<&Encoder> {
        self.task.encoder.as_deref()
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
        model.go_to(&self.state, self.progress)?;
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
        Predictor::with_weights(gpu, architecture, loss, &self.state.values).await
    }
}

impl Model {
    /// The model as a file holds it, after all steps so far.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn file(&self) -> Result<ModelFile> {
        let (state, progress) = self.state().await?;
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
pub(super) fn refused(reason: impl Into<String>) -> Error {
    Error::ModelFile { path: None, reason: reason.into() }
}
