//! A model on a device.

use super::choose::{KernelChoice, choose, whole_step_net};
use super::kernels::Kernels;
use super::missed::MissedSteps;
use super::predictor::{self, Predictor};
use super::progress::Progress;
use super::state::TrainingState;
use super::task::{Task, TrainingConfig};
use crate::Result;
use crate::data::Encoder;
use crate::exec::{Parameters, Step};
use crate::gpu::Gpu;
use crate::graph::Loss;
use crate::kernel::whole_step::Net;
use crate::nn::optimizer::check_learning_rate;
use crate::nn::{Metric, Optimizer, RowFunction, Sequential};
use crate::plan::{ArenaLayout, Precision};

/// A model on a device, ready to train, evaluate and predict.
#[derive(Debug)]
pub struct Model {
    gpu: Gpu,
    pub(crate) task: Task,
    parameters: Parameters,
    /// Steps completed since it was compiled, or submitted by a `fit` that was given up.
    pub(crate) steps: u64,
    /// In how many of them parameters were not trained.
    pub(crate) missed: MissedSteps,
    /// Whether such a `fit` left steps of which nobody knows yet whether they were finite.
    pub(super) in_doubt: bool,
    /// Where `fit` stands among its epochs since it was compiled.
    pub(crate) progress: Progress,
    /// η of every step to come, if it was set by hand.
    pub(crate) learning_rate: Option<f32>,
    /// Shares the parameters.
    pub(super) predictor: Predictor,
}

impl Sequential {
    /// Puts the model on a device, with its initial weights.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) or [`Error::Shape`](crate::Error::Shape) if the layers, the loss,
    /// the metrics or the optimizer are out of range or do not fit each other; the errors of the device.
    pub async fn compile(self, gpu: &Gpu, compile: TrainingConfig) -> Result<Model> {
        let task = Task::new(self, compile)?;
        let state = TrainingState::initial(&task)?;
        let model = Model::new(gpu, task).await?;
        for (number, values) in state.values.iter().enumerate() {
            model.parameters.write(number, values)?;
        }
        Ok(model)
    }
}

impl Model {
    /// A model before its first step, whose parameters are yet to be written.
    pub(super) async fn new(gpu: &Gpu, task: Task) -> Result<Self> {
        let (graph, ..) = predictor::graph(&task.architecture, 1)?;
        let layout = ArenaLayout::new(&graph, &gpu.target())?;
        let states = task.compile.optimizer.rule().states();
        let precision = task.compile.precision;
        let parameters = Parameters::with_precision(gpu, &layout, Some(states), precision).await?;
        let (architecture, loss) = (&task.architecture, task.compile.loss);
        let predictor = Predictor::new(gpu, architecture, loss, &parameters, &graph);
        let model = Model {
            gpu: gpu.clone(),
            task,
            parameters,
            steps: 0,
            missed: MissedSteps::default(),
            in_doubt: false,
            progress: Progress::default(),
            learning_rate: None,
            predictor,
        };
        // Says early that a whole-step kernel cannot be, if it is asked for.
        model.choose_kernels(1, false)?;
        Ok(model)
    }

    /// The layers.
    pub fn architecture(&self) -> &Sequential {
        &self.task.architecture
    }

    /// This model with what made features and targets of a table's columns: it is saved with the model,
    /// so that the rows of tomorrow are encoded like those of today.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the layers take or give another number of columns than the encoder.
    pub fn with_encoder(mut self, encoder: Encoder) -> Result<Self> {
        self.task = self.task.with_encoder(encoder)?;
        Ok(self)
    }

    /// What makes features and targets of a table's columns, if the model was given such.
    pub fn encoder(&self) -> Option<&Encoder> {
        self.task.encoder.as_deref()
    }

    /// The loss; of a model with one of the program's own, that which it is [like](RowFunction::like).
    pub fn loss(&self) -> Loss {
        self.task.compile.loss
    }

    /// The loss of the program's own, if it has such.
    pub fn own_loss(&self) -> Option<&dyn RowFunction> {
        self.task.compile.own_loss.as_ref().map(|own| &*own.0)
    }

    /// The weights of classes that it trains with: see [`TrainingConfig::class_weights`].
    pub fn class_weights(&self) -> Option<&[f32]> {
        self.task.compile.class_weights.as_deref()
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &Optimizer {
        &self.task.compile.optimizer
    }

    /// The metrics.
    pub fn metrics(&self) -> &[Metric] {
        &self.task.compile.metrics
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The parameters on the device, shared with every executor of this model.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Steps completed since the model was compiled. Where a `fit` was given up before its end, they are those
    /// it had submitted: the weights are, or will be, those after them.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Names and values of all parameters.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn weights(&self) -> Result<Vec<(String, Vec<f32>)>> {
        let values = self.parameters.read_all().await?;
        let names = self.parameters.layout().entries.iter().map(|entry| entry.name.clone());
        Ok(names.zip(values).collect())
    }

    /// Replaces all parameters, given in the order of [`Model::weights`]; the optimizer's state, the
    /// step and the epoch stay.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if their number, a length or a value does not fit; then none is
    /// replaced.
    pub fn set_weights(&mut self, weights: &[Vec<f32>]) -> Result<()> {
        self.parameters.write_all(weights)
    }

    /// Parameters, the optimizer's state and the step, and where training stands among its epochs: with the layers
    /// and what it was compiled for, all that it needs to go on anywhere.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn state(&self) -> Result<(TrainingState, Progress)> {
        let (step, progress) = self.standing().await?;
        let capture = self.parameters.capture(Vec::new()).await?;
        let (bytes, _) = capture.bytes(&self.parameters).await?;
        let missed = self.missed.at(step, self.architecture());
        Ok((TrainingState::read(&self.parameters, step, missed, &bytes)?, progress))
    }

    /// Goes to a state of this model, with what `progress` says of its epochs. Make [trainers](Model::trainer) anew:
    /// theirs are planned for the steps that parameters had missed before.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) naming what is not of this model and optimizer, and any number
    /// that no training comes to; then nothing is changed.
    pub fn set_state(&mut self, state: &TrainingState, progress: Progress) -> Result<()> {
        state.check(&self.task)?;
        self.parameters.clear_status()?;
        self.go_to(state, progress)?;
        self.in_doubt = false;
        Ok(())
    }

    /// The same of a state that is known to be of this model.
    pub(crate) fn go_to(&mut self, state: &TrainingState, progress: Progress) -> Result<()> {
        state.write_to(&self.parameters, 0..state.values.len())?;
        (self.steps, self.progress) = (state.step, progress);
        self.missed = MissedSteps::new(state.missed.clone(), state.step);
        Ok(())
    }

    /// In how many of the steps so far each parameter was not trained; none if no parameter missed any.
    pub(super) fn missed_steps(&self) -> Vec<u64> {
        self.missed.at(self.steps, self.architecture())
    }

    /// η of every step to come, if it was [set by hand](Model::set_learning_rate).
    pub fn own_learning_rate(&self) -> Option<f32> {
        self.learning_rate
    }

    /// The kernels that were asked for.
    pub fn wanted_kernels(&self) -> Kernels {
        self.task.compile.kernels
    }

    /// In how many bits numbers lie between the kernels that train it.
    pub fn precision(&self) -> Precision {
        self.task.compile.precision
    }

    /// Trains on with another loss scale, after gradients became infinite or 0 with the one before. Make
    /// [trainers](Model::trainer) anew.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if it is no power of two from 1 to 2²⁴, or the model trains in 32
    /// bits.
    pub fn set_loss_scale(&mut self, loss_scale: f32) -> Result<()> {
        let precision = Precision::Mixed { loss_scale };
        precision.check()?;
        if !self.task.compile.precision.is_mixed() {
            let rule =
                "set for a model with mixed precision; ask for it by `TrainingConfig::precision`";
            return Err(crate::Error::argument("loss scale", loss_scale, rule));
        }
        self.task.compile.precision = precision;
        Ok(())
    }

    /// Freezes the layer of this name from the next training on: see [`Sequential::freeze`]. Make
    /// [trainers](Model::trainer) anew.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if no layer of this name has parameters, or a whole-step kernel
    /// was asked for, which trains all layers.
    pub fn freeze(&mut self, layer: &str) -> Result<()> {
        let before = self.task.architecture.clone();
        self.missed.note(self.steps, &before);
        self.task.architecture.set_frozen(layer, true)?;
        // As it was made: what is saved must load again.
        if let Err(error) = self.choose_kernels(1, false) {
            self.task.architecture = before;
            return Err(error);
        }
        Ok(())
    }

    /// Trains the layer of this name again, from the optimizer's state that it had. Adam's corrections of its
    /// parameters go by the steps in which they were trained, as in PyTorch: a layer that was frozen from the start
    /// begins as all began. The learning rate is that of the model's step. From then on the general kernels train,
    /// which know corrections of each layer's own.
    ///
    /// # Errors
    /// As for [`Model::freeze`].
    pub fn unfreeze(&mut self, layer: &str) -> Result<()> {
        let before = self.task.architecture.clone();
        self.task.architecture.set_frozen(layer, false)?;
        self.missed.note(self.steps, &before);
        Ok(())
    }

    /// Which kernels train in batches of `batch` rows without weights of their own, and why; what
    /// [`Trainer::kernels`](super::Trainer::kernels) will say.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if a whole-step kernel is asked for and cannot be.
    pub fn kernels(&self, batch: usize) -> Result<String> {
        Ok(self.choose_kernels(batch, false)?.why)
    }

    /// The whole-step kernel that trains in batches of `batch` rows, if one does: to look at its text.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if a whole-step kernel is asked for and cannot be.
    pub fn whole_step_kernel(&self, batch: usize) -> Result<Option<Net>> {
        Ok(self.choose_kernels(batch, false)?.net)
    }

    /// Makes sure of the number of steps after a `fit` that was given up: if one of those that it had
    /// submitted was not finite, training stands there.
    pub(crate) async fn make_sure_of_steps(&mut self) -> Result<()> {
        (self.steps, self.progress) = self.standing().await?;
        self.in_doubt = false;
        Ok(())
    }

    /// Steps and epochs that are done for certain.
    pub(super) async fn standing(&self) -> Result<(u64, Progress)> {
        if self.in_doubt
            && let Some(halt) = self.parameters.halt().await?
        {
            let behind = self.steps.saturating_sub(halt.number);
            return Ok((halt.number, self.progress.minus(behind)));
        }
        Ok((self.steps, self.progress))
    }

    /// What trains in batches of `batch` rows, which may have weights of their own.
    pub(super) fn choose_kernels(&self, batch: usize, weighted: bool) -> Result<KernelChoice> {
        let target = self.gpu.target();
        let net = match weighted {
            true => Err("rows of the data have weights".into()),
            false if self.has_own_corrections() => {
                Err("a layer was frozen for a while, and has corrections of its own".into())
            }
            false => whole_step_net(&self.task, self.parameters.layout(), &target),
        };
        choose(self.task.compile.kernels, net, batch, &target)
    }

    /// Whether the corrections of parameters that are trained differ.
    fn has_own_corrections(&self) -> bool {
        let missed = self.missed_steps();
        let count = missed.len();
        !self.task.missed_of_trained(&missed, 0, count).is_empty()
    }

    /// Says that `steps` more steps of training are done.
    pub fn completed(&mut self, steps: u64) {
        self.steps = self.steps.saturating_add(steps);
    }

    /// The record of the step of training that comes after `ahead` others that are not completed
    /// yet.
    pub fn next_step(&self, ahead: u64) -> Step {
        let number = self.steps.saturating_add(ahead);
        Step::training(self.optimizer().rule(), number, 0, self.learning_rate_at(number))
    }

    /// η of step `number`.
    pub(super) fn learning_rate_at(&self, number: u64) -> f32 {
        let planned = || self.optimizer().learning_rate_at(number);
        self.learning_rate.unwrap_or_else(planned)
    }

    /// Trains every step to come with this learning rate, whatever the optimizer and its schedule say,
    /// until it is set again or the model is [reset](Model::reset).
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if it is not positive and finite.
    pub fn set_learning_rate(&mut self, rate: f32) -> Result<()> {
        check_learning_rate(rate)?;
        self.learning_rate = Some(rate);
        Ok(())
    }

    /// Goes back to the start: weights drawn anew from `seed`, no gradients, moments, steps, epochs or
    /// learning rate set by hand, no memory of a step that was not finite. From here it trains to the
    /// bits of a model that was just compiled with this seed. (Make [trainers](Model::trainer) anew if it has
    /// dropout: theirs draws by the seed that the model had.)
    ///
    /// # Errors
    /// The errors of the device.
    pub fn reset(&mut self, seed: u64) -> Result<()> {
        let architecture = self.architecture().clone().seed(seed);
        for (number, spec) in architecture.parameters()?.iter().enumerate() {
            self.parameters.write(number, &spec.initial)?;
        }
        self.parameters.reset()?;
        self.task.architecture = architecture;
        (self.steps, self.progress, self.learning_rate) = (0, Progress::default(), None);
        self.missed = MissedSteps::default();
        self.in_doubt = false;
        Ok(())
    }

    /// Rows of a block that is evaluated: up to `most`, as long as the widest tensor fits the device.
    pub(super) fn block_rows(&self, most: usize) -> usize {
        self.predictor.block_rows(most)
    }
}
