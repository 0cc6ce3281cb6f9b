//! `ModelConfig`: layers, loss, optimizer and metrics as wgrad's own.

use std::sync::Arc;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use wgrad::graph::{Unary, UpdateRule};
use wgrad::nn::layers::{Activation, Dense, Dropout, LayerNorm, Softmax};
use wgrad::nn::{Init, Layer, LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{Kernels, TrainingConfig};

use crate::convert::floats;
use crate::error::{Result, argument};
use crate::options::{Options, choose, number, shown};

/// What the core has, by the names that it has there.
pub fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|&one| (name(one), one)).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Dense,
    Dropout,
    LayerNorm,
    Softmax,
    Activation(Unary),
}

/// All layers; the activations are those of the core.
fn kinds() -> Vec<(&'static str, Kind)> {
    let activations = named(Unary::ALL, Unary::name).into_iter();
    let activations = activations.map(|(name, function)| (name, Kind::Activation(function)));
    let others = [
        ("dense", Kind::Dense),
        ("dropout", Kind::Dropout),
        ("layer_norm", Kind::LayerNorm),
        ("softmax", Kind::Softmax),
    ];
    others.into_iter().chain(activations).collect()
}

/// The architecture and what it is trained for.
pub fn read(config: &JsValue) -> Result<(Sequential, TrainingConfig)> {
    let mut config = Options::new("config", config)?;
    let inputs = config.need_count("inputs", "the number of features per row, at least 1")?;
    let mut model = Sequential::new(inputs);
    let layers = config.need("layers", "an array of layers")?;
    if !Array::is_array(&layers) {
        return Err(argument("config.layers", shown(&layers), "an array of layers"));
    }
    for (index, value) in layers.unchecked_into::<Array>().iter().enumerate() {
        model = model.shared_layer(layer(index, &value)?);
    }
    if let Some(seed) = config.seed()? {
        model = model.seed(seed);
    }
    let loss = loss(&mut config)?;
    let rule = "an object such as { name: 'adam', learningRate: 0.001 }";
    let mut compile = TrainingConfig::new(loss, optimizer(&config.need("optimizer", rule)?)?);
    if let Some(wanted) = config.get("metrics")? {
        if !Array::is_array(&wanted) {
            return Err(argument("config.metrics", shown(&wanted), "an array of names"));
        }
        let metrics = named(&Metric::ALL, Metric::name);
        for (index, metric) in wanted.unchecked_into::<Array>().iter().enumerate() {
            compile =
                compile.metric(choose(&metric, &format!("config.metrics[{index}]"), &metrics)?);
        }
    }
    if let Some(kernels) = config.choice("kernels", &named(&Kernels::ALL, Kernels::name))? {
        compile = compile.kernels(kernels);
    }
    if let Some(weights) = config.get("classWeights")? {
        compile = compile.class_weights(floats("config.classWeights", &weights)?);
    }
    config.finish()?;
    Ok((model, compile))
}

/// A name, or an object with the name and what else there is to say.
fn loss(config: &mut Options) -> Result<Loss> {
    let losses = named(&Loss::ALL, Loss::name);
    let Some(value) = config.get("loss")?.filter(|value| value.is_object()) else {
        return config.need_choice("loss", &losses);
    };
    let mut options = Options::new("config.loss", &value)?;
    let mut loss = options.need_choice("name", &losses)?;
    if let Loss::Huber { delta } = &mut loss {
        *delta = options.number("delta")?.unwrap_or(*delta);
    }
    options.finish()?;
    Ok(loss)
}

fn layer(index: usize, value: &JsValue) -> Result<Arc<dyn Layer>> {
    let mut options = Options::new(format!("config.layers[{index}]"), value)?;
    let layer: Arc<dyn Layer> = match options.need_choice("type", &kinds())? {
        Kind::Dense => {
            let units = options.need_count("units", "the number of units, at least 1")?;
            let init = options.choice("init", &named(&Init::ALL, Init::name))?.unwrap_or_default();
            Arc::new(Dense { units, init })
        }
        Kind::Activation(function) => {
            let Some((name, usual)) = function.parameter() else {
                options.finish()?;
                return Ok(Arc::new(Activation(function)));
            };
            let value = options.number(name)?.unwrap_or(usual);
            if !value.is_finite() {
                return Err(argument(options.path(name), value.to_string(), "finite"));
            }
            Arc::new(Activation(function.with_parameter(value)))
        }
        Kind::Dropout => {
            let rate = options.number("rate")?.ok_or_else(|| {
                argument(options.path("rate"), "missing", "the share that is dropped, below 1")
            })?;
            Arc::new(Dropout { rate })
        }
        Kind::LayerNorm => {
            let usual = LayerNorm::default();
            Arc::new(LayerNorm { epsilon: options.number("epsilon")?.unwrap_or(usual.epsilon) })
        }
        Kind::Softmax => Arc::new(Softmax),
    };
    options.finish()?;
    Ok(layer)
}

/// Its rule's hyperparameters are fields under the names that the core calls them by, written as JavaScript's are.
fn optimizer(value: &JsValue) -> Result<Optimizer> {
    let mut options = Options::new("config.optimizer", value)?;
    let mut rule = options.need_choice("name", &named(UpdateRule::ALL, UpdateRule::name))?;
    let rate = options.number("learningRate")?.ok_or_else(|| {
        argument("config.optimizer.learningRate", "missing", "positive and finite")
    })?;
    for (name, usual) in rule.hyperparameters() {
        let value = options.number(&camel_case(name))?.unwrap_or(usual);
        rule = rule.with_hyperparameter(name, value).unwrap_or(rule);
    }
    let optimizer = Optimizer::new(rule, rate);
    let optimizer = match options.number("clipNorm")? {
        Some(norm) => optimizer.clip_norm(norm),
        None => optimizer,
    };
    let optimizer = match options.number("l1")? {
        Some(penalty) => optimizer.l1(penalty),
        None => optimizer,
    };
    let optimizer = match options.get("schedule")? {
        Some(value) => optimizer.schedule(schedule(&value)?),
        None => optimizer,
    };
    options.finish()?;
    Ok(optimizer)
}

#[derive(Clone, Copy)]
enum Course {
    Constant,
    Step,
    Cosine,
}

fn schedule(value: &JsValue) -> Result<LearningRateSchedule> {
    let mut options = Options::new("config.optimizer.schedule", value)?;
    let courses =
        [("constant", Course::Constant), ("step", Course::Step), ("cosine", Course::Cosine)];
    let schedule = match options.need_choice("name", &courses)? {
        Course::Constant => LearningRateSchedule::Constant,
        Course::Step => {
            let every = options.need_count("every", "the steps between two changes, at least 1")?;
            let factor = options.need("factor", "the factor of each change, from 0 to 1")?;
            let factor = number(&factor, &options.path("factor"))?;
            LearningRateSchedule::step(every as u64, factor)
        }
        Course::Cosine => {
            let steps = options.need_count("steps", "the length in steps, at least 1")?;
            let floor = options.get("floor")?;
            let floor = floor.map(|floor| number(&floor, &options.path("floor"))).transpose()?;
            LearningRateSchedule::cosine(steps as u64, floor.unwrap_or(0.0))
        }
    };
    let schedule = match options.count("warmUp")? {
        Some(steps) => schedule.warm_up(steps as u64),
        None => schedule,
    };
    options.finish()?;
    Ok(schedule)
}

/// `weightDecay` of `weight_decay`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |sum, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        sum + &initial.to_ascii_uppercase() + rest
    })
}
