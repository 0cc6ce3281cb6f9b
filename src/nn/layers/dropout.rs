//! Dropout.

use crate::Error;
use crate::graph::{Tensor, check_dropout_rate};
use crate::nn::{Builder, Layer, Sequential, Settings};

/// Dropout (Srivastava et al., 2014): while the model trains, each number of a row is 0 with probability
/// `rate`, else times `1 / (1 - rate)`; anew in every step, with a seed of the layer's own that the model's
/// decides. Where it is evaluated or predicts, nothing happens. Rows may have any shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The share that is dropped: at least 0 and below 1.
    pub rate: f32,
}

impl Dropout {
    /// As [`Layer::settings`] describes it.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, Error> {
        Ok(Self { rate: settings.get_number("rate")? })
    }
}

impl Layer for Dropout {
    fn name(&self) -> &str {
        "dropout"
    }

    fn settings(&self) -> Option<Settings> {
        Some(Settings::new().number("rate", self.rate))
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor, Error> {
        check_dropout_rate("rate", self.rate)?;
        if !builder.training() || self.rate == 0.0 {
            return Ok(x);
        }
        let seed = builder.seed();
        builder.graph().dropout(x, self.rate, seed)
    }
}

impl Sequential {
    /// Adds a dropout; `rate` is the share that is dropped.
    ///
    /// ```
    /// use wgrad::nn::Sequential;
    /// let model = Sequential::new(10).dense(64).relu().dropout(0.5).dense(1);
    /// ```
    pub fn dropout(self, rate: f32) -> Self {
        self.layer(Dropout { rate })
    }
}
