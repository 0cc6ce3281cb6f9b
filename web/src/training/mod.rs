//! Training: `Model` and `Trainer`.

mod config;
mod fit;
mod lock;
mod model;
mod report;
mod results;
mod saved;
mod shared;
mod trainer;
mod weights;

pub use model::Model;
pub use trainer::Trainer;
