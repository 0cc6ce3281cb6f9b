//! The softmax layer.

use crate::Error;
use crate::graph::Tensor;
use crate::nn::{Builder, Layer, Sequential, Settings};

/// Softmax over the last axis: of rows of n numbers, probabilities that sum to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax;

impl Layer for Softmax {
    fn name(&self) -> &str {
        "softmax"
    }

    fn settings(&self) -> Option<Settings> {
        Some(Settings::new())
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor, Error> {
        // The first axis is the rows, which have nothing to do with each other.
        let axis = builder.shape(x)?.rank().saturating_sub(1).max(1);
        builder.graph().softmax(x, axis)
    }
}

impl Sequential {
    /// Adds a softmax. The cross-entropy losses take logits: train without it.
    pub fn softmax(self) -> Self {
        self.layer(Softmax)
    }
}
