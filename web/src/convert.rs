//! Typed arrays and plain objects.

use js_sys::{Array, Float32Array, Object, Reflect, Uint32Array};
use wasm_bindgen::{JsCast, JsValue};
use wgrad::data::Dataset;
use wgrad::nn::Loss;
use wgrad::nn::{Metric, Sequential};

use crate::error::{Result, argument, js};
use crate::options::shown;

/// The numbers of a `Float32Array`.
pub fn floats(name: &str, value: &JsValue) -> Result<Vec<f32>> {
    match value.dyn_ref::<Float32Array>() {
        Some(array) => {
            let mut copy = room(name, array.length())?;
            array.copy_to(&mut copy);
            Ok(copy)
        }
        None => Err(argument(name, shown(value), "a Float32Array")),
    }
}

/// `length` zeros, for the numbers of a typed array: pages may have more of them than WebAssembly.
///
/// # Errors
/// If there is no memory for so many.
pub fn room<T: Clone + Default>(name: &str, length: u32) -> Result<Vec<T>> {
    let length = length as usize;
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(length).map_err(|_| {
        let rule =
            "no more than WebAssembly's memory holds (4 GB in all); pass fewer rows at a time";
        argument(format!("the length of {name}"), length.to_string(), rule)
    })?;
    zeros.resize(length, T::default());
    Ok(zeros)
}

/// Rows for `model`: numbers or class labels, as its loss takes them.
pub fn dataset(model: &Sequential, loss: Loss, x: &JsValue, y: &JsValue) -> Result<Dataset> {
    let (inputs, outputs) = (model.input_width(), model.output_width());
    let features = floats("x", x)?;
    let data = if takes_classes(loss) {
        let Some(labels) = y.dyn_ref::<Uint32Array>() else {
            let rule = format!("a Uint32Array with a class per row, which {} takes", loss.name());
            return Err(argument("y", shown(y), rule));
        };
        let mut copy = room("y", labels.length())?;
        labels.copy_to(&mut copy);
        Dataset::classification(features, inputs, copy, outputs)
    } else {
        if !y.is_instance_of::<Float32Array>() {
            let rule =
                format!("a Float32Array with {outputs} per row, which {} takes", loss.name());
            return Err(argument("y", shown(y), rule));
        }
        Dataset::regression(features, inputs, floats("y", y)?, outputs)
    };
    data.map_err(js)
}

fn takes_classes(loss: Loss) -> bool {
    matches!(loss, Loss::SoftmaxCrossEntropy)
}

/// An object under construction.
pub struct Record(Object);

impl Record {
    pub fn new() -> Self {
        Self(Object::new())
    }

    pub fn set(self, name: &str, value: impl Into<JsValue>) -> Self {
        // Fails only on frozen objects and proxies.
        let _ = Reflect::set(&self.0, &name.into(), &value.into());
        self
    }

    pub fn done(self) -> JsValue {
        self.0.into()
    }
}

/// Metrics by name.
pub fn metrics(metrics: &[(Metric, f64)]) -> JsValue {
    metrics
        .iter()
        .fold(Record::new(), |record, (metric, value)| record.set(metric.name(), *value))
        .done()
}

/// Loss and metrics.
pub fn evaluation(evaluation: &wgrad::train::Evaluation) -> JsValue {
    Record::new()
        .set("loss", evaluation.loss)
        .set("rows", evaluation.rows as f64)
        .set("metrics", metrics(&evaluation.metrics))
        .done()
}

/// An epoch's log.
pub fn epoch_log(log: &wgrad::train::EpochLog) -> JsValue {
    let record = Record::new()
        .set("epoch", log.epoch as f64)
        .set("epochs", log.epochs as f64)
        .set("loss", log.loss)
        .set("seconds", log.seconds)
        .set("learningRate", f64::from(log.learning_rate))
        .set("metrics", metrics(&log.metrics));
    match &log.validation {
        Some(validation) => record.set("validation", evaluation(validation)).done(),
        None => record.done(),
    }
}

/// A call's history.
pub fn history(history: &wgrad::train::History) -> JsValue {
    let epochs: Array = history.epochs.iter().map(epoch_log).collect();
    Record::new()
        .set("epochs", epochs)
        .set("batchLosses", Float32Array::from(history.batch_losses.as_slice()))
        .set("stoppedEarly", history.stopped_early)
        .done()
}
