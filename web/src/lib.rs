//! wgrad for JavaScript: the classes `Gpu`, `Predictor`, `Model` and `Trainer`; without the feature `training`
//! the first two.
//!
//! Every call that waits for the device returns a promise; what goes wrong comes as an `Error` with
//! wgrad's message. Nothing here computes: it checks and converts arguments, and keeps two calls
//! from using one model at the same time. `guard.js` stands between the page and these classes: it refuses
//! what would never reach them in one piece, such as a call on what was freed.

mod convert;
mod error;
mod file;
mod gpu;
mod options;
mod outputs;
mod predictor;
mod promise;
#[cfg(feature = "training")]
mod training;
mod types;

use wasm_bindgen::prelude::*;

pub use gpu::Gpu;
pub use predictor::Predictor;
#[cfg(feature = "training")]
pub use training::{Model, Trainer};

/// A panic is a bug of wgrad's; without this its message would be lost, and calls under way would never
/// be answered.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|info| {
        let reason = info.to_string();
        error::log(&format!("wgrad panicked, which is a bug worth reporting: {reason}"));
        error::failed(&reason);
    }));
}
