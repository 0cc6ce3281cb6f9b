//! The report: one page that holds everything, for a browser of any size, light or dark, and for a screen
//! reader.

mod html;
mod page;
mod svg;

use std::path::Path;

use wgrad::data::{Encoder, TargetEncoding};

use crate::args::TrainArgs;
use crate::baseline::Baselines;
use crate::choose::Choice;
use crate::importance::Importance;
use crate::score::{Metric, Truth};

/// All that a report shows.
pub struct Report<'a> {
    pub args: &'a TrainArgs,
    /// The processes that trained together, if there were several.
    pub ranks: Option<usize>,
    pub adapter: String,
    pub encoder: &'a Encoder,
    pub choice: &'a Choice,
    pub metric: Metric,
    pub score: f64,
    /// Scores of a cross-validation.
    pub folds: Option<&'a [f64]>,
    pub baselines: Baselines,
    /// Losses of the rows trained on and held out, epoch by epoch.
    pub curves: &'a [(f64, Option<f64>)],
    pub epochs: usize,
    /// How their number came about.
    pub why: &'a str,
    pub seconds: f64,
    /// Rows trained on, and held out.
    pub rows: (usize, usize),
    /// What is true of the rows held out, and what is predicted of them.
    pub truth: &'a Truth,
    pub said: &'a [f32],
    pub importance: &'a [Importance],
    pub model: &'a Path,
}

impl Report<'_> {
    /// What is predicted.
    pub fn task(&self) -> &'static str {
        match self.encoder.targets() {
            TargetEncoding::Classes { .. } => "classification",
            _ => "regression",
        }
    }
}
