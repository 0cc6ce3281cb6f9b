//! What a model's file says beside the tensors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::container::NamedTensor;
use super::{ModelFile, refused};
use crate::data::Encoder;
use crate::graph::Loss;
use crate::nn::{Loaders, Metric, Optimizer, Setting, Settings, StackSettings};
use crate::train::kernels::Kernels;
use crate::train::progress::Progress;
use crate::train::state::TrainingState;
use crate::train::task::{Task, TrainingConfig};
use crate::{Error, Result};

/// The version of the form; a program reads its own.
const VERSION: u32 = 1;

/// What the names of the optimizer's tensors begin with. No layer's do: theirs end in a number.
const OPTIMIZER: &str = "optimizer.";

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
    step: u64,
    progress: Progress,
    learning_rate: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder: Option<Encoder>,
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
        let ModelFile { task, state, progress, learning_rate } = file;
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
            step: state.step,
            progress: *progress,
            learning_rate: *learning_rate,
            encoder: encoder.as_deref().cloned(),
        };
        let names = state_names(compile);
        let mut tensors = BTreeMap::new();
        let parts = architecture.parameter_shapes().zip(&state.values).zip(&state.states);
        for (((name, shape), values), states) in parts {
            let tensor = |values: &Vec<f32>| NamedTensor {
                shape: shape.dims().to_vec(),
                values: values.clone(),
            };
            tensors.insert(name.clone(), tensor(values));
            for (state, values) in names.iter().zip(states) {
                tensors.insert(format!("{OPTIMIZER}{state}.{name}"), tensor(values));
            }
        }
        Ok((header, tensors))
    }

    /// The model of this header and these tensors.
    pub(super) fn model(
        self,
        mut tensors: BTreeMap<String, NamedTensor>,
        loaders: &Loaders,
    ) -> Result<ModelFile> {
        let stack = stack_from_json(&self.layers)?;
        let architecture = loaders.stack(&stack)?.seed(self.seed);
        let mut compile = TrainingConfig::new(self.loss, self.optimizer).kernels(self.kernels);
        compile = self.metrics.into_iter().fold(compile, TrainingConfig::metric);
        if let Some(rate) = self.learning_rate {
            crate::nn::optimizer::check_learning_rate(rate)?;
        }
        let mut task = Task::new(architecture, compile)?;
        if let Some(encoder) = self.encoder {
            task = task.with_encoder(encoder)?;
        }
        let mut take = |name: String, shape: &[usize]| match tensors.remove(&name) {
            Some(tensor) if tensor.shape == shape => Ok(tensor.values),
            Some(tensor) => Err(refused(format!(
                "tensor '{name}' is {:?}, its layer has {shape:?}",
                tensor.shape
            ))),
            None => Err(refused(format!("tensor '{name}' of {shape:?} is missing"))),
        };
        let names = state_names(&task.compile);
        let mut state = TrainingState { step: self.step, ..TrainingState::default() };
        for (name, shape) in task.architecture.parameter_shapes() {
            state.values.push(take(name.clone(), shape.dims())?);
            let states = names.iter().map(|state| format!("{OPTIMIZER}{state}.{name}"));
            let states = states.map(|name| take(name, shape.dims())).collect::<Result<_>>()?;
            state.states.push(states);
        }
        if let Some(name) = tensors.keys().next() {
            return Err(refused(format!("tensor '{name}' is of no layer of the model")));
        }
        state.check(&task)?;
        Ok(ModelFile { task, state, progress: self.progress, learning_rate: self.learning_rate })
    }
}

/// Names of the optimizer's states, as they stand in names of tensors: `mean_square_of_the_gradients`.
fn state_names(compile: &TrainingConfig) -> Vec<String> {
    let names = compile.optimizer.rule().state_names().iter();
    names.map(|name| name.replace(' ', "_").replace('\'', "")).collect()
}

/// `{"input": [10], "layers": [{"layer": "dense", "units": 64, …}, …]}`.
fn stack_to_json(stack: &StackSettings) -> Result<Value> {
    let layers = stack.layers.iter().map(|(name, settings)| {
        let mut object = Map::new();
        object.insert(LAYER.into(), name.clone().into());
        for (key, value) in settings.iter() {
            let value = match value {
                // As f64, which is written and read back exactly.
                &Setting::Number(number) => serde_json::Number::from_f64(number.into())
                    .map(Value::Number)
                    .ok_or_else(|| {
                        Error::argument(
                            &format!("setting `{key}` of layer '{name}'"),
                            number,
                            "finite",
                        )
                    })?,
                &Setting::Integer(integer) => integer.into(),
                Setting::Text(text) => text.clone().into(),
                Setting::Stack(stack) => stack_to_json(stack)?,
            };
            if object.insert(key.into(), value).is_some() {
                let rule = format!("another than `{LAYER}`, which is the layer's name");
                return Err(Error::argument("name of a setting", key, &rule));
            }
        }
        Ok(Value::Object(object))
    });
    let layers = layers.collect::<Result<Vec<_>>>()?;
    Ok(serde_json::json!({ INPUT: stack.input.dims(), LAYERS: layers }))
}

const INPUT: &str = "input";
const LAYERS: &str = "layers";
const LAYER: &str = "layer";

fn stack_from_json(value: &Value) -> Result<StackSettings> {
    let wrong = |what: &str| refused(format!("its description has {what}"));
    let input = value.get(INPUT).and_then(Value::as_array);
    let input = input.ok_or_else(|| wrong("a stack without its input's shape"))?.iter();
    let input = input.map(|extent| extent.as_u64().and_then(|extent| extent.try_into().ok()));
    let input: Vec<usize> =
        input.collect::<Option<_>>().ok_or_else(|| wrong("an input's shape that is none"))?;
    let layers = value.get(LAYERS).and_then(Value::as_array);
    let layers = layers.ok_or_else(|| wrong("a stack without layers"))?.iter().map(|layer| {
        let object = layer.as_object().ok_or_else(|| wrong("a layer that is no object"))?;
        let name = object.get(LAYER).and_then(Value::as_str);
        let name = name.ok_or_else(|| wrong("a layer without a name"))?;
        let settings = object.iter().filter(|(key, _)| *key != LAYER);
        let settings = settings.map(|(key, value)| Ok((key, setting(value)?)));
        let settings = settings.collect::<Result<Vec<_>>>()?.into_iter();
        let settings =
            settings.fold(Settings::new(), |settings, (key, value)| settings.with(key, value));
        Ok((name.to_string(), settings))
    });
    Ok(StackSettings { input: input.into(), layers: layers.collect::<Result<_>>()? })
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
