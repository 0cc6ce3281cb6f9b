//! wgrad for JavaScript: the classes `Gpu`, `Predictor`, `Model` and `Trainer`; without the feature `training`
//! the first two.
//!
//! Every call that waits for the device returns a promise; what goes wrong comes as an `Error` with
//! wgrad's message. Nothing here computes: it checks and converts arguments, and keeps two calls
//! from using one model at the same time. `guard.js` stands between the page and these classes: it refuses
//! what would never reach them in one piece, such as a call on what was freed.

mod convert;
mod error;
#[cfg(feature = "models")]
mod file;
mod gpu;
mod options;
#[cfg(feature = "models")]
mod outputs;
#[cfg(feature = "models")]
mod predictor;
mod promise;
#[cfg(feature = "tasks")]
mod tasks;
#[cfg(feature = "training")]
mod training;
mod types;
#[cfg(any(feature = "tasks", feature = "training"))]
mod watch;

use wasm_bindgen::prelude::*;

pub use gpu::Gpu;
#[cfg(feature = "models")]
pub use predictor::Predictor;
#[cfg(feature = "tasks")]
pub use tasks::{KMeans, Pca};
#[cfg(feature = "training")]
pub use training::{Explainer, Model, Trainer};

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
