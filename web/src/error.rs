//! Errors as JavaScript wants them.

use wasm_bindgen::prelude::*;

/// What calls return.
pub type Result<T, E = JsValue> = std::result::Result<T, E>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn log(text: &str);

    /// Of `guard.js`: no call after this one enters the module, and all under way are rejected.
    #[wasm_bindgen(js_name = wgradFailed)]
    pub fn failed(reason: &str);
}

/// An `Error` with wgrad's message; its `name` is the kind of error, as in Rust.
pub fn js(error: wgrad::Error) -> JsValue {
    let name = match &error {
        wgrad::Error::NoAdapter { .. } => "NoAdapter",
        wgrad::Error::NoDevice { .. } => "NoDevice",
        wgrad::Error::DeviceLost { .. } => "DeviceLost",
        wgrad::Error::OutOfMemory { .. } => "OutOfMemory",
        wgrad::Error::Validation { .. } => "Validation",
        wgrad::Error::Timeout { .. } => "Timeout",
        wgrad::Error::Shape { .. } => "Shape",
        wgrad::Error::Argument { .. } => "Argument",
        wgrad::Error::Limit { .. } => "Limit",
        wgrad::Error::NotFinite { .. } => "NotFinite",
        wgrad::Error::NotANumber { .. } => "NotANumber",
        wgrad::Error::Bug { .. } => "Bug",
        wgrad::Error::Data(_) => "Data",
        _ => "Error",
    };
    named(name, &error.to_string())
}

/// An argument that is not what it must be, in the words of [`wgrad::Error::Argument`].
pub fn argument(
    name: impl Into<String>,
    value: impl Into<String>,
    rule: impl Into<String>,
) -> JsValue {
    js(wgrad::Error::Argument { name: name.into(), value: value.into(), rule: rule.into() })
}

/// An `Error` of the given kind.
pub fn named(name: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    error.set_name(name);
    error.into()
}
