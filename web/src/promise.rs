//! Work as promises.

use std::future::Future;
use std::pin::Pin;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

use crate::error::Result;

/// A promise of `work`, or one that is rejected already because `work` could not begin.
pub fn promise<W>(work: Result<W>) -> Promise
where
    W: Future<Output = Result<JsValue>> + 'static,
{
    match work {
        Ok(work) => spawned(Box::pin(work)),
        Err(error) => Promise::reject(&error),
    }
}

/// What runs a future is as large as many a future: here it is once for all of them.
#[inline(never)]
fn spawned(work: Pin<Box<dyn Future<Output = Result<JsValue>>>>) -> Promise {
    future_to_promise(work)
}

/// A promise of work that is done already.
#[cfg(feature = "training")]
pub fn settled(work: Result<()>) -> Promise {
    match work {
        Ok(()) => Promise::resolve(&JsValue::UNDEFINED),
        Err(error) => Promise::reject(&error),
    }
}
