//! Training: `Model`, `Trainer` and `Explainer`.

mod config;
mod explainer;
mod fit;
mod lock;
mod model;
mod report;
mod results;
mod saved;
mod shared;
mod trainer;
mod weights;

pub use explainer::Explainer;
pub use model::Model;
pub use trainer::Trainer;
