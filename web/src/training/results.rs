//! Rows in, and what comes of them.

use js_sys::{Array, Float32Array};
use wasm_bindgen::JsValue;
use wgrad::data::Dataset;
use wgrad::nn::{Loss, Metric, Sequential};
use wgrad::train::{BatchLog, EpochLog, Evaluation, History};

use crate::convert::{Record, classes, floats};
use crate::error::{Result, js};

/// Rows for `model`: numbers or class labels, as its loss takes them.
pub fn dataset(model: &Sequential, loss: Loss, x: &JsValue, y: &JsValue) -> Result<Dataset> {
    let (inputs, outputs) = (model.input_width(), model.output_width());
    let features = floats("x", x)?;
    let data = match loss.takes_classes() {
        true => Dataset::classification(features, inputs, classes("y", y)?, outputs),
        false => Dataset::regression(features, inputs, floats("y", y)?, outputs),
    };
    data.map_err(|error| js(error.into()))
}

/// Metrics by name.
pub fn metrics(metrics: &[(Metric, f64)]) -> JsValue {
    metrics
        .iter()
        .fold(Record::new(), |record, (metric, value)| record.set(metric.name(), *value))
        .done()
}

/// Loss and metrics.
pub fn evaluation(evaluation: &Evaluation) -> JsValue {
    Record::new()
        .set("loss", evaluation.loss)
        .set("rows", evaluation.rows as f64)
        .set("metrics", metrics(&evaluation.metrics))
        .done()
}

/// A batch's log.
pub fn batch_log(log: &BatchLog) -> JsValue {
    Record::new()
        .set("epoch", log.epoch as f64)
        .set("batch", log.batch as f64)
        .set("batches", log.batches as f64)
        .set("step", log.step as f64)
        .set("loss", f64::from(log.loss))
        .set("epochLoss", log.epoch_loss)
        .set("metrics", metrics(&log.metrics))
        .done()
}

/// An epoch's log.
pub fn epoch_log(log: &EpochLog) -> JsValue {
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
pub fn history(history: &History) -> JsValue {
    let epochs: Array = history.epochs.iter().map(epoch_log).collect();
    Record::new()
        .set("epochs", epochs)
        .set("batchLosses", Float32Array::from(history.batch_losses.as_slice()))
        .set("stoppedEarly", history.stopped_early)
        .done()
}
