//! The layers that there are, one in each file: what it is made of, and the method that adds it to a
//! [`Sequential`](super::Sequential) model.

use std::sync::Arc;

use super::{Layer, Loaders, Settings};
use crate::Error;

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

/// The layer of this name with these settings; `None` if there is no such layer here.
pub(super) fn load(
    name: &str,
    settings: &Settings,
    loaders: &Loaders,
) -> Option<Result<Arc<dyn Layer>, Error>> {
    fn shared(layer: Result<impl Layer, Error>) -> Option<Result<Arc<dyn Layer>, Error>> {
        Some(layer.map(|layer| -> Arc<dyn Layer> { Arc::new(layer) }))
    }
    match name {
        "dense" => shared(Dense::from_settings(settings)),
        "dropout" => shared(Dropout::from_settings(settings)),
        "flatten" => shared(Ok(Flatten)),
        "layer_norm" => shared(LayerNorm::from_settings(settings)),
        "residual" => shared(Residual::from_settings(settings, loaders)),
        "softmax" => shared(Ok(Softmax)),
        function => shared(Activation::from_settings(function, settings)?),
    }
}
