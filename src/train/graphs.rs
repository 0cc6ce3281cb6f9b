//! The graphs behind training, evaluation and prediction.

use super::task::Task;
use crate::data::{Data, Form, TargetForm, Targets};
use crate::exec::Step;
use crate::graph::{Graph, Loss, Tensor};
use crate::nn::Sequential;
use crate::plan::{Plan, PlanOptions, Precision, Target};
use crate::{Error, Result};

/// A graph that draws a batch from resident rows, runs the model on it and computes the loss and
/// the sums for the metrics; with an optimizer also gradients and the update.
#[derive(Clone, Debug)]
pub struct TrainingGraph {
    /// The graph.
    pub graph: Graph,
    /// Input: all features, rows × width.
    pub features: Tensor,
    /// Input: all targets, rows × width of `f32`, or rows of `u32` labels.
    pub targets: Tensor,
    /// Input: the order in which rows are drawn, `u32`.
    pub order: Tensor,
    /// Input: how often each row counts in the loss, if not once.
    pub weights: Option<Tensor>,
    /// The model's output for the batch, rows × output width.
    pub predictions: Tensor,
    /// Scalars of a step: the loss, then a sum per metric.
    pub results: Vec<Tensor>,
}

/// The rows that a graph is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// Rows on the device.
    pub(crate) resident: usize,
    /// Rows of a batch.
    pub(crate) batch: usize,
}

impl TrainingGraph {
    /// `at` is how many steps there were, and how many of them each parameter missed.
    pub(crate) fn new(
        task: &Task,
        trains: bool,
        form: Form,
        rows: Rows,
        missed: &[u64],
    ) -> Result<Self> {
        let model = &task.architecture;
        let mut graph = Graph::new();
        let features = graph.input("features", [rows.resident, form.width])?;
        let targets = input_of_targets(&mut graph, form, rows.resident)?;
        let order = graph.index_input("order", [rows.resident])?;
        let x = graph.batch(features, order, rows.batch)?;
        let t = graph.batch(targets, order, rows.batch)?;
        let (weights, batch_weights) = match form.weighted {
            true => {
                let weights = graph.input("weights", [rows.resident])?;
                (Some(weights), Some(graph.batch(weights, order, rows.batch)?))
            }
            false => (None, None),
        };
        let (predictions, parameters) = match trains {
            true => model.build_training(&mut graph, x)?,
            false => model.build(&mut graph, x)?,
        };
        let predictions = graph.as_lists(predictions)?;
        let results = task.results(&mut graph, predictions, t, batch_weights)?;
        if let (true, Some(&loss)) = (trains, results.first()) {
            let optimizer = &task.compile.optimizer;
            let missed = task.missed_of_trained(missed, 0, parameters.len());
            let parameters = task.trained(parameters, 0);
            let gradients = graph.gradients(loss, &parameters)?;
            let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
            optimizer.update(&mut graph, loss, &pairs, &missed)?;
        }
        Ok(Self { graph, features, targets, order, weights, predictions, results })
    }

    /// The plan whose results table has the loss and the metrics' sums.
    pub(crate) fn plan(&self, target: &Target, precision: Precision) -> Result<Plan> {
        let results = self.results.clone();
        let options = PlanOptions { results, precision, ..PlanOptions::default() };
        Plan::with_options(&self.graph, &options, target)
    }
}

/// The input for the targets of `rows` rows.
pub(crate) fn input_of_targets(graph: &mut Graph, form: Form, rows: usize) -> Result<Tensor> {
    match form.targets {
        TargetForm::Values { width } => graph.input("targets", [rows, width]),
        TargetForm::Classes { .. } => graph.index_input("labels", [rows]),
    }
}

/// # Errors
/// If the data does not fit the model or the loss; says which of them to change. `call` is the function
/// that the data was given to.
pub(crate) fn check_data(call: &str, model: &Sequential, loss: Loss, data: Data<'_>) -> Result<()> {
    let form = data.form()?;
    let (width, inputs) = (form.width, model.input_width());
    if width != inputs {
        let detail = format!(
            "the data has {width} features per row, the model takes {inputs}; give rows of {inputs}, \
             or make the model with `Sequential::new({width})`"
        );
        return Err(Error::shape(call, detail));
    }
    let outputs = model.output_width();
    let last_layer = |units: usize| format!("give the last dense layer {units} units");
    match form.targets {
        TargetForm::Classes { classes } if loss.takes_classes() => {
            if classes != outputs {
                let detail = format!(
                    "the data has {classes} classes, the model {outputs} outputs; {}, or count the \
                     classes of the data anew",
                    last_layer(classes)
                );
                return Err(Error::shape(call, detail));
            }
        }
        TargetForm::Values { width } if !loss.takes_classes() => {
            if width != outputs {
                let detail = format!(
                    "the data has {width} targets per row, the model {outputs} outputs; {}, or rows \
                     {outputs} targets",
                    last_layer(width)
                );
                return Err(Error::shape(call, detail));
            }
            // Those of a source are looked at when they are read.
            if let Data::Dataset(data) = data
                && let Targets::Values { data, width } = data.targets()
            {
                check_probabilities(loss, data, *width, |row| row)?;
            }
        }
        targets => {
            let (have, remedy) = match targets {
                TargetForm::Classes { .. } => (
                    "class labels",
                    "train with `Loss::SoftmaxCrossEntropy`, or give numbers by \
                     `Dataset::regression`",
                ),
                TargetForm::Values { .. } => (
                    "values",
                    "give class labels by `Dataset::classification`, or train with a loss of values \
                     (for probabilities of classes `Loss::SoftmaxCrossEntropyProbabilities`)",
                ),
            };
            let detail =
                format!("targets are {have}, which {} does not take; {remedy}", loss.name());
            return Err(Error::shape(call, detail));
        }
    }
    Ok(())
}

/// # Errors
/// [`Error::Argument`] naming the first target that is no probability, where the loss takes
/// probabilities, or the first row of them that does not sum to one. `number` says which row is which.
pub(crate) fn check_probabilities(
    loss: Loss,
    data: &[f32],
    width: usize,
    number: impl Fn(usize) -> usize,
) -> Result<()> {
    let rows = loss == Loss::SoftmaxCrossEntropyProbabilities;
    if loss != Loss::BinaryCrossEntropy && !rows {
        return Ok(());
    }
    for (place, row) in data.chunks(width.max(1)).enumerate() {
        if let Some(target) = row.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            let name = format!("a target of row {}", number(place));
            return Err(Error::argument(
                &name,
                target,
                &format!("from 0 to 1 for {}", loss.name()),
            ));
        }
        let sum: f32 = row.iter().sum();
        // Probabilities that were rounded to three digits still pass.
        if rows && (sum - 1.0).abs() > 1e-2 {
            let name = format!("the sum of the targets of row {}", number(place));
            return Err(Error::argument(&name, sum, "1: they are probabilities"));
        }
    }
    Ok(())
}

/// # Errors
/// [`Error::Argument`] naming the first feature that is infinite in 16 bits, as which mixed precision stores them.
/// `number` says which row is which.
pub(crate) fn check_half(
    features: &[f32],
    width: usize,
    number: impl Fn(usize) -> usize,
) -> Result<()> {
    const END: f32 = 65_520.0;
    if cfg!(target_arch = "wasm32") {
        return Ok(()); // a page trains in 32 bits
    }
    let Some(at) = features.iter().position(|x| x.abs() >= END) else { return Ok(()) };
    let (row, column) = (number(at / width.max(1)), at % width.max(1));
    let rule = "of a size below 65520 with mixed precision, whose numbers of 16 bits end there; standardize the data, or \
                train with `Precision::F32`";
    Err(Error::argument(&format!("feature {column} of row {row}"), features[at], rule))
}

/// The record of a step that only computes.
pub(crate) fn forward_step(batch_start: usize) -> Step {
    Step::forward(crate::kernel::word(batch_start))
}
