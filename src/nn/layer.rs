//! Layers.

use super::Init;
use crate::graph::Unary;

/// One layer of a [`Sequential`](super::Sequential) model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// `x·W + b`: every unit sees every input.
    Dense {
        /// Number of units, which is the width of the output.
        units: usize,
        /// How the weights start.
        init: Init,
    },
    /// An element-wise function.
    Activation(Unary),
    /// Softmax over the features of a row: probabilities that sum to one.
    Softmax,
}

impl Layer {
    /// The width of the output for inputs of `width`.
    pub fn output_width(self, width: usize) -> usize {
        match self {
            Layer::Dense { units, .. } => units,
            Layer::Activation(_) | Layer::Softmax => width,
        }
    }

    /// Number of parameters for inputs of `width`, `usize::MAX` if there are more than that.
    pub fn parameters(self, width: usize) -> usize {
        match self {
            Layer::Dense { units, .. } => width.saturating_add(1).saturating_mul(units),
            Layer::Activation(_) | Layer::Softmax => 0,
        }
    }

    /// The name in summaries and of parameters.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Dense { .. } => "dense",
            Layer::Activation(function) => function.name(),
            Layer::Softmax => "softmax",
        }
    }
}
