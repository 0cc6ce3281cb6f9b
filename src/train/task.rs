//! What is trained, and how.

use std::sync::Arc;

use super::kernels::Kernels;
#[cfg(not(target_arch = "wasm32"))]
use crate::data::Form;
use crate::data::{Data, Encoder, Targets};
use crate::exec::corrects;
use crate::graph::{Graph, Loss, Tensor, Unary};
use crate::nn::layers::{Activation, Softmax};
use crate::nn::{Metric, Optimizer, OwnMetric, RowFunction, Sequential, SharedFunction};
use crate::plan::Precision;
use crate::{Error, Result};

/// What a model is trained for and how: the arguments of Keras's `compile`.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    pub(crate) loss: Loss,
    pub(crate) optimizer: Optimizer,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) kernels: Kernels,
    pub(crate) precision: Precision,
    pub(crate) class_weights: Option<Vec<f32>>,
    /// What is minimised in place of `loss`, which then says what targets and outputs are.
    pub(crate) own_loss: Option<SharedFunction>,
    /// Those that `metrics` names.
    pub(crate) own_metrics: Vec<SharedFunction>,
}

impl TrainingConfig {
    /// Minimises `loss` with `optimizer`.
    pub fn new(loss: Loss, optimizer: Optimizer) -> Self {
        Self {
            loss,
            optimizer,
            metrics: Vec::new(),
            kernels: Kernels::Auto,
            precision: Precision::F32,
            class_weights: None,
            own_loss: None,
            own_metrics: Vec::new(),
        }
    }

    /// Minimises the mean over rows of a function of the program's own.
    pub fn of_rows(function: impl RowFunction, optimizer: Optimizer) -> Self {
        let own_loss = Some(SharedFunction(Arc::new(function)));
        let like = own_loss.as_ref().map_or(Loss::MeanSquaredError, |own| own.0.like());
        Self { own_loss, ..Self::new(like, optimizer) }
    }

    /// Reports the mean over rows of a function of the program's own too, under its name.
    pub fn metric_of_rows(self, function: impl RowFunction) -> Self {
        self.with_metric_of_rows(SharedFunction(Arc::new(function)))
    }

    pub(crate) fn with_metric_of_rows(mut self, function: SharedFunction) -> Self {
        let metric = OwnMetric::new(function.0.name(), function.0.direction());
        self.metrics.push(Metric::Own(metric));
        self.own_metrics.push(function);
        self
    }

    /// Trains with a weight for each class, by which the loss of its rows is multiplied: Keras's
    /// `class_weight`. For [`Loss::SoftmaxCrossEntropy`] there are as many as the model has outputs, for
    /// [`Loss::BinaryCrossEntropy`] of one output two; a row with [a weight of its
    /// own](crate::data::Dataset::with_weights) has the product. As there, the sum is divided by the number of
    /// rows, and what is evaluated or validated does not have them. See
    /// [`Dataset::balanced_class_weights`](crate::data::Dataset::balanced_class_weights).
    pub fn class_weights(mut self, weights: impl Into<Vec<f32>>) -> Self {
        self.class_weights = Some(weights.into());
        self
    }

    /// Reports `metric` too.
    pub fn metric(mut self, metric: Metric) -> Self {
        if !self.metrics.contains(&metric) {
            self.metrics.push(metric);
        }
        self
    }

    /// Trains with these kernels; [`Kernels::Auto`] unless set. Several lanes always train with the
    /// general ones.
    pub fn kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels;
        self
    }

    /// Trains with numbers stored in so many bits between kernels; [`Precision::F32`] unless set.
    /// [`Precision::mixed`] halves the memory and its traffic for what products read and write, but adds a copy of
    /// the weights, half as large as they are. It trains with the general kernels, over lanes too, but not over the
    /// stages of a pipeline. What is saved, evaluated and predicted with are the weights in 32 bits.
    ///
    /// # Errors
    /// To train on a feature of 65,520 or more in size is [`Error::Argument`]: standardize the data. Gradients that
    /// become infinite are [`Error::NotFinite`]: see [`Model::set_loss_scale`](super::Model::set_loss_scale); lanes
    /// are made anew with another loss scale, and take the state of those before.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }
}

/// An architecture with what it is trained for: what a [`Model`](super::Model) and lanes share. The
/// arguments stay together as they were given, so that none is lost from one to the other.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) architecture: Sequential,
    pub(crate) compile: TrainingConfig,
    /// What made features and targets of a table's columns, if they come from one.
    pub(crate) encoder: Option<Arc<Encoder>>,
}

impl Task {
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) or [`Error::Shape`](crate::Error::Shape) if the
    /// layers, the loss, the metrics or the optimizer are out of range or do not fit each other.
    pub(crate) fn new(architecture: Sequential, compile: TrainingConfig) -> Result<Self> {
        architecture.check()?;
        compile.optimizer.check()?;
        compile.loss.check()?;
        compile.precision.check()?;
        check_output(&architecture, compile.loss)?;
        for metric in &compile.metrics {
            match metric {
                Metric::Own(_) => {
                    check_own(metric.name(), &compile.metrics)?;
                    if !compile.own_metrics.iter().any(|own| own.0.name() == metric.name()) {
                        let rule = "given by `TrainingConfig::metric_of_rows`, with the function that it is";
                        return Err(Error::argument(
                            "metric",
                            format!("'{}'", metric.name()),
                            rule,
                        ));
                    }
                }
                metric => {
                    metric.count(compile.loss)?;
                }
            }
        }
        let task = Self { architecture, compile, encoder: None };
        task.check_class_weights()?;
        task.check_functions()?;
        Ok(task)
    }

    /// # Errors
    /// Those of a loss or a metric of the program's own that cannot be built for the model's outputs.
    fn check_functions(&self) -> Result<()> {
        if self.compile.own_loss.is_none() && self.compile.own_metrics.is_empty() {
            return Ok(());
        }
        let mut graph = Graph::outline();
        let outputs = self.architecture.output_width();
        // So that no other extent is mistaken for the number of rows.
        let rows = outputs.saturating_add(1);
        let predictions = graph.input("predictions", [rows, outputs])?;
        let targets = match self.compile.loss.takes_classes() {
            true => graph.index_input("labels", [rows])?,
            false => graph.input("targets", [rows, outputs])?,
        };
        self.results(&mut graph, predictions, targets, None)?;
        Ok(())
    }

    /// # Errors
    /// [`Error::Argument`] if the loss has no classes, there is not a weight for each, or one is out of range.
    pub(crate) fn check_class_weights(&self) -> Result<()> {
        let Some(weights) = &self.compile.class_weights else { return Ok(()) };
        let (loss, outputs) = (self.compile.loss, self.architecture.output_width());
        let classes = match loss {
            Loss::SoftmaxCrossEntropy => outputs,
            Loss::BinaryCrossEntropy if outputs == 1 => 2,
            _ => {
                let rule = "left out for a loss without classes; give weights of rows by \
                            `Dataset::with_weights`";
                return Err(Error::argument(
                    "class weights",
                    format!("with {}", loss.name()),
                    rule,
                ));
            }
        };
        if weights.len() != classes {
            let rule = format!("{classes}, one for each class");
            return Err(Error::argument("number of class weights", weights.len(), &rule));
        }
        for (class, &weight) in weights.iter().enumerate() {
            if !(weight >= 0.0 && weight.is_finite()) {
                let name = format!("weight of class {class}");
                return Err(Error::argument(&name, weight, "0 or more, and finite"));
            }
        }
        match weights.iter().all(|&weight| weight == 0.0) {
            true => Err(Error::argument("weights of all classes", 0, "above 0 for at least one")),
            false => Ok(()),
        }
    }

    /// Those of the `parameters` that are trained; `first` is the number of the first in the whole model.
    pub(crate) fn trained(&self, parameters: Vec<Tensor>, first: usize) -> Vec<Tensor> {
        let trained = self.architecture.trained().skip(first);
        parameters.into_iter().zip(trained).filter_map(|(t, is)| is.then_some(t)).collect()
    }

    /// Of the numbers of steps that each parameter `missed`, those of the parameters `first`.. that are trained, for
    /// [`Optimizer::update`](crate::nn::Optimizer); none if the rule corrects nothing. Also where a step is so late
    /// that corrections are 1: plans go by this, and a training that is resumed there has that of one that began
    /// before.
    pub(crate) fn missed_of_trained(&self, missed: &[u64], first: usize, count: usize) -> Vec<u64> {
        let rule = self.compile.optimizer.rule();
        let parameters = self.architecture.trained().zip(missed).skip(first).take(count);
        let trained = parameters.filter_map(|(trained, &missed)| trained.then_some(missed));
        let trained: Vec<u64> = trained.collect();
        let differs = corrects(rule) && trained.iter().any(|&missed| missed > 0);
        if differs { trained } else { Vec::new() }
    }

    /// # Errors
    /// [`Error::Argument`] if all layers are frozen.
    pub(crate) fn check_trained(&self) -> Result<()> {
        if self.architecture.trained().any(|trained| trained) {
            return Ok(());
        }
        let rule = "at least 1; train one by `unfreeze`";
        Err(Error::argument("number of layers that are not frozen", 0, rule))
    }

    /// What rows of `data` are, in training or in evaluation.
    ///
    /// # Errors
    /// As [`Data::form`].
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn form(&self, data: Data<'_>, trains: bool) -> Result<Form> {
        let form = data.form()?;
        let by_class = trains && self.compile.class_weights.is_some();
        Ok(Form { weighted: form.weighted || by_class, ..form })
    }

    /// How often rows of `data` count in the loss: each by its own weight, in training times that of its class.
    pub(crate) fn weighting(&self, data: Data<'_>, trains: bool) -> Weighting {
        let of_classes = self.compile.class_weights.as_ref().filter(|_| trains);
        let data = match (data, of_classes) {
            (Data::Dataset(data), _) => data,
            (Data::Source(_), Some(of_classes)) => return Weighting::Classes(of_classes.clone()),
            (Data::Source(_), None) => return Weighting::Once,
        };
        let by_class = of_classes.map(|of_classes| by_class(of_classes, data.targets()));
        match (data.weights(), by_class) {
            (None, None) => Weighting::Once,
            (Some(own), None) => Weighting::Rows(own.to_vec()),
            (None, Some(by_class)) => Weighting::Rows(by_class),
            (Some(own), Some(by_class)) => {
                Weighting::Rows(own.iter().zip(by_class).map(|(a, b)| a * b).collect())
            }
        }
    }

    /// Adds the loss and the sums of the metrics to a graph, in this order.
    pub(crate) fn results(
        &self,
        graph: &mut Graph,
        predictions: Tensor,
        targets: Tensor,
        weights: Option<Tensor>,
    ) -> Result<Vec<Tensor>> {
        let loss = self.compile.loss;
        let value = match (&self.compile.own_loss, weights) {
            (Some(own), weights) => {
                let of_rows = own.of_rows(graph, predictions, targets)?;
                let of_rows = match weights {
                    Some(weights) => graph.mul(of_rows, weights)?,
                    None => of_rows,
                };
                graph.mean(of_rows, 0)?
            }
            (None, Some(weights)) => graph.weighted_loss(loss, predictions, targets, weights)?,
            (None, None) => graph.loss(loss, predictions, targets)?,
        };
        let mut results = vec![value];
        for metric in &self.compile.metrics {
            let own = |function: &&SharedFunction| function.0.name() == metric.name();
            let function = match metric {
                Metric::Own(_) => self.compile.own_metrics.iter().find(own),
                _ => None,
            };
            results.push(match function {
                Some(function) => {
                    let of_rows = function.of_rows(graph, predictions, targets)?;
                    graph.sum(of_rows, 0)?
                }
                None => graph.count(metric.count(loss)?, predictions, targets)?,
            });
        }
        Ok(results)
    }

    /// The same task over the features and targets of `encoder`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the layers take or give another number of columns than the encoder.
    pub(crate) fn with_encoder(mut self, encoder: Encoder) -> Result<Self> {
        let (inputs, outputs) = (encoder.width(), encoder.targets().outputs());
        let (takes, gives) = (self.architecture.input_width(), self.architecture.output_width());
        // Two classes may be one question.
        let binary = self.compile.loss == Loss::BinaryCrossEntropy && outputs == 2 && gives == 1;
        if takes != inputs || gives != outputs && !binary {
            let detail = format!(
                "it makes {inputs} features and needs {outputs} outputs, but the layers take {takes} \
                 and give {gives}; make them for `Encoder::width` and `TargetEncoding::outputs`"
            );
            return Err(Error::shape("encoder", detail));
        }
        self.encoder = Some(Arc::new(encoder));
        Ok(self)
    }
}

/// How often rows count in the loss.
#[derive(Clone, Debug)]
pub(crate) enum Weighting {
    /// Each once.
    Once,
    /// Each row by a number of its own.
    Rows(Vec<f32>),
    /// By the class of a row, which is known when it has been read.
    Classes(Vec<f32>),
}

/// The weight of each row's class.
pub(crate) fn by_class(of_classes: &[f32], targets: &Targets) -> Vec<f32> {
    let of_class = |class: usize| of_classes.get(class).copied().unwrap_or(1.0);
    match targets {
        Targets::Classes { labels, .. } => {
            labels.iter().map(|&label| of_class(label as usize)).collect()
        }
        // Of a probability the likelier class, as Keras rounds them.
        Targets::Values { data, .. } => {
            data.iter().map(|&t| of_class(usize::from(t > 0.5))).collect()
        }
    }
}

/// # Errors
/// If the last layer and the loss apply the same function twice, or the loss would always be 0.
fn check_output(model: &Sequential, loss: Loss) -> Result<()> {
    let softmax =
        matches!(loss, Loss::SoftmaxCrossEntropy | Loss::SoftmaxCrossEntropyProbabilities);
    let binary = loss == Loss::BinaryCrossEntropy;
    let last = model.layers().last();
    let ends_in_softmax = last.is_some_and(|layer| layer.downcast_ref::<Softmax>().is_some());
    let function = last.and_then(|layer| layer.downcast_ref::<Activation>());
    if ends_in_softmax && (softmax || binary) {
        let detail =
            "takes logits; leave the softmax layer out, `predict_probabilities` applies it";
        return Err(Error::shape(loss.name(), detail));
    }
    if function == Some(&Activation(Unary::Sigmoid)) && binary {
        let detail = "takes logits; leave the sigmoid out, `predict_probabilities` applies it";
        return Err(Error::shape(loss.name(), detail));
    }
    if softmax && model.output_width() == 1 {
        let detail = "the model has 1 output, whose softmax is always 1 and its loss always 0; \
                      use `Loss::BinaryCrossEntropy` for one output, or one output per class";
        return Err(Error::shape(loss.name(), detail));
    }
    Ok(())
}

/// # Errors
/// [`Error::Argument`] if the name of a metric of the program's own is that of another figure.
fn check_own(name: &str, metrics: &[Metric]) -> Result<()> {
    // Of other columns of a log file.
    const TAKEN: [&str; 4] = ["epoch", "loss", "learning_rate", "seconds"];
    let same = metrics.iter().chain(&Metric::ALL).filter(|other| other.name() == name).count();
    let plain = name.chars().all(|c| c.is_alphanumeric() || "_-.@".contains(c));
    if same == 1 && plain && !TAKEN.contains(&name) && !name.is_empty() && !name.starts_with("val_")
    {
        return Ok(());
    }
    let rule = "a name that no other figure has, of letters, digits, `_`, `-`, `.` and `@`, that does not begin \
                with `val_`";
    Err(Error::argument("name of a metric", format!("'{name}'"), rule))
}
