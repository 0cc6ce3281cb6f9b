//! wgrad trains and runs neural networks on any GPU that speaks WebGPU (Vulkan, Metal, DX12, the
//! browser), with kernels written by hand in WGSL.
//!
//! Data flows one way: a [model](nn::Sequential) builds a [graph](graph::Graph), which is
//! differentiated and compiled to a [plan](plan::Plan), which an [executor](exec::Executor) runs on
//! a [device](Gpu). A layer knows the graph, not the device; a kernel knows no layer.
//!
//! Start with [`nn::Sequential`] and [`train::FitOptions`]; go below to [`train::Trainer`] for a loop of
//! your own, or to [`graph`], [`plan`] and [`exec`] for a training step of your own.
//!
//! Every call that waits for the device is `async`; natively each has a twin that ends in
//! `_blocking`. (Training over lanes runs on threads of its own: its calls wait by themselves.)
#![warn(missing_docs)]

#[cfg(not(target_arch = "wasm32"))]
mod blocking;
mod blocks;
mod checksum;
mod clock;
pub mod cluster;
pub mod data;
#[cfg(feature = "decompose")]
pub mod decompose;
mod error;
pub mod exec;
pub mod explain;
mod finite;
pub mod gpu;
pub mod graph;
#[doc(hidden)]
pub mod kernel;
#[cfg(not(target_arch = "wasm32"))]
pub mod lanes;
pub mod nn;
#[cfg(all(feature = "plot", not(target_arch = "wasm32")))]
mod picture;
pub mod plan;
pub mod prelude;
pub mod train;

pub use error::{Error, Result};
/// The version of `wgpu` that devices passed to [`Gpu::from_device`] must be of.
pub use wgpu;

#[cfg(not(target_arch = "wasm32"))]
pub use blocking::adapters_blocking;
pub use gpu::{AdapterChoice, Counters, Gpu, adapters};

/// The programs of the README and of `docs/`, compiled as tests.
#[cfg(all(doctest, not(target_arch = "wasm32")))]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/architecture.md")]
    struct Architecture;
    #[doc = include_str!("../docs/adding.md")]
    struct Adding;
    #[doc = include_str!("../docs/lanes.md")]
    struct Lanes;
    #[cfg(feature = "files")]
    #[doc = include_str!("../docs/files.md")]
    struct Files;
    #[doc = include_str!("../docs/sources.md")]
    struct Sources;
    #[doc = include_str!("../docs/tasks.md")]
    struct Tasks;
}
