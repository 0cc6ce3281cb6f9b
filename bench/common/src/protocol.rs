//! One JSON value per line: a request on the worker's standard input, its reply on the worker's
//! standard output.

use serde::{Deserialize, Serialize};

use crate::workload::Task;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    Describe,
    /// Get ready for a task; drops the one before.
    Prepare(Task),
    /// Do the task once, from the same initial state every time.
    Measure,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    Description(Description),
    Prepared,
    Measured(Measured),
    /// The peer has no such thing; the reason.
    Unsupported(String),
    Failed(String),
}

/// Who runs where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub version: String,
    pub adapter: String,
    /// Name and version of the driver, where the peer tells.
    pub driver: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// What the clock showed: once, or for a prediction once per call.
    pub seconds: Vec<f64>,
    /// What came out, for comparison between peers: the last loss, or the weighted mean of outputs.
    pub check: f64,
}
