//! `Model`.

use std::rc::Rc;

use js_sys::{Float32Array, Promise, Uint8Array, Uint32Array};
use wasm_bindgen::prelude::*;

use crate::convert::{dataset, evaluation, floats, history};
use crate::error::{Result, js};
use crate::fit::{FitOptions, Order};
use crate::gpu::Gpu;
use crate::lock::{Loan, Lock, promise, settled};
use crate::options::Options;
use crate::shared::Shared;
use crate::trainer::Trainer;
use crate::weights;

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
        let parts = device.check("create").and_then(|()| crate::config::read(&config));
        promise(parts.map(|(architecture, compile)| async move {
            let model = architecture.clone().compile(&device.gpu, compile).await.map_err(js)?;
            let shared = Shared {
                loss: model.loss(),
                architecture: Rc::new(architecture),
                lock: Lock::new(model),
                steps: Rc::default(),
                device,
            };
            Ok(Model { shared }.into())
        }))
    }

    /// A table of the layers with output shapes and parameter counts.
    pub fn summary(&self) -> String {
        self.shared.architecture.summary().to_string()
    }

    /// Trains on the rows of `x` with targets `y`. Calling it again goes on from where it stopped.
    #[wasm_bindgen(unchecked_return_type = "Promise<History>")]
    pub fn fit(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Float32Array")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "Float32Array | Uint32Array")] y: JsValue,
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
        #[wasm_bindgen(unchecked_param_type = "Float32Array")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "Float32Array | Uint32Array")] y: JsValue,
    ) -> Promise {
        let begin = || {
            let data = dataset(&self.shared.architecture, self.shared.loss, &x, &y)?;
            Ok((data, self.shared.take("evaluate")?))
        };
        promise(begin().map(|(data, model)| async move {
            model.evaluate(&data).await.map(|found| evaluation(&found)).map_err(js)
        }))
    }

    /// The model's output for each row of `x`.
    #[wasm_bindgen(unchecked_return_type = "Promise<Float32Array>")]
    pub fn predict(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Float32Array")] x: JsValue,
    ) -> Promise {
        promise(self.rows(&x, "predict").map(|(x, model)| async move {
            let outputs = model.predict(&x).await.map_err(js)?;
            Ok(Float32Array::from(outputs.as_slice()).into())
        }))
    }

    /// As `predict`, with a softmax over each row (for `binary_cross_entropy`: a sigmoid of each
    /// output): the probabilities that belong to the logits.
    #[wasm_bindgen(js_name = predictProbabilities, unchecked_return_type = "Promise<Float32Array>")]
    pub fn predict_probabilities(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Float32Array")] x: JsValue,
    ) -> Promise {
        promise(self.rows(&x, "predictProbabilities").map(|(x, model)| async move {
            let outputs = model.predict_probabilities(&x).await.map_err(js)?;
            Ok(Float32Array::from(outputs.as_slice()).into())
        }))
    }

    /// The class of each row: the position of its largest output.
    #[wasm_bindgen(js_name = predictClasses, unchecked_return_type = "Promise<Uint32Array>")]
    pub fn predict_classes(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Float32Array")] x: JsValue,
    ) -> Promise {
        promise(self.rows(&x, "predictClasses").map(|(x, model)| async move {
            let classes = model.predict_classes(&x).await.map_err(js)?;
            Ok(Uint32Array::from(classes.as_slice()).into())
        }))
    }

    fn rows(
        &self,
        x: &JsValue,
        call: &'static str,
    ) -> Result<(Vec<f32>, Loan<wgrad::train::Model>)> {
        let x = floats("x", x)?;
        Ok((x, self.shared.take(call)?))
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
        #[wasm_bindgen(unchecked_param_type = "Float32Array[]")] values: JsValue,
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
        promise(self.shared.take("exportWeights").map(|model| async move {
            let file = weights::export(&model).await?;
            Ok(Uint8Array::from(file.as_slice()).into())
        }))
    }

    /// Replaces all weights by those of a safetensors file.
    #[wasm_bindgen(js_name = importWeights, unchecked_return_type = "Promise<void>")]
    pub fn import_weights(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] bytes: JsValue,
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
        #[wasm_bindgen(unchecked_param_type = "Float32Array")] x: JsValue,
        #[wasm_bindgen(unchecked_param_type = "Float32Array | Uint32Array")] y: JsValue,
        #[wasm_bindgen(unchecked_param_type = "TrainerOptions")] options: JsValue,
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

    /// Steps completed since the model was created.
    #[wasm_bindgen(getter)]
    pub fn steps(&self) -> f64 {
        self.shared.steps.get() as f64
    }
}
