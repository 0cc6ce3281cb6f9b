//! What a model and its trainers hold together.

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use wgrad::nn::{Loss, Sequential};

use super::lock::{Loan, Lock};
use crate::error::Result;
use crate::gpu::Device;
use crate::outputs::Outputs;

/// What a model and its trainers share.
#[derive(Clone)]
pub struct Shared {
    pub device: Device,
    /// Sees the weights as they are, also while a call trains them.
    pub outputs: Outputs,
    pub architecture: Rc<Sequential>,
    pub loss: Loss,
    pub lock: Lock<wgrad::train::Model>,
    /// What makes features of a table's columns, if the file that it comes from has such: it goes with the model.
    pub encoder: JsValue,
    /// Steps completed, to be read while a call is under way.
    pub steps: Rc<Cell<u64>>,
}

impl Shared {
    pub fn new(device: Device, model: wgrad::train::Model) -> Self {
        Self {
            outputs: Outputs { device: device.clone(), of: model.predictor() },
            loss: model.loss(),
            architecture: Rc::new(model.architecture().clone()),
            steps: Rc::new(Cell::new(model.steps())),
            encoder: JsValue::UNDEFINED,
            lock: Lock::new(model),
            device,
        }
    }

    /// The model, for one call.
    pub fn take(&self, call: &'static str) -> Result<Loan<wgrad::train::Model>> {
        self.device.check(call)?;
        self.lock.take("the model", call)
    }
}
