//! Numbers in arrays of JavaScript's, and plain objects.

#[cfg(feature = "models")]
use js_sys::{ArrayBuffer, Uint8Array};
use js_sys::{Float32Array, Object, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{Result, argument};
#[cfg(feature = "models")]
use crate::options::shown;

#[wasm_bindgen]
extern "C" {
    /// Of `guard.js`: the numbers of any array, or of one array per row, as a `Float32Array`; with `classes`,
    /// whole numbers as a `Uint32Array`.
    #[wasm_bindgen(js_name = wgradNumbers, catch)]
    fn numbers(name: &str, value: &JsValue, classes: bool) -> Result<JsValue>;
}

/// The numbers of an array.
pub fn floats(name: &str, value: &JsValue) -> Result<Vec<f32>> {
    let array: Float32Array = numbers(name, value, false)?.unchecked_into();
    let mut copy = room(name, array.length())?;
    array.copy_to(&mut copy);
    Ok(copy)
}

/// The classes of an array.
#[cfg(feature = "training")]
pub fn classes(name: &str, value: &JsValue) -> Result<Vec<u32>> {
    let array: js_sys::Uint32Array = numbers(name, value, true)?.unchecked_into();
    let mut copy = room(name, array.length())?;
    array.copy_to(&mut copy);
    Ok(copy)
}

/// The bytes of a `Uint8Array` or an `ArrayBuffer`.
#[cfg(feature = "models")]
pub fn bytes(value: &JsValue) -> Result<Uint8Array> {
    match value.dyn_ref::<Uint8Array>() {
        Some(array) => Ok(array.clone()),
        None if value.is_instance_of::<ArrayBuffer>() => Ok(Uint8Array::new(value)),
        None => Err(argument("bytes", shown(value), "a Uint8Array or an ArrayBuffer")),
    }
}

/// `length` zeros, for the numbers of a typed array: pages may have more of them than WebAssembly.
///
/// # Errors
/// If there is no memory for so many.
fn room<T: Clone + Default>(name: &str, length: u32) -> Result<Vec<T>> {
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
