//! Activations.

use crate::Error;
use crate::graph::{Tensor, Unary};
use crate::nn::{Builder, Layer, Sequential, Settings};

/// An element-wise function, of rows of any shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activation(pub Unary);

impl Activation {
    /// As [`Layer::settings`] describes it; `None` if no function has this name.
    pub(super) fn from_settings(name: &str, settings: &Settings) -> Option<Result<Self, Error>> {
        let usual = Unary::from_name(name)?;
        let chosen = match usual.parameter() {
            Some((parameter, _)) => {
                settings.get_number(parameter).map(|value| usual.with_parameter(value))
            }
            None => Ok(usual),
        };
        Some(chosen.map(Self))
    }
}

impl Layer for Activation {
    /// That of the function.
    fn name(&self) -> &str {
        self.0.name()
    }

    fn settings(&self) -> Option<Settings> {
        let none = Settings::new();
        Some(self.0.parameter().map_or(none.clone(), |(name, value)| none.number(name, value)))
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor, Error> {
        builder.graph().unary(self.0, x)
    }
}

impl Sequential {
    /// Adds an activation.
    pub fn activation(self, function: Unary) -> Self {
        self.layer(Activation(function))
    }

    /// Adds a ReLU.
    pub fn relu(self) -> Self {
        self.activation(Unary::Relu)
    }

    /// Adds a leaky ReLU.
    pub fn leaky_relu(self, slope: f32) -> Self {
        self.activation(Unary::LeakyRelu { slope })
    }

    /// Adds a sigmoid.
    pub fn sigmoid(self) -> Self {
        self.activation(Unary::Sigmoid)
    }

    /// Adds a hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.activation(Unary::Tanh)
    }

    /// Adds a GELU.
    pub fn gelu(self) -> Self {
        self.activation(Unary::Gelu)
    }
}
