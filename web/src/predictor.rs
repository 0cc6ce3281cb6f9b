//! `Predictor`.

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use crate::error::js;
use crate::file::ModelFile;
use crate::gpu::Gpu;
use crate::outputs::Outputs;
use crate::promise::promise;

/// A saved model that predicts and nothing else: it has no gradients and no optimizer's state. Any number of
/// calls may be under way at once.
#[wasm_bindgen]
pub struct Predictor {
    outputs: Outputs,
}

#[wasm_bindgen]
impl Predictor {
    /// Puts a saved model, the bytes of `model.save()` or of a file that wgrad has written natively, on a device.
    #[wasm_bindgen(unchecked_return_type = "Promise<Predictor>")]
    pub fn load(
        gpu: &Gpu,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] file: JsValue,
    ) -> Promise {
        let device = gpu.device.clone();
        let read = || {
            device.check("load")?;
            let mut file = ModelFile::open(&file)?;
            let architecture = file.architecture()?;
            Ok((file.loss()?, file.parameters(&architecture, &[])?, architecture))
        };
        promise(read().map(|(loss, parameters, architecture)| async move {
            let values: Vec<Vec<f32>> = parameters.into_iter().map(|(values, _)| values).collect();
            let of =
                wgrad::train::Predictor::with_weights(&device.gpu, &architecture, loss, &values);
            let of = of.await.map_err(js)?;
            Ok(Predictor { outputs: Outputs { device, of } }.into())
        }))
    }

    /// A table of the layers with output shapes and parameter counts.
    pub fn summary(&self) -> String {
        self.outputs.summary()
    }

    /// The model's output for each row of `x`.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn predict(&self, #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue) -> Promise {
        self.outputs.predict(&x)
    }

    /// As `predict`, with a softmax over each row (for `binary_cross_entropy`: a sigmoid of each
    /// output): the probabilities that belong to the logits.
    #[wasm_bindgen(js_name = predictProbabilities, unchecked_return_type = "Promise<Float32Array>")]
    pub fn predict_probabilities(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
    ) -> Promise {
        self.outputs.probabilities(&x)
    }

    /// The class of each row: the position of its largest output.
    #[wasm_bindgen(js_name = predictClasses, unchecked_return_type = "Promise<Uint32Array>")]
    pub fn predict_classes(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
    ) -> Promise {
        self.outputs.classes(&x)
    }

    /// As `predict`, into a `GPUBuffer` of the device for a shader of your own: 32-bit floats, row by row.
    /// Nothing comes to the page. It is yours: `destroy()` it.
    #[wasm_bindgen(js_name = predictToBuffer, unchecked_return_type = "Promise<GpuBuffer>")]
    pub fn predict_to_buffer(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
    ) -> Promise {
        self.outputs.buffer(&x)
    }
}
