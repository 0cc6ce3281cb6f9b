//! The layer that forgets the shape of rows.

use crate::Error;
use crate::graph::Tensor;
use crate::nn::{Builder, Layer, Sequential, Settings};

/// Rows of any shape as rows of one axis, with the numbers in the same order. Nothing is computed or
/// copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten;

impl Layer for Flatten {
    fn name(&self) -> &str {
        "flatten"
    }

    fn settings(&self) -> Option<Settings> {
        Some(Settings::new())
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor, Error> {
        builder.graph().as_lists(x)
    }
}

impl Sequential {
    /// Makes rows of one axis of rows of any shape.
    pub fn flatten(self) -> Self {
        self.layer(Flatten)
    }
}
