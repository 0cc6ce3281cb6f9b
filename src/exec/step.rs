//! What differs from one step to the next.

use bytemuck::{Pod, Zeroable};

/// The part of a step that is not in the plan; `struct Step` of `shaders/prelude.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Step {
    /// Steps completed before this one, over the life of the parameters.
    pub number: u32,
    /// First entry of the batch in the epoch's order of rows.
    pub batch_start: u32,
    /// Row of the results table; the executor sets it.
    pub(crate) result_row: u32,
    /// η.
    pub learning_rate: f32,
    /// Adam's `1 / (1 - β₁ᵗ)`, t counted from 1.
    pub correction1: f32,
    /// Adam's `1 / (1 - β₂ᵗ)`.
    pub correction2: f32,
}

impl Step {
    /// A step of training: number `number` (from 0) with learning rate η, drawing its batch from
    /// `batch_start`. Bias corrections are those of `rule`.
    pub fn training(
        rule: crate::graph::UpdateRule,
        number: u32,
        batch_start: u32,
        learning_rate: f32,
    ) -> Self {
        let (correction1, correction2) = match rule {
            crate::graph::UpdateRule::Adam { beta1, beta2, .. } => {
                let t = f64::from(number) + 1.0;
                // Computed in f64: 1 - βᵗ loses all digits in f32 when β is close to 1.
                let correction = |beta: f32| (1.0 / (1.0 - f64::from(beta).powf(t))) as f32;
                (correction(beta1), correction(beta2))
            }
            _ => (1.0, 1.0),
        };
        Self { number, batch_start, result_row: 0, learning_rate, correction1, correction2 }
    }
}
