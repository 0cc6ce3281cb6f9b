//! wgrad trains and runs neural networks on any GPU that speaks WebGPU.
#![warn(missing_docs)]

pub mod data;
mod error;
pub mod exec;
pub mod gpu;
pub mod graph;
pub mod kernel;
pub mod plan;

pub use error::{Error, Result};
pub use gpu::{AdapterChoice, Counters, Gpu, adapters};
