//! What most programs need: `use wgrad::prelude::*;`.

pub use crate::data::{Dataset, Standardizer, Targets};
pub use crate::nn::{Init, LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
pub use crate::train::{
    BatchLog, Callback, EarlyStopping, EpochLog, Evaluation, FitOptions, History, KeepBest, Model,
    Signal, TrainLog, TrainingConfig,
};
pub use crate::{AdapterChoice, Error, Gpu};
