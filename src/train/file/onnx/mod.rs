//! Models as ONNX files: to programs that run those, and from programs that write them.

mod chain;
mod export;
mod import;
mod proto;
mod table;
mod writer;
