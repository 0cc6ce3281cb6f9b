//! Layers, losses, optimizers, metrics and [`Sequential`], in the words that Keras made common.

mod init;
mod layer;
pub(crate) mod metric;
pub(crate) mod optimizer;
mod schedule;
mod sequential;

pub use crate::graph::Loss;
pub use init::Init;
pub use layer::Layer;
pub use metric::{Direction, Metric};
pub use optimizer::Optimizer;
pub use schedule::{Schedule, WarmUp};
pub use sequential::{ParameterSpec, Sequential};
