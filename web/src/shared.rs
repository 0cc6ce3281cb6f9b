//! What a model and its trainers hold together.

use std::cell::Cell;
use std::rc::Rc;

use wgrad::nn::{Loss, Sequential};

use crate::error::Result;
use crate::gpu::Device;
use crate::lock::{Loan, Lock};

/// What a model and its trainers share.
#[derive(Clone)]
pub struct Shared {
    pub device: Device,
    pub architecture: Rc<Sequential>,
    pub loss: Loss,
    pub lock: Lock<wgrad::train::Model>,
    /// Steps completed, to be read while a call is under way.
    pub steps: Rc<Cell<u64>>,
}

impl Shared {
    /// The model, for one call.
    pub fn take(&self, call: &'static str) -> Result<Loan<wgrad::train::Model>> {
        self.device.check(call)?;
        self.lock.take("the model", call)
    }
}
