//! Saved models, of which `file.js` reads and writes the bytes: here they are layers and numbers.

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use wgrad::nn::{Loaders, Loss, Sequential, Setting, Settings, StackSettings};

use crate::convert::{bytes, floats};
use crate::error::{Result, js, named};
use crate::options::{Options, number};

#[wasm_bindgen]
extern "C" {
    /// Of `file.js`: what a model's file says. Its fields are those that are read here.
    #[wasm_bindgen(js_name = wgradOpen, catch)]
    fn open(bytes: &Uint8Array) -> Result<JsValue>;
}

/// What a model's file says.
pub struct ModelFile {
    pub fields: Options,
}

/// What is wrong with a file.
pub fn refused(reason: &str) -> JsValue {
    named("ModelFile", &format!("the model file {reason}"))
}

impl ModelFile {
    pub fn open(file: &JsValue) -> Result<Self> {
        Ok(Self { fields: Options::new("the model file", &open(&bytes(file)?)?)? })
    }

    /// The layers, with their seed.
    pub fn architecture(&mut self) -> Result<Sequential> {
        let stack = stack(&self.fields.need("stack", "layers")?)?;
        let seed = whole(&self.fields.need("seed", "a number")?)?;
        Ok(Loaders::new().stack(&stack).map_err(js)?.seed(seed))
    }

    /// The loss with its figure.
    pub fn loss(&mut self) -> Result<Loss> {
        let names: Vec<_> = Loss::ALL.iter().map(|&loss| (loss.name(), loss)).collect();
        let mut loss = self.fields.need_choice("loss", &names)?;
        if let (Loss::Huber { delta }, Some(value)) = (&mut loss, self.fields.number("delta")?) {
            *delta = value;
        }
        Ok(loss)
    }

    /// For each parameter its values, and those of the optimizer's states with these names; any others are nobody's
    /// but another optimizer's.
    pub fn parameters(
        &mut self,
        architecture: &Sequential,
        states: &[String],
    ) -> Result<Vec<(Vec<f32>, Vec<Vec<f32>>)>> {
        let tensors = self.fields.need("tensors", "tensors by name")?;
        let take = |name: &str, shape: &[usize]| tensor(&tensors, name, shape);
        let parameters = architecture.parameters().map_err(js)?;
        let of = |spec: &wgrad::nn::ParameterSpec| {
            let states =
                states.iter().map(|state| take(&format!("{state}.{}", spec.name), &spec.shape));
            Ok((take(&spec.name, &spec.shape)?, states.collect::<Result<_>>()?))
        };
        let found = parameters.iter().map(of).collect();
        for name in Object::keys(tensors.unchecked_ref::<Object>()).iter() {
            let name = name.as_string().unwrap_or_default();
            let is_of = |spec: &wgrad::nn::ParameterSpec| {
                name == spec.name || name.starts_with("optimizer.") && name.ends_with(&spec.name)
            };
            if !parameters.iter().any(is_of) {
                return Err(refused(&format!("has '{name}', which is of no layer of its model")));
            }
        }
        found
    }
}

/// The values of a tensor of this shape among those of a file.
pub fn tensor(tensors: &JsValue, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let found = Reflect::get(tensors, &name.into())?;
    if found.is_undefined() {
        return Err(refused(&format!("lacks '{name}', which is missing in it for these layers")));
    }
    let mut found = Options::new(name, &found)?;
    let dtype = found.get("dtype")?.and_then(|dtype| dtype.as_string()).unwrap_or_default();
    let extents: Array = found.need("shape", "a shape")?.unchecked_into();
    let extents: Vec<usize> =
        extents.iter().map(|extent| extent.as_f64().unwrap_or_default() as usize).collect();
    if dtype != "F32" || extents != shape {
        let value = format!("{dtype} {extents:?}");
        let error = wgrad::Error::argument(
            &format!("'{name}' in the file"),
            value,
            &format!("F32 {shape:?}"),
        );
        return Err(js(error));
    }
    floats(name, &found.need("data", "numbers")?)
}

/// A number of 64 bits, which comes as text.
pub fn whole(value: &JsValue) -> Result<u64> {
    let number = value.as_string().and_then(|text| text.parse().ok());
    number.ok_or_else(|| refused("has no whole number where one must be"))
}

fn stack(value: &JsValue) -> Result<StackSettings> {
    let mut fields = Options::new("layers of the model file", value)?;
    let mut list =
        |name: &str| -> Result<Array> { Ok(fields.need(name, "a list")?.unchecked_into()) };
    let count = |value: JsValue| Ok(number(&value, "a number of the model file")? as usize);
    let input = list("input")?.iter().map(count).collect::<Result<Vec<usize>>>()?;
    let frozen = list("frozen")?.iter().map(count).collect::<Result<_>>()?;
    let layer = |value: JsValue| -> Result<(String, Settings)> {
        let layer: Array = value.unchecked_into();
        let values: Array = layer.get(1).unchecked_into();
        let add = |settings: Settings, value: JsValue| -> Result<Settings> {
            let value: Array = value.unchecked_into();
            let (key, kind, value) = (text(&value.get(0)), text(&value.get(1)), value.get(2));
            let setting = match kind.as_str() {
                "number" => Setting::Number(number(&value, &key)? as f32),
                "integer" => Setting::Integer(whole(&value)?),
                "stack" => Setting::Stack(stack(&value)?),
                _ => Setting::Text(text(&value)),
            };
            Ok(settings.with(&key, setting))
        };
        Ok((text(&layer.get(0)), values.iter().try_fold(Settings::new(), add)?))
    };
    let layers = list("layers")?.iter().map(layer).collect::<Result<_>>()?;
    Ok(StackSettings { input: input.into(), layers, frozen })
}

fn text(value: &JsValue) -> String {
    value.as_string().unwrap_or_default()
}
