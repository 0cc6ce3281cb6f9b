//! `ModelConfig`: layers, loss, optimizer and metrics as wgrad's own.

use std::sync::Arc;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use wgrad::graph::Unary;
use wgrad::nn::layers::{Activation, Dense, Softmax};
use wgrad::nn::{Init, Layer, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{Kernels, TrainingConfig};

use crate::error::{Result, argument};
use crate::options::{Options, choose, shown};

const KERNELS: [(&str, Kernels); 3] = [
    ("general", Kernels::General),
    ("whole_step", Kernels::WholeStep),
    ("whole_step_in_memory", Kernels::WholeStepInMemory),
];

/// What the core has, by the names that it has there.
fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|&one| (name(one), one)).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Dense,
    Activation(Unary),
    Softmax,
}

/// All layers; the activations are those of the core.
fn kinds() -> Vec<(&'static str, Kind)> {
    let activations = named(Unary::ALL, Unary::name).into_iter();
    let activations = activations.map(|(name, function)| (name, Kind::Activation(function)));
    [("dense", Kind::Dense), ("softmax", Kind::Softmax)].into_iter().chain(activations).collect()
}

#[derive(Clone, Copy)]
enum Rule {
    Sgd,
    Momentum,
    Nesterov,
    Adam,
    AdamW,
}

const RULES: [(&str, Rule); 5] = [
    ("sgd", Rule::Sgd),
    ("momentum", Rule::Momentum),
    ("nesterov", Rule::Nesterov),
    ("adam", Rule::Adam),
    ("adamw", Rule::AdamW),
];

/// The architecture and what it is trained for.
pub fn read(config: &JsValue) -> Result<(Sequential, TrainingConfig)> {
    let mut config = Options::new("config", config)?;
    let inputs = config.count("inputs")?.ok_or_else(|| {
        argument("config.inputs", "missing", "the number of features per row, at least 1")
    })?;
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
    let loss = config.need_choice("loss", &named(&Loss::ALL, Loss::name))?;
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
    if let Some(kernels) = config.choice("kernels", &KERNELS)? {
        compile = compile.kernels(kernels);
    }
    config.finish()?;
    Ok((model, compile))
}

fn layer(index: usize, value: &JsValue) -> Result<Arc<dyn Layer>> {
    let mut options = Options::new(format!("config.layers[{index}]"), value)?;
    let layer: Arc<dyn Layer> = match options.need_choice("type", &kinds())? {
        Kind::Dense => {
            let units = options.count("units")?.ok_or_else(|| {
                argument(options.path("units"), "missing", "the number of units, at least 1")
            })?;
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
        Kind::Softmax => Arc::new(Softmax),
    };
    options.finish()?;
    Ok(layer)
}

fn optimizer(value: &JsValue) -> Result<Optimizer> {
    let mut options = Options::new("config.optimizer", value)?;
    let rule = options.need_choice("name", &RULES)?;
    let rate = options.number("learningRate")?.ok_or_else(|| {
        argument("config.optimizer.learningRate", "missing", "positive and finite")
    })?;
    let decay = options.number("weightDecay")?;
    let optimizer = match rule {
        Rule::Sgd => Optimizer::sgd(rate),
        Rule::Momentum => Optimizer::momentum(rate, options.number("momentum")?.unwrap_or(0.9)),
        Rule::Nesterov => Optimizer::nesterov(rate, options.number("momentum")?.unwrap_or(0.9)),
        Rule::Adam => Optimizer::adam(rate),
        Rule::AdamW => Optimizer::adamw(rate, 0.01),
    };
    let optimizer = match decay {
        Some(decay) => optimizer.weight_decay(decay),
        None => optimizer,
    };
    let optimizer = match options.number("clipNorm")? {
        Some(norm) => optimizer.clip_norm(norm),
        None => optimizer,
    };
    options.finish()?;
    Ok(optimizer)
}
