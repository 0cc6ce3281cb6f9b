//! Files of the repository, fetched from the test server.

use std::io::{Error, Result};
use std::path::Path;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// `std::fs::read_to_string`.
pub fn read_to_string(path: impl AsRef<Path>) -> Result<String> {
    let bytes = read(path)?;
    String::from_utf8(bytes).map_err(Error::other)
}

/// `std::fs::read`.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref().to_string_lossy().into_owned();
    pollster::block_on(fetch(&path)).map_err(|error| Error::other(format!("{path}: {error:?}")))
}

async fn fetch(path: &str) -> std::result::Result<Vec<u8>, JsValue> {
    let window = web_sys::window().ok_or("no window")?;
    let response: web_sys::Response =
        JsFuture::from(window.fetch_with_str(path)).await?.dyn_into()?;
    if !response.ok() {
        return Err("not found".into());
    }
    Ok(js_sys::Uint8Array::new(&JsFuture::from(response.array_buffer()?).await?).to_vec())
}
