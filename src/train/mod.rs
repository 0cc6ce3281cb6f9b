//! Training, evaluation and prediction: `fit`, `evaluate`, `predict`, and below them the
//! [`Trainer`] for loops of one's own.

#[cfg(not(target_arch = "wasm32"))]
mod blocking;
mod callback;
mod classes;
mod engine;
mod evaluate;
mod feed;
mod figure;
mod fit;
mod graphs;
mod history;
mod kernels;
mod model;
#[cfg(not(target_arch = "wasm32"))]
mod parallel;
mod progress;
mod sums;
mod task;
mod trainer;

pub use callback::{BatchLog, Callback, EarlyStopping, KeepBest, MaybeSend, Signal, TrainLog};
pub use feed::Residency;
pub use figure::Figure;
pub use fit::{BatchSize, Fit, epoch_order};
pub use graphs::TrainingGraph;
pub use history::{EpochLog, History};
pub use kernels::Kernels;
pub use model::Model;
#[cfg(not(target_arch = "wasm32"))]
pub use parallel::{
    Advice, LaneMemory, Measured, Parallel, ParallelOptions, TrainingState, Trial, advise,
};
pub use sums::{Evaluation, Sums};
pub use task::Compile;
pub use trainer::{StepResult, Trainer};
