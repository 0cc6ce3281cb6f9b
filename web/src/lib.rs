//! wgrad for JavaScript: the classes `Gpu`, `Model` and `Trainer`.
//!
//! Every call that waits for the device returns a promise; what goes wrong comes as an `Error` with
//! wgrad's message. Nothing here computes: it checks and converts arguments, and keeps two calls
//! from using one model at the same time. `guard.js` stands between the page and these classes: it refuses
//! what would never reach them in one piece, such as a call on what was freed.

mod config;
mod convert;
mod error;
mod fit;
mod gpu;
mod lock;
mod model;
mod options;
mod shared;
mod trainer;
mod types;
mod weights;

use wasm_bindgen::prelude::*;

pub use gpu::Gpu;
pub use model::Model;
pub use trainer::Trainer;

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
