//! Layer normalization.

use crate::Error;
use crate::graph::{Shape, Tensor, Unary};
use crate::nn::{Builder, InitialValues, Layer, Sequential, Settings};

/// `gain · (x - mean) / √(variance + ε) + bias`, mean and variance taken over the last axis of each row
/// by itself (Ba et al., 2016). `gain` and `bias` are as long as that axis and start at one and zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// ε, which keeps rows of equal numbers finite. At least 1e-20.
    pub epsilon: f32,
}

/// ε = 1e-5.
impl Default for LayerNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5 }
    }
}

impl LayerNorm {
    /// As [`Layer::settings`] describes it.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { epsilon: settings.get_number("epsilon")? })
    }
}

impl Layer for LayerNorm {
    fn name(&self) -> &str {
        "layer_norm"
    }

    fn settings(&self) -> Option<Settings> {
        Some(Settings::new().number("epsilon", self.epsilon))
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor, Error> {
        // The gradient has ε to the power of minus three halves, which must be finite.
        if !(self.epsilon >= 1e-20 && self.epsilon.is_finite()) {
            return Err(Error::argument("epsilon", self.epsilon, "at least 1e-20, and finite"));
        }
        let shape = builder.shape(x)?.clone();
        // The first axis is the rows: it is never the one to take a mean over.
        let axis = shape.rank().saturating_sub(1).max(1);
        let width = shape.columns();
        let gain = builder.parameter("gain", width, InitialValues::Constant(1.0))?;
        let bias = builder.parameter("bias", width, InitialValues::Constant(0.0))?;

        let graph = builder.graph();
        let mean = graph.mean(x, axis)?;
        let mean = graph.expand(mean, shape.clone(), axis, axis + 1, 1.0)?;
        let centred = graph.sub(x, mean)?;
        let squares = graph.unary(Unary::Square, centred)?;
        let variance = graph.mean(squares, axis)?;
        let epsilon = graph.constant(self.epsilon, Shape::scalar())?;
        let variance = graph.add(variance, epsilon)?;
        let deviation = graph.unary(Unary::Sqrt, variance)?;
        let inverse = graph.unary(Unary::Reciprocal, deviation)?;
        let inverse = graph.expand(inverse, shape, axis, axis + 1, 1.0)?;
        let normal = graph.mul(centred, inverse)?;
        let scaled = graph.mul(normal, gain)?;
        graph.bias_add(scaled, bias)
    }
}

impl Sequential {
    /// Adds a layer normalization with ε = 1e-5.
    pub fn layer_norm(self) -> Self {
        self.layer(LayerNorm::default())
    }
}
