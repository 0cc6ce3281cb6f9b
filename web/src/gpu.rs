//! `Gpu`.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wgrad::AdapterChoice;

use crate::convert::Record;
use crate::error::{Result, argument, js};
use crate::options::{Options, shown};
use crate::promise::promise;

#[wasm_bindgen]
extern "C" {
    /// Of `guard.js`: puts what wgpu looks for where it looks, `device` as what the browser has if it is one. What it
    /// returns takes that away again; without WebGPU it returns nothing.
    #[wasm_bindgen(js_name = wgradEnter)]
    fn enter(device: &JsValue) -> Option<Function>;

    /// Of `guard.js`: the name of a device's adapter.
    #[wasm_bindgen(js_name = wgradAdapter)]
    fn adapter_name(device: &JsValue, power_preference: &str) -> Promise;
}

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

    /// As the browser has it.
    fn handle(&self) -> JsValue {
        self.gpu.device().as_webgpu().map_or(JsValue::UNDEFINED, |handle| handle.clone().into())
    }
}

/// The options of `Gpu.create`.
struct GpuOptions {
    low_power: bool,
    device: JsValue,
}

impl GpuOptions {
    fn read(options: &JsValue) -> Result<Self> {
        let mut options = Options::new("options", options)?;
        let powers = [("high-performance", false), ("low-power", true)];
        let low_power = options.choice("powerPreference", &powers)?.unwrap_or_default();
        let device = options.get("device")?.unwrap_or(JsValue::UNDEFINED);
        options.finish()?;
        let queue = Reflect::get(&device, &"queue".into());
        if !device.is_undefined() && !queue.is_ok_and(|queue| queue.is_object()) {
            let rule = "a GPUDevice, from adapter.requestDevice()";
            return Err(argument("options.device", shown(&device), rule));
        }
        Ok(Self { low_power, device })
    }

    async fn make(self) -> Result<Gpu> {
        let choice = AdapterChoice { low_power: self.low_power, ..AdapterChoice::default() };
        let mut creation = Box::pin(wgrad::Gpu::with_adapter(&choice));
        let poll =
            |context: &mut Context<'_>| in_scope(&self.device, || creation.as_mut().poll(context));
        let gpu = poll_fn(poll).await?.map_err(no_gpu)?;
        let device = Device { gpu, destroyed: Rc::default() };
        let power = if self.low_power { "low-power" } else { "high-performance" };
        let adapter = JsFuture::from(adapter_name(&device.handle(), power)).await?;
        Ok(Gpu { device, adapter: adapter.as_string().unwrap_or_default() })
    }
}

#[wasm_bindgen]
impl Gpu {
    /// A device on the browser's best adapter, or on the one that the options choose.
    #[wasm_bindgen(unchecked_return_type = "Promise<Gpu>")]
    pub fn create(
        #[wasm_bindgen(unchecked_param_type = "GpuOptions | undefined | void")] options: JsValue,
    ) -> Promise {
        let options = GpuOptions::read(&options);
        promise(options.map(|options| async move { options.make().await.map(JsValue::from) }))
    }

    /// Which adapter it is, in one line.
    #[wasm_bindgen(getter)]
    pub fn adapter(&self) -> String {
        self.adapter.clone()
    }

    /// The browser's `GPUDevice`, for shaders of your own.
    #[wasm_bindgen(getter, unchecked_return_type = "GpuDevice")]
    pub fn device(&self) -> JsValue {
        self.device.handle()
    }

    /// Whether the device is gone: destroyed, or reset by the driver. Make a new one, and put the
    /// last weights into a new model.
    #[wasm_bindgen(getter, js_name = isLost)]
    pub fn is_lost(&self) -> bool {
        self.device.destroyed.get() || self.device.gpu.is_lost()
    }

    /// Bytes of the buffers that models, data and results have on the device now.
    #[wasm_bindgen(getter, js_name = bytesInUse)]
    pub fn bytes_in_use(&self) -> f64 {
        self.device.gpu.bytes_in_use() as f64
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

/// Runs `work` where wgpu finds WebGPU: it asks a window or a worker for it, and panics where there is neither,
/// as in Node.js.
///
/// # Errors
/// If there is no `navigator.gpu` outside of a window and a worker.
fn in_scope<T>(device: &JsValue, work: impl FnOnce() -> Poll<T>) -> Poll<Result<T>> {
    let Some(leave) = enter(device) else {
        return Poll::Ready(Err(js(wgrad::Error::NoAdapter {
            wanted: "any adapter".into(),
            found: "no navigator.gpu".into(),
            remedy: "In Node.js and Bun install the package webgpu, and put its create([]) there."
                .into(),
        })));
    };
    let done = work();
    let _ = leave.call0(&JsValue::UNDEFINED);
    done.map(Ok)
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
