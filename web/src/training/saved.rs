//! A model with everything that it needs to train on, to and from a file.

use js_sys::{Array, Float32Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wgrad::graph::UpdateRule;
use wgrad::nn::{LearningRateSchedule, Metric, Optimizer, Setting, StackSettings};
use wgrad::train::{Course, Kernels, Model, Progress, TrainingConfig, TrainingState};

use super::config::named;
use crate::convert::{Record, floats};
use crate::error::{Result, js};
use crate::file::{ModelFile, refused, whole};
use crate::options::{Options, choose, number};

#[wasm_bindgen]
extern "C" {
    /// Of `file.js`: a model's file, of what is said of the model.
    #[wasm_bindgen(js_name = wgradSeal, catch)]
    fn write(model: &JsValue) -> Result<JsValue>;
}

/// What a file says of a model that trains.
pub struct Saved {
    file: ModelFile,
}

impl Saved {
    pub fn open(file: &JsValue) -> Result<Self> {
        Ok(Self { file: ModelFile::open(file)? })
    }

    /// The model on a device, as it was saved, and the file's encoder.
    pub async fn model(mut self, gpu: &wgrad::Gpu) -> Result<(Model, JsValue)> {
        let architecture = self.file.architecture()?;
        let mut config = TrainingConfig::new(self.file.loss()?, self.optimizer()?);
        let file = &mut self.file.fields;
        let metrics = named(&Metric::ALL, Metric::name);
        for metric in list(file, "metrics")?.iter() {
            config = config.metric(choose(&metric, "metric of the model file", &metrics)?);
        }
        config = config.kernels(file.need_choice("kernels", &named(&Kernels::ALL, Kernels::name))?);
        if file.get("precision")?.is_some() {
            let reason = "was trained with mixed precision, and a page trains in 32 bits: predict with it by \
                          `Predictor.load`, or save it natively with `Precision::F32`";
            return Err(refused(reason));
        }
        if let Some(weights) = file.get("classWeights")? {
            config = config.class_weights(floats("classWeights of the model file", &weights)?);
        }
        let step = whole(&file.need("step", "a number")?)?;
        let counts = list(file, "progress")?;
        let counts = counts.iter().map(|count| whole(&count)).collect::<Result<Vec<u64>>>()?;
        let progress = progress(&counts)?;
        let missed = list(file, "missed")?;
        let missed = missed.iter().map(|count| whole(&count)).collect::<Result<Vec<u64>>>()?;
        let rate = file.number("ownLearningRate")?;
        let encoder = file.get("encoder")?.unwrap_or(JsValue::UNDEFINED);
        let mut model = architecture.compile(gpu, config).await.map_err(js)?;
        let states = model.optimizer().rule().state_tensors();
        let parameters = self.file.parameters(model.architecture(), &states)?;
        let (values, states) = parameters.into_iter().unzip();
        let state = TrainingState { step, missed, values, states };
        model.set_state(&state, progress).map_err(js)?;
        if let Some(rate) = rate {
            model.set_learning_rate(rate).map_err(js)?;
        }
        Ok((model, encoder))
    }

    fn optimizer(&mut self) -> Result<Optimizer> {
        let file = &mut self.file.fields;
        let mut rule = file.need_choice("rule", &named(UpdateRule::ALL, UpdateRule::name))?;
        for figure in list(file, "figures")?.iter() {
            let figure: Array = figure.unchecked_into();
            let (name, value) = (figure.get(0).as_string().unwrap_or_default(), figure.get(1));
            let value = number(&value, &name)? as f32;
            rule = rule.with_hyperparameter(&name, value).ok_or_else(|| {
                refused(&format!("has '{name}', which its optimizer does not know"))
            })?;
        }
        let rate = number(&file.need("learningRate", "a number")?, "learningRate")? as f32;
        let mut optimizer = Optimizer::new(rule, rate);
        if let Some(norm) = file.number("clipNorm")? {
            optimizer = optimizer.clip_norm(norm);
        }
        if let Some(penalty) = file.number("l1")?.filter(|&penalty| penalty != 0.0) {
            optimizer = optimizer.l1(penalty);
        }
        let mut schedule = Options::new("schedule", &file.need("schedule", "a schedule")?)?;
        let rises = list(&mut schedule, "rises")?;
        let values = list(&mut schedule, "values")?;
        let (length, share) = (|| whole(&values.get(0)), || number(&values.get(1), "schedule"));
        let name = schedule.need("name", "a name")?.as_string().unwrap_or_default();
        let schedule = match name.as_str() {
            "step" => LearningRateSchedule::step(length()?, share()?),
            "cosine" => LearningRateSchedule::cosine(length()?, share()?),
            "constant" => LearningRateSchedule::Constant,
            _ => return Err(refused(&format!("has a schedule '{name}', which is none"))),
        };
        let schedule = rises.iter().try_fold(schedule, |schedule, rise| -> Result<_> {
            Ok(schedule.warm_up(whole(&rise)?))
        })?;
        Ok(optimizer.schedule(schedule))
    }
}

/// A model's file.
pub async fn seal(model: &Model, encoder: JsValue) -> Result<JsValue> {
    let architecture = model.architecture();
    let stack = StackSettings::of(architecture)
        .map_err(|place| refused(&format!("cannot hold layer {place}, which has no settings")))?;
    let (state, progress) = model.state().await.map_err(js)?;
    let (loss, optimizer) = (model.loss(), model.optimizer());
    let figures = optimizer.rule().hyperparameters().into_iter();
    let figures: Array = figures.map(|(name, value)| pair(name, f64::from(value))).collect();
    let mut counts = vec![progress.epochs, progress.batches];
    if let Some(Course { data, rows, batch }) = progress.course {
        counts.extend([data, rows as u64, batch as u64]);
    }
    let names = optimizer.rule().state_tensors();
    let tensors = Array::new();
    let specs = architecture.parameters().map_err(js)?;
    for (spec, (values, states)) in specs.iter().zip(state.values.iter().zip(&state.states)) {
        tensors.push(&entry(&spec.name, &spec.shape, values));
        for (state, values) in names.iter().zip(states) {
            tensors.push(&entry(&format!("{state}.{}", spec.name), &spec.shape, values));
        }
    }
    let metrics: Array = model.metrics().iter().map(|m| JsValue::from(m.name())).collect();
    let weights = |weights: &[f32]| weights.iter().map(|&w| JsValue::from(w)).collect::<Array>();
    let record = Record::new()
        .set("version", env!("CARGO_PKG_VERSION"))
        .set("stack", layers(&stack))
        .set("seed", architecture.own_seed().to_string())
        .set("loss", loss.name())
        .set("rule", optimizer.rule().name())
        .set("figures", figures)
        .set("learningRate", optimizer.base_learning_rate())
        .set("schedule", schedule(optimizer.learning_rate_schedule()))
        .set("clipNorm", optimizer.clip())
        .set("l1", optimizer.l1_penalty())
        .set("metrics", metrics)
        .set("kernels", model.wanted_kernels().name())
        .set("classWeights", model.class_weights().map(weights))
        .set("step", state.step.to_string())
        .set("missed", texts(&state.missed))
        .set("progress", texts(&counts))
        .set("ownLearningRate", model.own_learning_rate())
        .set("encoder", encoder)
        .set("tensors", tensors);
    let record = match loss {
        wgrad::nn::Loss::Huber { delta } => record.set("delta", delta),
        _ => record,
    };
    write(&record.done())
}

/// Name, shape and values, as `file.js` takes them.
pub fn entry(name: &str, shape: &[usize], values: &[f32]) -> JsValue {
    let shape: Array = shape.iter().map(|&extent| JsValue::from(extent as f64)).collect();
    Array::of3(&name.into(), &shape, &Float32Array::from(values)).into()
}

fn layers(stack: &StackSettings) -> JsValue {
    let places = |places: &[usize]| -> Array {
        places.iter().map(|&place| JsValue::from(place as f64)).collect()
    };
    let layer = |(name, settings): &(String, wgrad::nn::Settings)| {
        let setting = |(key, value): (&str, &Setting)| {
            let (kind, value) = match value {
                &Setting::Number(number) => ("number", JsValue::from(f64::from(number))),
                Setting::Integer(integer) => ("integer", integer.to_string().into()),
                Setting::Text(text) => ("text", text.into()),
                Setting::Stack(stack) => ("stack", layers(stack)),
            };
            JsValue::from(Array::of3(&key.into(), &kind.into(), &value))
        };
        pair(name, settings.iter().map(setting).collect::<Array>())
    };
    Record::new()
        .set("input", places(stack.input.dims()))
        .set("layers", stack.layers.iter().map(layer).collect::<Array>())
        .set("frozen", places(&stack.frozen))
        .done()
}

fn schedule(schedule: &LearningRateSchedule) -> JsValue {
    let (rises, then) = match schedule {
        LearningRateSchedule::WarmUp(warm_up) => (warm_up.rises(), warm_up.then()),
        other => (&[][..], other),
    };
    let (name, values) = match then {
        LearningRateSchedule::Step { every, factor } => ("step", pair(&every.to_string(), *factor)),
        LearningRateSchedule::Cosine { steps, floor } => {
            ("cosine", pair(&steps.to_string(), *floor))
        }
        _ => ("constant", Array::new().into()),
    };
    Record::new().set("rises", texts(rises)).set("name", name).set("values", values).done()
}

fn progress(counts: &[u64]) -> Result<Progress> {
    let count = |count: u64| usize::try_from(count).map_err(|_| refused("counts too far"));
    match *counts {
        [epochs, batches] => Ok(Progress { epochs, batches, course: None }),
        [epochs, batches, data, rows, batch] => {
            let course = Course { data, rows: count(rows)?, batch: count(batch)? };
            Ok(Progress { epochs, batches, course: Some(course) })
        }
        _ => Err(refused("does not say where training stands")),
    }
}

fn pair(name: &str, value: impl Into<JsValue>) -> JsValue {
    Array::of2(&name.into(), &value.into()).into()
}

fn texts(counts: &[u64]) -> Array {
    counts.iter().map(|count| JsValue::from(count.to_string())).collect()
}

fn list(options: &mut Options, name: &str) -> Result<Array> {
    Ok(options.need(name, "a list")?.unchecked_into())
}
