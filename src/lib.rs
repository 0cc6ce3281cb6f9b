//! wgrad trains and runs neural networks on any GPU that speaks WebGPU.
#![warn(missing_docs)]

mod clock;
pub mod data;
mod error;
pub mod exec;
pub mod gpu;
pub mod graph;
pub mod kernel;
pub mod nn;
pub mod plan;
pub mod train;

pub use error::{Error, Result};
pub use gpu::{AdapterChoice, Counters, Gpu, adapters};
