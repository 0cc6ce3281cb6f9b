//! Training, evaluation and prediction: `fit`, `evaluate`, `predict`, and below them the
//! [`Trainer`] for loops of one's own.

mod callback;
mod choose;
mod classes;
mod engine;
mod evaluate;
pub(crate) mod feed;
mod figure;
#[cfg(feature = "files")]
pub(crate) mod file;
pub(crate) mod fit;
pub(crate) mod graphs;
mod history;
#[cfg(feature = "files")]
mod json_number;
mod kernels;
#[cfg(not(target_arch = "wasm32"))]
mod log_file;
mod missed;
pub(crate) mod model;
mod plateau;
#[cfg(all(feature = "plot", not(target_arch = "wasm32")))]
mod plot;
mod predictor;
pub(crate) mod progress;
#[cfg(all(feature = "progress", not(target_arch = "wasm32")))]
mod progress_bar;
mod scores;
mod state;
pub(crate) mod sums;
pub(crate) mod task;
mod trainer;

pub use crate::data::epoch_order;
#[doc(inline)]
pub use crate::plan::Precision;
pub use callback::{
    BatchLog, Callback, EarlyStopping, KeepBest, MaybeSend, Signal, TrainLog, Wait,
};
pub use feed::Residency;
pub use figure::Figure;
#[cfg(feature = "files")]
pub use file::ModelFile;
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
pub use fit::Checkpoint;
pub use fit::{BatchSize, Every, FitOptions, Survive};
pub use graphs::TrainingGraph;
pub use history::{EpochLog, History};
pub use kernels::Kernels;
#[cfg(not(target_arch = "wasm32"))]
pub use log_file::LogFile;
pub use model::Model;
pub use plateau::ReduceOnPlateau;
pub use predictor::Predictor;
pub use progress::{Course, Progress};
#[cfg(all(feature = "progress", not(target_arch = "wasm32")))]
pub use progress_bar::ProgressBar;
pub use scores::{ConfusionMatrix, roc_auc, top_k_accuracy};
pub use state::TrainingState;
pub use sums::{Evaluation, Sums};
pub use task::TrainingConfig;
pub use trainer::{StepResult, Trainer};
