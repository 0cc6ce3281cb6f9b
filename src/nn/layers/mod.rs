//! The layers that there are, one in each file: what it is made of, and the method that adds it to a
//! [`Sequential`](super::Sequential) model.

mod activation;
mod dense;
mod dropout;
mod flatten;
mod layer_norm;
mod residual;
mod softmax;

pub use activation::Activation;
pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use layer_norm::LayerNorm;
pub use residual::Residual;
pub use softmax::Softmax;
