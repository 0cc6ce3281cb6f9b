//! `Model`.

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::explainer::Explainer;
use super::fit::{FitOptions, Order};
use super::results::{dataset, evaluation, history};
use super::saved::{self, Saved};
use super::shared::Shared;
use super::trainer::Trainer;
use super::weights;
use crate::error::js;
use crate::gpu::Gpu;
use crate::options::Options;
use crate::promise::{promise, settled};

/// A neural network on a device, ready to train, evaluate and predict.
#[wasm_bindgen]
pub struct Model {
    shared: Shared,
}

#[wasm_bindgen]
impl Model {
    /// Puts a model on a device, with its initial weights.
    #[wasm_bindgen(unchecked_return_type = "Promise<Model>")]
    pub fn create(
        gpu: &Gpu,
        #[wasm_bindgen(unchecked_param_type = "ModelConfig")] config: JsValue,
    ) -> Promise {
        let device = gpu.device.clone();
        let parts = device.check("create").and_then(|()| super::config::read(&config));
        promise(parts.map(|(architecture, compile)| async move {
            let model = architecture.compile(&device.gpu, compile).await.map_err(js)?;
            Ok(Model { shared: Shared::new(device, model) }.into())
        }))
    }

    /// Puts a saved model, the bytes of `save()` or of a file that wgrad has written natively, on a device. It
    /// trains on as if it had never stopped.
    #[wasm_bindgen(unchecked_return_type = "Promise<Model>")]
    pub fn load(
        gpu: &Gpu,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] file: JsValue,
    ) -> Promise {
        let device = gpu.device.clone();
        let file = device.check("load").and_then(|()| Saved::open(&file));
        promise(file.map(|file| async move {
            let (model, encoder) = file.model(&device.gpu).await?;
            Ok(Model { shared: Shared { encoder, ..Shared::new(device, model) } }.into())
        }))
    }

    /// A table of the layers with output shapes and parameter counts.
    pub fn summary(&self) -> String {
        self.shared.outputs.summary()
    }

    /// Trains on the rows of `x` with targets `y`. Calling it again goes on from where it stopped.
    #[wasm_bindgen(unchecked_return_type = "Promise<History>")]
    pub fn fit(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] y: JsValue,
        #[wasm_bindgen(unchecked_param_type = "FitOptions")] options: JsValue,
    ) -> Promise {
        let shared = self.shared.clone();
        let begin = || {
            let options = FitOptions::read(&options, &shared.architecture, shared.loss)?;
            let data = dataset(&shared.architecture, shared.loss, &x, &y)?;
            Ok((options, data, shared.take("fit")?))
        };
        promise(begin().map(|(options, data, mut model)| async move {
            let result = options.run(&mut model, &data).await;
            shared.steps.set(model.steps());
            result.map(|all| history(&all))
        }))
    }

    /// Loss and metrics on rows; no weight moves.
    #[wasm_bindgen(unchecked_return_type = "Promise<Evaluation>")]
    pub fn evaluate(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] y: JsValue,
    ) -> Promise {
        let begin = || {
            let data = dataset(&self.shared.architecture, self.shared.loss, &x, &y)?;
            Ok((data, self.shared.take("evaluate")?))
        };
        promise(begin().map(|(data, model)| async move {
            model.evaluate(&data).await.map(|found| evaluation(&found)).map_err(js)
        }))
    }

    /// The model's output for each row of `x`, with the weights that it has: also while it trains.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn predict(&self, #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue) -> Promise {
        self.shared.outputs.predict(&x)
    }

    /// As `predict`, with a softmax over each row (for `binary_cross_entropy`: a sigmoid of each
    /// output): the probabilities that belong to the logits.
    #[wasm_bindgen(js_name = predictProbabilities, unchecked_return_type = "Promise<Float32Array>")]
    pub fn predict_probabilities(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
    ) -> Promise {
        self.shared.outputs.probabilities(&x)
    }

    /// The class of each row: the position of its largest output.
    #[wasm_bindgen(js_name = predictClasses, unchecked_return_type = "Promise<Uint32Array>")]
    pub fn predict_classes(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
    ) -> Promise {
        self.shared.outputs.classes(&x)
    }

    /// As `predict`, into a `GPUBuffer` of the device for a shader of your own: 32-bit floats, row by row.
    /// Nothing comes to the page. It is yours: `destroy()` it.
    #[wasm_bindgen(js_name = predictToBuffer, unchecked_return_type = "Promise<GpuBuffer>")]
    pub fn predict_to_buffer(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
    ) -> Promise {
        self.shared.outputs.buffer(&x)
    }

    /// The model with everything that it needs to train on: layers, loss, optimizer and its state, metrics,
    /// weights, steps. The bytes are those of a file that wgrad writes natively.
    #[wasm_bindgen(unchecked_return_type = "Promise<Uint8Array>")]
    pub fn save(&self) -> Promise {
        let encoder = self.shared.encoder.clone();
        promise(
            self.shared.take("save").map(|model| async move { saved::seal(&model, encoder).await }),
        )
    }

    /// Names, shapes and values of all weights.
    #[wasm_bindgen(unchecked_return_type = "Promise<Weight[]>")]
    pub fn weights(&self) -> Promise {
        promise(self.shared.take("weights").map(|model| async move { weights::read(&model).await }))
    }

    /// Replaces all weights, given in the order of `weights()`.
    #[wasm_bindgen(js_name = setWeights, unchecked_return_type = "Promise<void>")]
    pub fn set_weights(
        &self,
        #[wasm_bindgen(unchecked_param_type = "(Numbers | Weight)[]")] values: JsValue,
    ) -> Promise {
        settled(
            self.shared
                .take("setWeights")
                .and_then(|mut model| weights::write(&mut model, &values)),
        )
    }

    /// All weights as a safetensors file.
    #[wasm_bindgen(js_name = exportWeights, unchecked_return_type = "Promise<Uint8Array>")]
    pub fn export_weights(&self) -> Promise {
        promise(
            self.shared
                .take("exportWeights")
                .map(|model| async move { weights::export(&model).await }),
        )
    }

    /// Replaces all weights by those of a safetensors file.
    #[wasm_bindgen(js_name = importWeights, unchecked_return_type = "Promise<void>")]
    pub fn import_weights(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | ArrayBuffer")] bytes: JsValue,
    ) -> Promise {
        settled(
            self.shared
                .take("importWeights")
                .and_then(|mut model| weights::import(&mut model, &bytes)),
        )
    }

    /// A training loop of your own over rows that stay on the device.
    #[wasm_bindgen(unchecked_return_type = "Promise<Trainer>")]
    pub fn trainer(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "Numbers")] y: JsValue,
        #[wasm_bindgen(unchecked_param_type = "TrainerOptions | undefined | void")]
        options: JsValue,
    ) -> Promise {
        let shared = self.shared.clone();
        let begin = || {
            let mut options = Options::new("options", &options)?;
            let order = Order::read(&mut options)?;
            options.finish()?;
            let data = dataset(&shared.architecture, shared.loss, &x, &y)?;
            Ok((order, data, shared.take("trainer")?))
        };
        promise(begin().map(|(order, data, mut model)| async move {
            Ok(Trainer::new(shared, &mut model, data, order).await?.into())
        }))
    }

    /// What says which numbers of a row the model's output comes from, now and as it trains on.
    #[wasm_bindgen(unchecked_return_type = "Promise<Explainer>")]
    pub fn explainer(&self) -> Promise {
        let shared = self.shared.clone();
        promise(
            self.shared
                .take("explainer")
                .map(|model| async move { Ok(Explainer::new(shared, &model).await?.into()) }),
        )
    }

    /// Steps completed since the model was created.
    #[wasm_bindgen(getter)]
    pub fn steps(&self) -> f64 {
        self.shared.steps.get() as f64
    }
}
