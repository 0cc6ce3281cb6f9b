//! Layers, losses, optimizers, metrics and [`Sequential`], in the words that Keras made common.

mod builder;
mod init;
mod layer;
pub mod layers;
mod learning_rate_schedule;
mod loaders;
pub(crate) mod metric;
pub(crate) mod optimizer;
mod row_function;
mod sequential;
mod settings;

pub use crate::graph::Loss;
pub use builder::Builder;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use builder::rows_of;
pub use init::{Init, InitialValues};
pub use layer::Layer;
pub use learning_rate_schedule::{LearningRateSchedule, WarmUp};
pub use loaders::Loaders;
pub use metric::{Direction, Metric, OwnMetric};
pub use optimizer::Optimizer;
pub(crate) use row_function::SharedFunction;
pub use row_function::{OwnFunction, RowFunction};
pub use sequential::{ParameterSpec, Sequential};
pub use settings::{Setting, Settings, StackSettings};
