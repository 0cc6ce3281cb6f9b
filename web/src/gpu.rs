//! `Gpu`.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::convert::Record;
use crate::error::{Result, js};
use crate::lock::promise;

/// A WebGPU device. Models on the same device share its compiled shaders.
#[wasm_bindgen]
pub struct Gpu {
    pub(crate) device: Device,
    adapter: String,
}

/// What models keep of a `Gpu`, which may be freed before them.
#[derive(Clone)]
pub struct Device {
    pub gpu: wgrad::Gpu,
    destroyed: Rc<Cell<bool>>,
}

impl Device {
    /// # Errors
    /// If the device is gone.
    pub fn check(&self, during: &str) -> Result<()> {
        if self.destroyed.get() {
            let reason = "it was destroyed".to_string();
            return Err(js(wgrad::Error::DeviceLost { during: during.into(), reason }));
        }
        Ok(())
    }
}

#[wasm_bindgen]
impl Gpu {
    /// A device on the browser's best adapter.
    #[wasm_bindgen(unchecked_return_type = "Promise<Gpu>")]
    pub fn create() -> Promise {
        promise(Ok(async {
            let mut creation = Box::pin(wgrad::Gpu::new());
            let poll = |context: &mut Context<'_>| in_scope(|| creation.as_mut().poll(context));
            let gpu = poll_fn(poll).await?.map_err(no_gpu)?;
            let adapter = adapter_name().await.unwrap_or_else(|_| gpu.describe());
            let destroyed = Rc::default();
            Ok(Gpu { device: Device { gpu, destroyed }, adapter }.into())
        }))
    }

    /// Which adapter it is, in one line.
    #[wasm_bindgen(getter)]
    pub fn adapter(&self) -> String {
        self.adapter.clone()
    }

    /// Whether the device is gone: destroyed, or reset by the driver. Make a new one, and put the
    /// last weights into a new model.
    #[wasm_bindgen(getter, js_name = isLost)]
    pub fn is_lost(&self) -> bool {
        self.device.destroyed.get() || self.device.gpu.is_lost()
    }

    /// What was done on the device so far: submissions, dispatches, bytes, buffers and so on.
    #[wasm_bindgen(unchecked_return_type = "Record<string, number>")]
    pub fn counters(&self) -> JsValue {
        let counters = self.device.gpu.counters();
        let entries = counters.entries().into_iter();
        entries.fold(Record::new(), |record, (name, count)| record.set(name, count as f64)).done()
    }

    /// Ends the device and gives its memory back at once; calls under way are rejected.
    pub fn destroy(&self) {
        self.device.destroyed.set(true);
        self.device.gpu.device().destroy();
    }
}

/// Runs `work` where wgpu finds `navigator.gpu`: it asks a window or a worker for it, and panics where there
/// is neither, as in Node.js, which for the time of `work` calls itself a worker.
///
/// # Errors
/// If there is neither, and no `navigator.gpu`.
fn in_scope<T>(work: impl FnOnce() -> Poll<T>) -> Poll<Result<T>> {
    let global = js_sys::global();
    let has = |name: &str| Reflect::has(&global, &name.into()).unwrap_or(false);
    if has("Window") || has("WorkerGlobalScope") {
        return work().map(Ok);
    }
    let gpu = Reflect::get(&global, &"navigator".into())
        .and_then(|navigator| Reflect::get(&navigator, &"gpu".into()));
    if gpu.is_ok_and(|gpu| gpu.is_object()) {
        let scope = JsValue::from("WorkerGlobalScope");
        let _ = Reflect::set(&global, &scope, &Object::new());
        let done = work();
        let _ = Reflect::delete_property(&global, &scope);
        return done.map(Ok);
    }
    Poll::Ready(Err(js(wgrad::Error::NoAdapter {
        wanted: "any adapter".into(),
        found: "no navigator.gpu".into(),
        remedy: "In Node.js install the package webgpu, and put its create([]) there.".into(),
    })))
}

/// Vendor and architecture, which wgpu leaves out.
async fn adapter_name() -> Result<String> {
    let get = |object: &JsValue, name: &str| Reflect::get(object, &name.into());
    let gpu = get(&get(&js_sys::global(), "navigator")?, "gpu")?;
    let request: Function = get(&gpu, "requestAdapter")?.dyn_into()?;
    // What wgrad asks for.
    let options = Record::new().set("powerPreference", "high-performance").done();
    let adapter: Promise = request.call1(&gpu, &options)?.dyn_into()?;
    let info = get(&JsFuture::from(adapter).await?, "info")?;
    let text = |name| get(&info, name).ok().and_then(|value| value.as_string()).unwrap_or_default();
    let mut name = text("description");
    if name.is_empty() {
        name = format!("{} {}", text("vendor"), text("architecture"));
    }
    let software = get(&info, "isFallbackAdapter")?.is_truthy();
    Ok(format!("{} (WebGPU{})", name.trim(), if software { ", software" } else { "" }))
}

/// The error, with what only a browser can be missing.
fn no_gpu(error: wgrad::Error) -> JsValue {
    let secure = Reflect::get(&js_sys::global(), &"isSecureContext".into());
    match error {
        wgrad::Error::NoAdapter { wanted, found, remedy }
            if secure.is_ok_and(|is| is.is_falsy()) =>
        {
            let remedy =
                format!("{remedy} Browsers offer WebGPU only to pages from https or localhost.");
            js(wgrad::Error::NoAdapter { wanted, found, remedy })
        }
        error => js(error),
    }
}
