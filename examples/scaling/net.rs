//! The nets whose steps are measured and forecast.
#![allow(dead_code, reason = "one example measures, the other computes")]

use clap::ValueEnum;
use wgrad::prelude::*;

/// Nets of the benchmarks, and a small one, most of whose exchange is messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Net {
    /// 784-512-512-10 on batches of 256 rows
    W2,
    /// 32-64-64-64-64-16 on batches of 4096 rows
    W3,
    /// 32-64-64-1 on batches of 256 rows
    Small,
}

impl Net {
    fn widths(self) -> &'static [usize] {
        match self {
            Net::W2 => &[784, 512, 512, 10],
            Net::W3 => &[32, 64, 64, 64, 64, 16],
            Net::Small => &[32, 64, 64, 1],
        }
    }

    /// Rows of a batch, and batches of an epoch.
    pub fn batches(self) -> (usize, usize) {
        match self {
            Net::W2 => (256, 8),
            Net::W3 => (4096, 4),
            Net::Small => (256, 8),
        }
    }

    pub fn model(self) -> Sequential {
        let widths = self.widths();
        let hidden = &widths[1..widths.len() - 1];
        let net = hidden.iter().fold(Sequential::new(widths[0]), |net, &w| net.dense(w).relu());
        net.dense(widths[widths.len() - 1]).seed(42)
    }

    pub fn config(self) -> TrainingConfig {
        let loss = match self {
            Net::W2 => Loss::SoftmaxCrossEntropy,
            _ => Loss::MeanSquaredError,
        };
        TrainingConfig::new(loss, Optimizer::sgd(0.05))
    }

    /// So many rows.
    pub fn data(self, rows: usize) -> wgrad::Result<Dataset> {
        let widths = self.widths();
        let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
        let x: Vec<f32> = (0..rows * inputs).map(|i| ((i * 7919) % 1013) as f32 / 1013.0).collect();
        Ok(match self {
            Net::W2 => {
                let labels = (0..rows).map(|row| (row * row % outputs) as u32).collect();
                Dataset::classification(x, inputs, labels, outputs)?
            }
            _ => {
                let y = (0..rows * outputs).map(|i| ((i * 31) % 17) as f32 / 17.0).collect();
                Dataset::regression(x, inputs, y, outputs)?
            }
        })
    }
}
