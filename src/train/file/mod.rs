//! Models as files: everything that a process needs to predict with a model, or to train it on.

mod container;
#[cfg(not(target_arch = "wasm32"))]
mod disk;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod folder;
mod header;
mod model_file;
#[cfg(feature = "onnx")]
mod onnx;
mod pytorch;
mod tensor;

pub use model_file::ModelFile;
