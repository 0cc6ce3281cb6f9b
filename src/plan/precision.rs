//! In how many bits a plan stores the numbers between its kernels.

use crate::{Error, Result};

/// In how many bits numbers lie in memory between kernels. All arithmetic, all sums, the parameters and their
/// gradients, the optimizer's state, losses and metrics are in 32 bits with each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "files",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Precision {
    /// All in 32 bits.
    #[default]
    F32,
    /// Mixed precision (Micikevicius et al., 2018): in 16 (IEEE 754 binary16: up to 65,504, with 11 significant bits;
    /// below 2⁻¹⁴ with fewer, and a driver may read those as 0) what matrix products read and write, if nothing else
    /// does: batches of features, activations and their gradients, and a copy of each weight, which the update makes
    /// of the weight in 32 bits. In 32 bits stay tensors that any other kernel reads or writes (those beside dropout,
    /// layer normalization, residual blocks, and of functions such as GELU, whose slope needs more than its output),
    /// tensors whose rows are no multiple of four numbers, and what the host asks for. Not in a page.
    Mixed {
        /// What gradients of activations are multiplied by while they are stored, so that small ones do not become 0:
        /// a power of two. Where one becomes infinite, training stops with
        /// [`Error::NotFinite`](crate::Error::NotFinite), as for any gradient that is too large: take a smaller one
        /// then.
        loss_scale: f32,
    },
}

impl Precision {
    /// The loss scale of [`Precision::mixed`].
    pub const LOSS_SCALE: f32 = 1024.0;

    /// [`Precision::Mixed`] with [a loss scale](Precision::LOSS_SCALE) that suits most nets.
    pub fn mixed() -> Self {
        Precision::Mixed { loss_scale: Self::LOSS_SCALE }
    }

    /// The loss scale, if numbers are stored in 16 bits.
    pub(crate) fn loss_scale(self) -> Option<f32> {
        match self {
            // Known when it is compiled, so that a page does not download what it cannot ask for.
            _ if cfg!(target_arch = "wasm32") => None,
            Precision::F32 => None,
            Precision::Mixed { loss_scale } => Some(loss_scale),
        }
    }

    /// Whether numbers are stored in 16 bits.
    pub(crate) fn is_mixed(self) -> bool {
        self.loss_scale().is_some()
    }

    /// That plans can be of it here.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is mixed in a page, and those of [`Precision::check`].
    pub(super) fn check_here(self) -> Result<()> {
        match self {
            Precision::Mixed { .. } if cfg!(target_arch = "wasm32") => {
                Err(Error::argument("precision", "mixed", "32 bits in a page"))
            }
            precision => precision.check(),
        }
    }

    /// # Errors
    /// [`Error::Argument`] if the loss scale is no power of two from 1 to 2²⁴.
    pub(crate) fn check(self) -> Result<()> {
        let Precision::Mixed { loss_scale } = self else { return Ok(()) };
        let is_power_of_two = loss_scale.to_bits().trailing_zeros() >= 23;
        if (1.0..=16_777_216.0).contains(&loss_scale) && is_power_of_two {
            return Ok(());
        }
        let rule = "a power of two from 1 to 16777216, such as 1024";
        Err(Error::argument("loss scale of mixed precision", loss_scale, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::Precision;

    #[test]
    fn loss_scales_are_powers_of_two() {
        for loss_scale in [1.0, 2.0, 1024.0, 16_777_216.0] {
            Precision::Mixed { loss_scale }.check().unwrap();
        }
        let wrong = [0.0, -2.0, 0.5, 3.0, 1000.0, 33_554_432.0, f32::NAN, f32::INFINITY];
        for loss_scale in wrong {
            let error = Precision::Mixed { loss_scale }.check().unwrap_err().to_string();
            assert!(error.contains(&format!("{loss_scale}; it must be a power of two")), "{error}");
        }
    }
}
