//! Weights in and out: as arrays, and as a safetensors file.

use js_sys::{Array, Float32Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wgrad::train::Model;

use super::saved::entry;
use crate::convert::{Record, bytes, floats};
use crate::error::{Result, argument, js};
use crate::file::tensor;
use crate::options::shown;

#[wasm_bindgen]
extern "C" {
    /// Of `file.js`: a safetensors file of such entries.
    #[wasm_bindgen(js_name = wgradPack)]
    fn pack(entries: &Array) -> JsValue;

    /// Of `file.js`: what a safetensors file holds.
    #[wasm_bindgen(js_name = wgradUnpack, catch)]
    fn unpack(bytes: &Uint8Array) -> Result<JsValue>;
}

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

/// Replaces all parameters by an array of arrays, or by what [`read`] gives.
pub fn write(model: &mut Model, weights: &JsValue) -> Result<()> {
    if !Array::is_array(weights) {
        let rule = "an array of arrays, or what weights() gave";
        return Err(argument("weights", shown(weights), rule));
    }
    let weights: Result<Vec<Vec<f32>>> = Array::from(weights)
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let data = Reflect::get(&value, &"data".into()).ok();
            let data = data.filter(|data| !data.is_undefined());
            floats(&format!("weights[{index}]"), data.as_ref().unwrap_or(&value))
        })
        .collect();
    model.set_weights(&weights?).map_err(js)
}

/// All parameters as a safetensors file.
pub async fn export(model: &Model) -> Result<JsValue> {
    let shapes = model.architecture().parameters().map_err(js)?;
    let weights = model.weights().await.map_err(js)?;
    let entries = weights.iter().zip(&shapes);
    Ok(pack(&entries.map(|((name, values), spec)| entry(name, &spec.shape, values)).collect()))
}

/// Replaces all parameters by those of a safetensors file, found by name.
pub fn import(model: &mut Model, file: &JsValue) -> Result<()> {
    let tensors = Reflect::get(&unpack(&bytes(file)?)?, &"tensors".into())?;
    let specs = model.architecture().parameters().map_err(js)?;
    let weights = specs.iter().map(|spec| tensor(&tensors, &spec.name, &spec.shape));
    model.set_weights(&weights.collect::<Result<Vec<_>>>()?).map_err(js)
}
