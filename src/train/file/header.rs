//! What a model's file says beside the tensors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::model_file::{ModelFile, refused};
use super::tensor::NamedTensor;
use crate::data::Encoder;
use crate::graph::{Loss, Shape};
use crate::nn::optimizer::check_learning_rate;
use crate::nn::{Loaders, Metric, Optimizer, Setting, Settings, SharedFunction, StackSettings};
use crate::plan::Precision;
use crate::train::fit::state::FitState;
#[cfg(not(target_arch = "wasm32"))]
use crate::train::fit::state::Moment;
use crate::train::kernels::Kernels;
use crate::train::progress::Progress;
use crate::train::state::TrainingState;
use crate::train::task::{Task, TrainingConfig};
use crate::{Error, Result};

/// The version of the form; a program reads its own.
const VERSION: u32 = 1;

/// A model without its tensors.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    version: u32,
    /// Of wgrad that wrote it.
    wgrad: String,
    layers: Value,
    seed: u64,
    loss: Loss,
    optimizer: Optimizer,
    metrics: Vec<Metric>,
    kernels: Kernels,
    #[serde(default, skip_serializing_if = "is_default")]
    precision: Precision,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_weights: Option<Vec<f32>>,
    /// Loss and metrics of the program's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_loss: Option<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    own_metrics: Vec<Value>,
    step: u64,
    /// Those that each parameter missed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missed: Vec<u64>,
    progress: Progress,
    learning_rate: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder: Option<Encoder>,
    /// The call of `fit` that it is a checkpoint of.
    fit: Option<FitState>,
    /// Which of its callbacks remember weights.
    remembers: Vec<bool>,
}

impl Header {
    /// The outer result is that of reading the text, the inner one [`Error::ModelFile`] if another version
    /// wrote it.
    pub(super) fn check_version(text: &str) -> Result<Result<()>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Versions {
            version: u32,
            wgrad: String,
        }
        let Versions { version, wgrad } = serde_json::from_str(text)?;
        Ok(if version == VERSION {
            Ok(())
        } else {
            Err(refused(format!(
                "it is of form {version}, written by wgrad {wgrad}; this is wgrad {}, which reads form \
                 {VERSION}: load it with that release",
                env!("CARGO_PKG_VERSION")
            )))
        })
    }

    pub(super) fn of(file: &ModelFile) -> Result<(Self, BTreeMap<String, NamedTensor>)> {
        let ModelFile { task, state, progress, learning_rate, fit } = file;
        let Task { architecture, compile, encoder } = task;
        let stack = StackSettings::of(architecture).map_err(|place| {
            let name = architecture.layers().nth(place).map_or("", |layer| layer.name());
            refused(format!(
                "layer {place} ({name}), or one within it, has no settings and cannot be saved; implement \
                 `Layer::settings` for it, and tell `Loaders::layer` how to make it again"
            ))
        })?;
        let header = Self {
            version: VERSION,
            wgrad: env!("CARGO_PKG_VERSION").into(),
            layers: stack_to_json(&stack)?,
            seed: architecture.own_seed(),
            loss: compile.loss,
            optimizer: compile.optimizer.clone(),
            metrics: compile.metrics.clone(),
            kernels: compile.kernels,
            precision: compile.precision,
            class_weights: compile.class_weights.clone(),
            own_loss: compile.own_loss.as_ref().map(function_to_json).transpose()?,
            own_metrics: compile.own_metrics.iter().map(function_to_json).collect::<Result<_>>()?,
            step: state.step,
            missed: state.missed.clone(),
            progress: *progress,
            learning_rate: *learning_rate,
            encoder: encoder.as_deref().cloned(),
            fit: fit.as_deref().cloned(),
            remembers: fit.iter().flat_map(|fit| &fit.remembered).map(Option::is_some).collect(),
        };
        // No layer's name begins as these do: theirs end in a number.
        let names = compile.optimizer.rule().state_tensors();
        let mut tensors = BTreeMap::new();
        let parts = architecture.parameter_shapes().zip(&state.values).zip(&state.states);
        for (((name, shape), values), states) in parts {
            let tensor = |values: &Vec<f32>| NamedTensor {
                shape: shape.dims().to_vec(),
                values: values.clone(),
            };
            tensors.insert(name.clone(), tensor(values));
            for (state, values) in names.iter().zip(states) {
                tensors.insert(format!("{state}.{name}"), tensor(values));
            }
        }
        if let Some(fit) = fit {
            let losses = &fit.batch_losses;
            let losses = NamedTensor { shape: vec![losses.len()], values: losses.clone() };
            tensors.insert(LOSSES.into(), losses);
            for (callback, remembered) in fit.remembered.iter().enumerate() {
                let remembered = remembered.iter().flatten();
                for ((name, shape), values) in architecture.parameter_shapes().zip(remembered) {
                    let tensor =
                        NamedTensor { shape: shape.dims().to_vec(), values: values.clone() };
                    tensors.insert(remembered_name(callback, name), tensor);
                }
            }
        }
        Ok((header, tensors))
    }

    /// The model of this header and these tensors.
    pub(super) fn model(
        self,
        tensors: BTreeMap<String, NamedTensor>,
        loaders: &Loaders,
    ) -> Result<ModelFile> {
        let stack = stack_from_json(&self.layers)?;
        let architecture = loaders.stack(&stack)?.seed(self.seed);
        let config = TrainingConfig::new(self.loss, self.optimizer.clone()).kernels(self.kernels);
        let function = |value: &Value| -> Result<SharedFunction> {
            let (name, settings) = named_from_json(value, FUNCTION)?;
            Ok(SharedFunction(loaders.load_function(&name, &settings)?))
        };
        let config = TrainingConfig {
            class_weights: self.class_weights.clone(),
            own_loss: self.own_loss.as_ref().map(function).transpose()?,
            own_metrics: self.own_metrics.iter().map(function).collect::<Result<_>>()?,
            metrics: self.metrics.clone(),
            precision: self.precision,
            ..config
        };
        let mut task = Task::new(architecture, config)?;
        if let Some(encoder) = self.encoder.clone() {
            task = task.with_encoder(encoder)?;
        }
        self.with_tensors(task, tensors)
    }

    /// The moment of a training of `task` that it is of; `None` if it is of none.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first thing in which it is of another task.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn moment(
        self,
        tensors: BTreeMap<String, NamedTensor>,
        task: &Task,
    ) -> Result<Option<Moment>> {
        let own = ModelFile::of(task, TrainingState::default(), Progress::default(), None);
        let (own, _) = Self::of(&own)?;
        let same = |what: &str, found: String, wanted: String| match found == wanted {
            true => Ok(()),
            false => {
                let name = format!("{what} of the training that is resumed");
                let rule = format!(
                    "{wanted}, as the model at hand has; give the model that it began with, or begin anew in \
                     another folder"
                );
                Err(Error::argument(&name, found, &rule))
            }
        };
        same("layers", self.layers.to_string(), own.layers.to_string())?;
        same("seed", self.seed.to_string(), own.seed.to_string())?;
        same("loss", format!("{:?}", self.loss), format!("{:?}", own.loss))?;
        same("optimizer", format!("{:?}", self.optimizer), format!("{:?}", own.optimizer))?;
        same("metrics", format!("{:?}", self.metrics), format!("{:?}", own.metrics))?;
        same("kernels", format!("{:?}", self.kernels), format!("{:?}", own.kernels))?;
        // What overflowed goes on with a smaller loss scale.
        let bits = |of: &Self| if of.precision.is_mixed() { "mixed" } else { "32 bits" };
        same("precision", bits(&self).into(), bits(&own).into())?;
        let functions = |of: &Self| format!("{:?} {:?}", of.own_loss, of.own_metrics);
        same("loss and metrics of the program's own", functions(&self), functions(&own))?;
        let weights = |of: &Self| format!("{:?}", of.class_weights);
        same("class weights", weights(&self), weights(&own))?;
        let ModelFile { state, progress, learning_rate, fit, .. } =
            self.with_tensors(task.clone(), tensors)?;
        Ok(fit.map(|fit| Moment { state, progress, learning_rate, fit: *fit }))
    }

    /// The tensors at their places.
    fn with_tensors(
        self,
        task: Task,
        mut tensors: BTreeMap<String, NamedTensor>,
    ) -> Result<ModelFile> {
        if let Some(rate) = self.learning_rate {
            check_learning_rate(rate)?;
        }
        let mut take = |name: String, shape: &[usize]| match tensors.remove(&name) {
            Some(tensor) if tensor.shape == shape => Ok(tensor.values),
            Some(tensor) => Err(refused(format!(
                "tensor '{name}' is {:?}, its layer has {shape:?}",
                tensor.shape
            ))),
            None => Err(refused(format!("tensor '{name}' of {shape:?} is missing"))),
        };
        let names = task.compile.optimizer.rule().state_tensors();
        let shapes = || task.architecture.parameter_shapes();
        let (step, missed) = (self.step, self.missed);
        let mut state = TrainingState { step, missed, ..TrainingState::default() };
        for (name, shape) in shapes() {
            state.values.push(take(name.clone(), shape.dims())?);
            let states = names.iter().map(|state| format!("{state}.{name}"));
            let states = states.map(|name| take(name, shape.dims())).collect::<Result<_>>()?;
            state.states.push(states);
        }
        state.check(&task)?;
        let mut fit = self.fit;
        if let Some(fit) = &mut fit {
            for (callback, &remembers) in self.remembers.iter().enumerate() {
                let mut tensor = |(name, shape): &(String, Shape)| {
                    take(remembered_name(callback, name), shape.dims())
                };
                let remembered =
                    remembers.then(|| shapes().map(&mut tensor).collect::<Result<_>>());
                fit.remembered.push(remembered.transpose()?);
            }
            let losses = tensors.remove(LOSSES);
            let missing = || refused(format!("tensor '{LOSSES}' is missing"));
            fit.batch_losses = losses.ok_or_else(missing)?.values;
        }
        if let Some(name) = tensors.keys().next() {
            return Err(refused(format!("tensor '{name}' is of no layer of the model")));
        }
        let (progress, learning_rate) = (self.progress, self.learning_rate);
        Ok(ModelFile { task, state, progress, learning_rate, fit: fit.map(Box::new) })
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The loss of every step of a call of `fit`.
const LOSSES: &str = "history.batch_losses";

/// The name of a parameter's values that a callback remembers.
fn remembered_name(callback: usize, parameter: &str) -> String {
    format!("remembered.{callback}.{parameter}")
}

/// `{"input": [10], "layers": [{"layer": "dense", "units": 64, …}, …]}`, with `"frozen": [0]` if layers are.
fn stack_to_json(stack: &StackSettings) -> Result<Value> {
    let layers = stack.layers.iter().map(|(name, settings)| named_to_json(name, settings, LAYER));
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let mut object = Map::new();
    object.insert(INPUT.into(), stack.input.dims().into());
    object.insert(LAYERS.into(), layers.into());
    if !stack.frozen.is_empty() {
        object.insert(FROZEN.into(), stack.frozen.clone().into());
    }
    Ok(Value::Object(object))
}

/// `{"layer": "dense", "units": 64, …}`: a name under `kind`, and settings.
fn named_to_json(name: &str, settings: &Settings, kind: &str) -> Result<Value> {
    let mut object = Map::new();
    object.insert(kind.into(), name.into());
    for (key, value) in settings.iter() {
        let value = match value {
            // As f64, which is written and read back exactly.
            &Setting::Number(number) => {
                serde_json::Number::from_f64(number.into()).map(Value::Number).ok_or_else(|| {
                    let setting = format!("setting `{key}` of {kind} '{name}'");
                    Error::argument(&setting, number, "finite")
                })?
            }
            &Setting::Integer(integer) => integer.into(),
            Setting::Text(text) => text.clone().into(),
            Setting::Stack(stack) => stack_to_json(stack)?,
        };
        if object.insert(key.into(), value).is_some() {
            let rule = format!("another than `{kind}`, which is the {kind}'s name");
            return Err(Error::argument("name of a setting", key, &rule));
        }
    }
    Ok(Value::Object(object))
}

/// A loss or metric of the program's own.
fn function_to_json(function: &SharedFunction) -> Result<Value> {
    let name = function.0.name();
    let settings = function.0.settings().ok_or_else(|| {
        refused(format!(
            "the loss or metric '{name}' has no settings and cannot be saved; implement \
             `RowFunction::settings` for it, and tell `Loaders::function` how to make it again"
        ))
    })?;
    named_to_json(name, &settings, FUNCTION)
}

const FUNCTION: &str = "function";
const INPUT: &str = "input";
const LAYERS: &str = "layers";
const LAYER: &str = "layer";
const FROZEN: &str = "frozen";

fn stack_from_json(value: &Value) -> Result<StackSettings> {
    let wrong = |what: &str| refused(format!("its description has {what}"));
    let input = value.get(INPUT).and_then(Value::as_array);
    let input = input.ok_or_else(|| wrong("a stack without its input's shape"))?.iter();
    let input = input.map(|extent| extent.as_u64().and_then(|extent| extent.try_into().ok()));
    let input: Vec<usize> =
        input.collect::<Option<_>>().ok_or_else(|| wrong("an input's shape that is none"))?;
    let layers = value.get(LAYERS).and_then(Value::as_array);
    let layers = layers.ok_or_else(|| wrong("a stack without layers"))?.iter();
    let layers = layers.map(|layer| named_from_json(layer, LAYER));
    let layers = layers.collect::<Result<_>>()?;
    let frozen = match value.get(FROZEN) {
        None => Vec::new(),
        Some(places) => serde_json::from_value(places.clone())
            .map_err(|_| wrong("frozen layers without places"))?,
    };
    Ok(StackSettings { input: input.into(), layers, frozen })
}

fn named_from_json(value: &Value, kind: &str) -> Result<(String, Settings)> {
    let wrong = |what: &str| refused(format!("its description has a {kind} {what}"));
    let object = value.as_object().ok_or_else(|| wrong("that is no object"))?;
    let name = object.get(kind).and_then(Value::as_str);
    let name = name.ok_or_else(|| wrong("without a name"))?;
    let settings = object.iter().filter(|(key, _)| *key != kind);
    let settings = settings.map(|(key, value)| Ok((key, setting(value)?)));
    let settings = settings.collect::<Result<Vec<_>>>()?.into_iter();
    let settings =
        settings.fold(Settings::new(), |settings, (key, value)| settings.with(key, value));
    Ok((name.to_string(), settings))
}

fn setting(value: &Value) -> Result<Setting> {
    Ok(match value {
        Value::String(text) => Setting::Text(text.clone()),
        Value::Object(_) => Setting::Stack(stack_from_json(value)?),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(integer), _) => Setting::Integer(integer),
            (None, Some(number)) => Setting::Number(number as f32),
            (None, None) => return Err(refused(format!("a layer's setting is {number}"))),
        },
        other => return Err(refused(format!("a layer's setting is {other}, which is none"))),
    })
}
