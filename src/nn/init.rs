//! Initial values of weights, drawn from a named, portable generator.

use std::sync::Arc;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::Error;
use crate::graph::Shape;

/// How the weights of a dense layer are drawn. Fan-in is the number of a unit's inputs, fan-out the
/// number of units. Biases start at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Init {
    /// Uniform within ±√(6 / (fan-in + fan-out)) (Glorot and Bengio, 2010); Keras's default.
    #[default]
    GlorotUniform,
    /// Normal with variance 2 / (fan-in + fan-out) (Glorot and Bengio, 2010).
    GlorotNormal,
    /// Uniform within ±√(6 / fan-in) (He et al., 2015); suits ReLU.
    HeUniform,
    /// Normal with variance 2 / fan-in (He et al., 2015); suits ReLU.
    HeNormal,
    /// All zero.
    Zeros,
}

impl Init {
    /// All ways.
    pub const ALL: [Self; 5] =
        [Init::GlorotUniform, Init::GlorotNormal, Init::HeUniform, Init::HeNormal, Init::Zeros];

    /// The name in tables: `glorot_uniform`.
    pub fn name(self) -> &'static str {
        match self {
            Init::GlorotUniform => "glorot_uniform",
            Init::GlorotNormal => "glorot_normal",
            Init::HeUniform => "he_uniform",
            Init::HeNormal => "he_normal",
            Init::Zeros => "zeros",
        }
    }

    /// The way of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|init| init.name() == name)
    }

    /// `fan_in × fan_out` weights. The same seed gives the same weights on every machine.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are more than 32 bits count, which no device takes.
    pub fn weights(self, fan_in: usize, fan_out: usize, seed: u64) -> Result<Vec<f32>, Error> {
        let count = fan_in.saturating_mul(fan_out);
        if u32::try_from(count).is_err() {
            let (value, most) = (format!("{fan_in} × {fan_out}"), u32::MAX);
            let rule = format!("at most {most}, since 32 bits must count them; use fewer units");
            return Err(Error::argument("number of weights", value, &rule));
        }
        Ok(self.draw(count, fan_in, fan_out, seed))
    }

    /// `count` numbers.
    fn draw(self, count: usize, fan_in: usize, fan_out: usize, seed: u64) -> Vec<f32> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (inputs, sum) = (fan_in as f64, fan_in as f64 + fan_out as f64);
        let mut uniform = |bound: f64| -> Vec<f32> {
            (0..count).map(|_| (bound * (2.0 * random.random::<f64>() - 1.0)) as f32).collect()
        };
        match self {
            Init::GlorotUniform => uniform((6.0 / sum).sqrt()),
            Init::HeUniform => uniform((6.0 / inputs).sqrt()),
            Init::GlorotNormal => normal(count, (2.0 / sum).sqrt(), &mut random),
            Init::HeNormal => normal(count, (2.0 / inputs).sqrt(), &mut random),
            Init::Zeros => vec![0.0; count],
        }
    }
}

/// What a parameter holds before training. Nothing is drawn before its values are asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InitialValues {
    /// Drawn, from a seed that only this parameter of the model has.
    Drawn {
        /// How.
        init: Init,
        /// Inputs that each number of the layer's output is computed from.
        fan_in: usize,
        /// Outputs that each input of the layer has a part in.
        fan_out: usize,
    },
    /// The same in every element.
    Constant(f32),
    /// These, row by row.
    Given(Arc<[f32]>),
}

impl InitialValues {
    /// [`InitialValues::Drawn`].
    pub fn drawn(init: Init, fan_in: usize, fan_out: usize) -> Self {
        InitialValues::Drawn { init, fan_in, fan_out }
    }

    /// [`InitialValues::Given`].
    pub fn given(values: impl Into<Arc<[f32]>>) -> Self {
        InitialValues::Given(values.into())
    }

    /// The values of the parameter `name`.
    ///
    /// # Errors
    /// [`Error::Argument`] if the parameter has another number of elements than were given.
    pub(crate) fn values(&self, name: &str, shape: &Shape, seed: u64) -> Result<Vec<f32>, Error> {
        let count = shape.elements();
        match self {
            &InitialValues::Drawn { init, fan_in, fan_out } => {
                Ok(init.draw(count, fan_in, fan_out, seed))
            }
            &InitialValues::Constant(value) => Ok(vec![value; count]),
            InitialValues::Given(values) if values.len() == count => Ok(values.to_vec()),
            InitialValues::Given(values) => {
                let what = format!("number of initial values for '{name}' ({shape})");
                Err(Error::argument(&what, values.len(), &count.to_string()))
            }
        }
    }
}

/// Normal numbers by the transform of Box and Muller (1958).
fn normal(count: usize, deviation: f64, random: &mut Xoshiro256PlusPlus) -> Vec<f32> {
    let mut draw = || {
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * random.random::<f64>();
        (deviation * radius * angle.cos()) as f32
    };
    (0..count).map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::abs_diff_eq;

    fn moments(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        (mean, variance)
    }

    #[test]
    fn variances_are_those_of_the_papers() {
        let (fan_in, fan_out) = (200, 100);
        for (init, variance) in [
            (Init::GlorotUniform, 2.0 / 300.0),
            (Init::GlorotNormal, 2.0 / 300.0),
            (Init::HeUniform, 2.0 / 200.0),
            (Init::HeNormal, 2.0 / 200.0),
        ] {
            let (mean, measured) = moments(&init.weights(fan_in, fan_out, 7).unwrap());
            // 20,000 draws: the variance is known within about 1 %, the mean within 0.0006.
            assert!(
                abs_diff_eq!(measured / variance, 1.0, epsilon = 0.04),
                "{init:?}: {measured} for {variance}"
            );
            assert!(mean.abs() < 0.003, "{init:?}: mean {mean}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_weights_for_ever() {
        let weights = |seed| Init::GlorotUniform.weights(2, 2, seed).unwrap();
        assert_eq!(weights(42), weights(42));
        assert_ne!(weights(42), weights(43));
        assert!(Init::HeNormal.weights(50, 50, 1).unwrap().iter().all(|w| w.is_finite()));
        assert_eq!(Init::Zeros.weights(2, 3, 1).unwrap(), [0.0; 6]);
    }
}
