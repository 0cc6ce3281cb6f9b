//! wgrad trains and runs neural networks on any GPU that speaks WebGPU.
#![warn(missing_docs)]

pub mod data;
mod error;
pub mod graph;
pub mod kernel;

pub use error::{Error, Result};
