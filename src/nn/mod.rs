//! Layers, losses, optimizers, metrics and [`Sequential`], in the words that Keras made common.

mod init;
mod layer;
mod learning_rate_schedule;
pub(crate) mod metric;
pub(crate) mod optimizer;
mod sequential;

pub use crate::graph::Loss;
pub use init::Init;
pub use layer::Layer;
pub use learning_rate_schedule::{LearningRateSchedule, WarmUp};
pub use metric::{Direction, Metric};
pub use optimizer::Optimizer;
pub use sequential::{ParameterSpec, Sequential};
