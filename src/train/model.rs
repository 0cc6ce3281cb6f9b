//! A model on a device.

use super::feed::fitting;
use super::kernels::{KernelChoice, choose, whole_step_net};
use super::progress::Progress;
use super::task::{Task, TrainingConfig};
use crate::exec::{Executor, Parameters, Step};
use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Loss, Role, Tensor};
use crate::kernel::whole_step::Net;
use crate::nn::optimizer::check_learning_rate;
use crate::nn::{Metric, Optimizer, Sequential};
use crate::plan::{ArenaLayout, Plan};
use crate::{Error, Result};

/// A model on a device, ready to train, evaluate and predict.
#[derive(Debug)]
pub struct Model {
    gpu: Gpu,
    task: Task,
    parameters: Parameters,
    /// Steps completed since it was compiled, or submitted by a `fit` that was given up.
    pub(crate) steps: u64,
    /// Whether such a `fit` left steps of which nobody knows yet whether they were finite.
    pub(super) in_doubt: bool,
    /// Where `fit` stands among its epochs since it was compiled.
    pub(crate) progress: Progress,
    /// η of every step to come, if it was set by hand.
    pub(crate) learning_rate: Option<f32>,
    /// Bytes of the widest tensor for each row.
    row_bytes: u64,
    /// One for each number of rows so far: powers of two up to that of a block, so never many.
    predictors: Vec<Predictor>,
}

/// A plan that predicts so many rows.
#[derive(Debug)]
struct Predictor {
    rows: usize,
    executor: Executor,
    x: Tensor,
    y: Tensor,
    /// By way of which outputs are read.
    staging: Option<Buffer>,
}

impl Sequential {
    /// Puts the model on a device, with its initial weights.
    ///
    /// # Errors
    /// [`Error::Argument`] or [`Error::Shape`] if the layers, the loss, the metrics or the
    /// optimizer are out of range or do not fit each other; the errors of the device.
    pub async fn compile(self, gpu: &Gpu, compile: TrainingConfig) -> Result<Model> {
        let task = Task::new(self, compile)?;
        let architecture = &task.architecture;
        let mut graph = Graph::new();
        let x = graph.input("x", [1, architecture.input_width()])?;
        architecture.build(&mut graph, x)?;
        let layout = ArenaLayout::new(&graph, &gpu.target())?;
        let of_rows = graph.tensors().iter().filter(|t| !matches!(t.role, Role::Parameter(_)));
        let row_bytes = of_rows.map(|tensor| tensor.shape.bytes() as u64).max().unwrap_or(0);
        let states = task.compile.optimizer.rule().states();
        let parameters = Parameters::new(gpu, &layout, Some(states)).await?;
        for (number, spec) in architecture.parameters()?.iter().enumerate() {
            parameters.write(number, &spec.initial)?;
        }
        let model = Model {
            gpu: gpu.clone(),
            task,
            parameters,
            steps: 0,
            in_doubt: false,
            progress: Progress::default(),
            learning_rate: None,
            row_bytes,
            predictors: Vec::new(),
        };
        // Says early that a whole-step kernel cannot be, if it is asked for.
        model.choose_kernels(1)?;
        Ok(model)
    }
}

impl Model {
    /// The layers.
    pub fn architecture(&self) -> &Sequential {
        &self.task.architecture
    }

    /// The loss.
    pub fn loss(&self) -> Loss {
        self.task.compile.loss
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
    /// [`Error::Argument`] if their number, a length or a value does not fit; then none is replaced.
    pub fn set_weights(&mut self, weights: &[Vec<f32>]) -> Result<()> {
        let entries = &self.parameters.layout().entries;
        if weights.len() != entries.len() {
            let rule = format!(
                "{} ({}); give their values in the order of `Model::weights`",
                entries.len(),
                self.parameters.layout().names()
            );
            return Err(Error::argument("number of parameters", weights.len(), &rule));
        }
        for (number, values) in weights.iter().enumerate() {
            self.parameters.check(number, values)?;
        }
        weights
            .iter()
            .enumerate()
            .try_for_each(|(number, values)| self.parameters.write(number, values))
    }

    /// Which kernels train in batches of `batch` rows, and why; what [`Trainer::kernels`](super::Trainer::kernels) will say.
    ///
    /// # Errors
    /// [`Error::Argument`] if a whole-step kernel is asked for and cannot be.
    pub fn kernels(&self, batch: usize) -> Result<String> {
        Ok(self.choose_kernels(batch)?.why)
    }

    /// The whole-step kernel that trains in batches of `batch` rows, if one does: to look at its text.
    ///
    /// # Errors
    /// [`Error::Argument`] if a whole-step kernel is asked for and cannot be.
    pub fn whole_step_kernel(&self, batch: usize) -> Result<Option<Net>> {
        Ok(self.choose_kernels(batch)?.net)
    }

    /// Makes sure of the number of steps after a `fit` that was given up: if one of those that it had
    /// submitted was not finite, training stands there.
    pub(super) async fn make_sure_of_steps(&mut self) -> Result<()> {
        if self.in_doubt {
            if let Some(halt) = self.parameters.halt().await? {
                let behind = self.steps.saturating_sub(halt.number);
                (self.steps, self.progress) = (halt.number, self.progress.minus(behind));
            }
            self.in_doubt = false;
        }
        Ok(())
    }

    /// What trains in batches of `batch` rows.
    pub(super) fn choose_kernels(&self, batch: usize) -> Result<KernelChoice> {
        let (compile, target) = (&self.task.compile, self.gpu.target());
        let layout = self.parameters.layout();
        let net = whole_step_net(
            &self.task.architecture,
            compile.loss,
            &compile.metrics,
            &compile.optimizer,
            layout,
            &target,
        );
        choose(compile.kernels, net, batch, &target)
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
    /// [`Error::Argument`] if it is not positive and finite.
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
        self.in_doubt = false;
        Ok(())
    }

    /// Rows of a block that is evaluated or predicted: up to `most`, as long as the widest tensor fits the
    /// device.
    pub(super) fn block_rows(&self, most: usize) -> usize {
        fitting(self.row_bytes, &self.gpu.target()).min(most)
    }

    /// The outputs of `rows` rows of `features`. They are filled up to a power of two, for which there is a
    /// plan already unless this is the first such prediction.
    ///
    /// # Errors
    /// [`Error::Limit`] if the plan for so many rows takes more than the device has; those of the device.
    pub(super) async fn predict_block(
        &mut self,
        features: &[f32],
        rows: usize,
    ) -> Result<Vec<f32>> {
        let planned = rows.next_power_of_two();
        let known = self.predictors.iter().position(|predictor| predictor.rows == planned);
        let index = match known {
            Some(index) => index,
            None => {
                let predictor = self.predictor(planned).await?;
                self.predictors.push(predictor);
                self.predictors.len() - 1
            }
        };
        let Some(predictor) = self.predictors.get_mut(index) else {
            return Err(Error::bug("a predictor that was just made is not there"));
        };
        let Predictor { executor, x, y, staging, .. } = predictor;
        match planned == rows {
            true => executor.write(*x, features)?,
            false => {
                let mut filled = features.to_vec();
                filled.resize(features.len() / rows * planned, 0.0);
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

    async fn predictor(&self, rows: usize) -> Result<Predictor> {
        let mut graph = Graph::new();
        let x = graph.input("features", [rows, self.architecture().input_width()])?;
        let (y, _) = self.architecture().build(&mut graph, x)?;
        let plan = Plan::new(&graph, &[y], &self.gpu.target())?;
        let options = crate::exec::ExecutorOptions {
            parameters: Some(self.parameters.clone()),
            ..Default::default()
        };
        let executor = Executor::with_options(&self.gpu, plan, options).await?;
        Ok(Predictor { rows, executor, x, y, staging: None })
    }
}
