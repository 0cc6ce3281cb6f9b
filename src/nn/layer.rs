//! Layers.

use super::Init;
use crate::Error;
use crate::graph::Unary;

/// One layer of a [`Sequential`](super::Sequential) model.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
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

    /// Names and shapes of its parameters for inputs of `width`; none of a layer that has nothing to
    /// train. What numbers, names, counts or draws parameters goes by this list.
    pub fn parameter_shapes(self, width: usize) -> Vec<(&'static str, Vec<usize>)> {
        match self {
            Layer::Dense { units, .. } => {
                vec![("weight", vec![width, units]), ("bias", vec![units])]
            }
            Layer::Activation(_) | Layer::Softmax => Vec::new(),
        }
    }

    /// Their values before training, drawn from `seed`.
    ///
    /// # Errors
    /// Those of [`Init::weights`].
    pub(crate) fn initial(self, width: usize, seed: u64) -> Result<Vec<Vec<f32>>, Error> {
        Ok(match self {
            Layer::Dense { units, init } => {
                vec![init.weights(width, units, seed)?, vec![0.0; units]]
            }
            Layer::Activation(_) | Layer::Softmax => Vec::new(),
        })
    }

    /// How many numbers of it are trained for inputs of `width`, `usize::MAX` if there are more than
    /// that.
    pub fn parameters(self, width: usize) -> usize {
        let shapes = self.parameter_shapes(width).into_iter();
        let elements = shapes.map(|(_, shape)| shape.into_iter().fold(1, usize::saturating_mul));
        elements.fold(0, usize::saturating_add)
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
