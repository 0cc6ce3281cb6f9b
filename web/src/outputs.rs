//! What a model gives for rows.

use js_sys::{Float32Array, Promise, Uint32Array};
use wasm_bindgen::JsValue;
use wgrad::wgpu::{BufferDescriptor, BufferUsages, CommandEncoderDescriptor};

use crate::convert::floats;
use crate::error::{Result, js};
use crate::gpu::Device;
use crate::promise::promise;

/// What predicts on a device, and goes on to where somebody trains.
#[derive(Clone)]
pub struct Outputs {
    pub device: Device,
    pub of: wgrad::train::Predictor,
}

impl Outputs {
    fn rows(&self, x: &JsValue, call: &str) -> Result<(Self, Vec<f32>)> {
        self.device.check(call)?;
        Ok((self.clone(), floats("x", x)?))
    }

    pub fn predict(&self, x: &JsValue) -> Promise {
        promise(self.rows(x, "predict").map(|(own, x)| async move {
            let outputs = own.of.predict(&x).await.map_err(js)?;
            Ok(Float32Array::from(outputs.as_slice()).into())
        }))
    }

    pub fn probabilities(&self, x: &JsValue) -> Promise {
        promise(self.rows(x, "predictProbabilities").map(|(own, x)| async move {
            let outputs = own.of.predict_probabilities(&x).await.map_err(js)?;
            Ok(Float32Array::from(outputs.as_slice()).into())
        }))
    }

    pub fn classes(&self, x: &JsValue) -> Promise {
        promise(self.rows(x, "predictClasses").map(|(own, x)| async move {
            let classes = own.of.predict_classes(&x).await.map_err(js)?;
            Ok(Uint32Array::from(classes.as_slice()).into())
        }))
    }

    /// The outputs in a `GPUBuffer`, which nothing but the page holds.
    pub fn buffer(&self, x: &JsValue) -> Promise {
        promise(self.rows(x, "predictToBuffer").map(|(own, x)| async move { own.fill(&x).await }))
    }

    async fn fill(&self, x: &[f32]) -> Result<JsValue> {
        let architecture = self.of.architecture();
        let (inputs, outputs) = (architecture.input_width(), architecture.output_width());
        let rows = self.of.finite_rows(x).map_err(js)?;
        let gpu = self.of.gpu();
        let buffer = |width: usize, usage| {
            gpu.device().create_buffer(&BufferDescriptor {
                label: Some("wgrad"),
                size: rows as u64 * width as u64 * size_of::<f32>() as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        let input = buffer(inputs, BufferUsages::COPY_SRC | BufferUsages::COPY_DST);
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let output = buffer(outputs, usage | BufferUsages::VERTEX);
        gpu.queue().write_buffer(&input, 0, bytemuck::cast_slice(x));
        let mut encoder = gpu.device().create_command_encoder(&CommandEncoderDescriptor::default());
        if let Err(error) = self.of.record(&mut encoder, &input, &output, rows).await {
            input.destroy();
            output.destroy();
            return Err(js(error));
        }
        gpu.queue().submit([encoder.finish()]);
        // What was submitted keeps it.
        input.destroy();
        let handle = output.as_webgpu().map(|handle| JsValue::from(handle.clone()));
        handle.ok_or_else(|| {
            js(wgrad::Error::argument("backend", gpu.describe(), "WebGPU of a browser"))
        })
    }

    pub fn summary(&self) -> String {
        self.of.architecture().summary().to_string()
    }
}
