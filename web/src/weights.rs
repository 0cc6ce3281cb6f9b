//! Weights in and out: as arrays, and as a safetensors file.

use std::collections::HashMap;

use js_sys::{Array, Float32Array, Uint8Array};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use wasm_bindgen::{JsCast, JsValue};
use wgrad::train::Model;

use crate::convert::{Record, floats, room};
use crate::error::{Result, argument, js};
use crate::options::shown;

/// Name, shape and values of every parameter.
pub async fn read(model: &Model) -> Result<JsValue> {
    let shapes = model.architecture().parameters().map_err(js)?;
    let weights = model.weights().await.map_err(js)?;
    let item = |((name, values), spec): ((String, Vec<f32>), wgrad::nn::ParameterSpec)| {
        let shape: Array = spec.shape.iter().map(|&n| JsValue::from(n as f64)).collect();
        Record::new()
            .set("name", name)
            .set("shape", shape)
            .set("data", Float32Array::from(values.as_slice()))
            .done()
    };
    Ok(weights.into_iter().zip(shapes).map(item).collect::<Array>().into())
}

/// Replaces all parameters by an array of `Float32Array`s.
pub fn write(model: &mut Model, weights: &JsValue) -> Result<()> {
    if !Array::is_array(weights) {
        return Err(argument("weights", shown(weights), "an array of Float32Arrays"));
    }
    let weights: Result<Vec<Vec<f32>>> = Array::from(weights)
        .iter()
        .enumerate()
        .map(|(index, value)| floats(&format!("weights[{index}]"), &value))
        .collect();
    model.set_weights(&weights?).map_err(js)
}

/// All parameters as a safetensors file.
pub async fn export(model: &Model) -> Result<Vec<u8>> {
    let shapes = model.architecture().parameters().map_err(js)?;
    let weights = model.weights().await.map_err(js)?;
    let views: Result<Vec<_>, _> = weights
        .iter()
        .zip(shapes)
        .map(|((name, values), spec)| {
            let bytes = bytemuck::cast_slice(values.as_slice());
            TensorView::new(Dtype::F32, spec.shape, bytes).map(|view| (name, view))
        })
        .collect();
    let file =
        views.and_then(|views| safetensors::serialize(views, None::<HashMap<String, String>>));
    file.map_err(|error| argument("weights", error.to_string(), "what a safetensors file can hold"))
}

/// Replaces all parameters by those of a safetensors file, found by name.
pub fn import(model: &mut Model, bytes: &JsValue) -> Result<()> {
    let Some(array) = bytes.dyn_ref::<Uint8Array>() else {
        return Err(argument("bytes", shown(bytes), "a Uint8Array"));
    };
    let mut bytes: Vec<u8> = room("bytes", array.length())?;
    array.copy_to(&mut bytes);
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| argument("bytes", error.to_string(), "a whole safetensors file"))?;
    let mut weights = Vec::new();
    for spec in model.architecture().parameters().map_err(js)? {
        let view = file.tensor(&spec.name).map_err(|_| {
            let names: Vec<&str> = file.names().into_iter().collect();
            argument(
                "the file's tensors",
                names.join(", "),
                format!("all of the model's; '{}' is missing", spec.name),
            )
        })?;
        if view.dtype() != Dtype::F32 || view.shape() != spec.shape {
            return Err(argument(
                format!("'{}' in the file", spec.name),
                format!("{:?} {:?}", view.dtype(), view.shape()),
                format!("F32 {:?}", spec.shape),
            ));
        }
        weights.push(bytemuck::pod_collect_to_vec(view.data()));
    }
    model.set_weights(&weights).map_err(js)
}
