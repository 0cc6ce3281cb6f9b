//! Dense networks in plain f64: forward, loss, gradients, one step after another.

use std::ops::Range;

use wgrad::data::{Dataset, Targets};
use wgrad::nn::layers::{Activation, Dense};
use wgrad::nn::{Loss, Optimizer, Sequential};

use super::optimizer::Reference;
use super::{f32s, f64s};

pub use wgrad::graph::Unary;

#[derive(Clone, Debug)]
enum Block {
    /// Weights are `inputs × units`; the parameters lie at `at`, weights before biases.
    Dense {
        inputs: usize,
        units: usize,
        at: usize,
    },
    Activation(Unary),
}

/// A model with its parameters and its optimizer.
pub struct Net {
    blocks: Vec<Block>,
    loss: Loss,
    optimizer: Optimizer,
    state: Reference,
    steps: u64,
    /// Parameters that stay as they are.
    frozen: Range<usize>,
}

impl Net {
    /// The same layers with the same initial weights.
    pub fn new(model: &Sequential, loss: Loss, optimizer: &Optimizer) -> Self {
        let mut blocks = Vec::new();
        let (mut width, mut at) = (model.input_width(), 0);
        for layer in model.layers() {
            match (layer.downcast_ref::<Dense>(), layer.downcast_ref::<Activation>()) {
                (Some(&Dense { units, .. }), _) => {
                    blocks.push(Block::Dense { inputs: width, units, at });
                    at += (width + 1) * units;
                    width = units;
                }
                (_, Some(&Activation(function))) => blocks.push(Block::Activation(function)),
                _ => panic!("no reference of {layer:?}"),
            }
        }
        let start: Vec<f64> =
            model.parameters().unwrap().iter().flat_map(|spec| f64s(&spec.initial)).collect();
        let mut state = Reference::new(optimizer.rule(), optimizer.clip(), 0.0, &start);
        state.l1 = optimizer.l1_penalty().into();
        Self { blocks, loss, optimizer: optimizer.clone(), state, steps: 0, frozen: 0..0 }
    }

    /// The same, of which these parameters stay as they are.
    pub fn freeze(self, frozen: Range<usize>) -> Self {
        Self { frozen, ..self }
    }

    /// All parameters, one after another.
    pub fn parameters(&self) -> &[f64] {
        &self.state.p
    }

    pub fn set_parameters(&mut self, weights: &[(String, Vec<f32>)]) {
        self.state.p = weights.iter().flat_map(|(_, values)| f64s(values)).collect();
    }

    /// The outputs of every layer for one row; the input first.
    fn trace(&self, row: &[f64]) -> Vec<Vec<f64>> {
        let p = &self.state.p;
        let mut values = vec![row.to_vec()];
        for block in &self.blocks {
            let x = values.last().expect("the input");
            values.push(match *block {
                Block::Dense { inputs, units, at } => (0..units)
                    .map(|j| {
                        let product: f64 = (0..inputs).map(|i| x[i] * p[at + i * units + j]).sum();
                        product + p[at + inputs * units + j]
                    })
                    .collect(),
                Block::Activation(function) => x.iter().map(|&x| activate(function, x).0).collect(),
            });
        }
        values
    }

    pub fn predict(&self, features: &[f32]) -> Vec<f64> {
        let Block::Dense { inputs, .. } = self.blocks[0] else { panic!("a dense layer first") };
        features
            .chunks(inputs)
            .flat_map(|row| self.trace(&f64s(row)).pop().expect("an output"))
            .collect()
    }

    /// Loss of one row, and its gradient by the outputs.
    fn row_loss(&self, outputs: &[f64], data: &Dataset, row: usize) -> (f64, Vec<f64>) {
        match (self.loss, data.targets()) {
            (Loss::MeanSquaredError, Targets::Values { data, width }) => {
                let targets = f64s(&data[row * width..(row + 1) * width]);
                let errors: Vec<f64> = outputs.iter().zip(&targets).map(|(p, t)| p - t).collect();
                let n = *width as f64;
                let loss = errors.iter().map(|e| e * e).sum::<f64>() / n;
                (loss, errors.iter().map(|e| 2.0 * e / n).collect())
            }
            (Loss::SoftmaxCrossEntropy, Targets::Classes { labels, .. }) => {
                let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = outputs.iter().map(|z| (z - largest).exp()).sum();
                let label = labels[row] as usize;
                let p = |z: f64| (z - largest).exp() / sum;
                let slope = |(c, &z): (usize, &f64)| p(z) - f64::from(u8::from(c == label));
                let loss = sum.ln() + largest - outputs[label];
                (loss, outputs.iter().enumerate().map(slope).collect())
            }
            (Loss::SoftmaxCrossEntropyProbabilities, Targets::Values { data, width }) => {
                let targets = f64s(&data[row * width..(row + 1) * width]);
                let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = outputs.iter().map(|z| (z - largest).exp()).sum();
                let whole: f64 = targets.iter().sum();
                let loss =
                    outputs.iter().zip(&targets).map(|(z, t)| t * (sum.ln() + largest - z)).sum();
                let slope = |(z, t): (&f64, &f64)| (z - largest).exp() / sum * whole - t;
                (loss, outputs.iter().zip(&targets).map(slope).collect())
            }
            (loss, Targets::Values { data, width }) => {
                let targets = f64s(&data[row * width..(row + 1) * width]);
                let n = *width as f64;
                let pairs = outputs.iter().zip(&targets);
                let items: Vec<(f64, f64)> =
                    pairs.map(|(&p, &t)| element_loss(loss, p, t)).collect();
                let loss = items.iter().map(|item| item.0).sum::<f64>() / n;
                (loss, items.iter().map(|item| item.1 / n).collect())
            }
            (loss, _) => panic!("no reference of {loss:?}"),
        }
    }

    /// Mean loss of `rows` and its gradient by every parameter.
    pub fn loss_and_gradient(&self, data: &Dataset, rows: &[usize]) -> (f64, Vec<f64>) {
        let p = &self.state.p;
        let (mut total, mut gradient) = (0.0, vec![0.0; p.len()]);
        for &row in rows {
            let values = self.trace(&f64s(data.row(row).expect("a row")));
            let (loss, mut dy) = self.row_loss(values.last().expect("an output"), data, row);
            let weight = data.weights().map_or(1.0, |weights| f64::from(weights[row]));
            total += weight * loss;
            dy.iter_mut().for_each(|dy| *dy *= weight);
            for (index, block) in self.blocks.iter().enumerate().rev() {
                let x = &values[index];
                dy = match *block {
                    Block::Dense { inputs, units, at } => {
                        let mut dx = vec![0.0; inputs];
                        for (j, &dy) in dy.iter().enumerate() {
                            gradient[at + inputs * units + j] += dy;
                            for i in 0..inputs {
                                gradient[at + i * units + j] += x[i] * dy;
                                dx[i] += p[at + i * units + j] * dy;
                            }
                        }
                        dx
                    }
                    Block::Activation(function) => {
                        x.iter().zip(&dy).map(|(&x, dy)| activate(function, x).1 * dy).collect()
                    }
                };
            }
        }
        let n = rows.len() as f64;
        (total / n, gradient.iter().map(|g| g / n).collect())
    }

    /// One step of training; the loss before it.
    pub fn step(&mut self, data: &Dataset, rows: &[usize]) -> f64 {
        let (loss, mut gradient) = self.loss_and_gradient(data, rows);
        gradient[self.frozen.clone()].fill(0.0);
        self.state.rate = self.optimizer.learning_rate_at(self.steps).into();
        self.steps += 1;
        self.state.step_without(&gradient, self.frozen.clone());
        loss
    }

    /// Epochs in the order of the data, in batches; the loss of every step.
    pub fn train(&mut self, data: &Dataset, epochs: usize, batch: usize) -> Vec<f64> {
        let rows: Vec<usize> = (0..data.rows()).collect();
        (0..epochs).flat_map(|_| self.epoch(data, &rows, batch)).collect()
    }

    /// One epoch over `rows`, in batches; the loss of every step.
    pub fn epoch(&mut self, data: &Dataset, rows: &[usize], batch: usize) -> Vec<f64> {
        rows.chunks(batch).map(|rows| self.step(data, rows)).collect()
    }

    /// The parameters as the device would hold them.
    pub fn rounded(&self) -> Vec<f32> {
        f32s(&self.state.p)
    }
}

/// A loss of one element, with its derivative by the prediction.
fn element_loss(loss: Loss, p: f64, t: f64) -> (f64, f64) {
    let e = p - t;
    match loss {
        Loss::MeanAbsoluteError => (e.abs(), if e == 0.0 { 0.0 } else { e.signum() }),
        Loss::Huber { delta } => {
            let d = f64::from(delta);
            let loss = if e.abs() <= d { e * e / 2.0 } else { d * (e.abs() - d / 2.0) };
            (loss, e.clamp(-d, d))
        }
        Loss::BinaryCrossEntropy => {
            let loss = p.max(0.0) - p * t + (-p.abs()).exp().ln_1p();
            (loss, 1.0 / (1.0 + (-p).exp()) - t)
        }
        other => panic!("no reference of {other:?}"),
    }
}

/// A function with its derivative.
fn activate(function: Unary, x: f64) -> (f64, f64) {
    match function {
        Unary::Relu => (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }),
        Unary::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        Unary::Sigmoid => {
            let y = 1.0 / (1.0 + (-x).exp());
            (y, y * (1.0 - y))
        }
        Unary::LeakyRelu { slope } => {
            let slope = if x > 0.0 { 1.0 } else { f64::from(slope) };
            (slope * x, slope)
        }
        Unary::GeluTanh => {
            let c = (2.0 / std::f64::consts::PI).sqrt();
            let t = (c * (x + 0.044715 * x.powi(3))).tanh();
            let slope = c * (1.0 + 3.0 * 0.044715 * x * x);
            (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
        }
        Unary::Exp => (x.exp(), x.exp()),
        Unary::Square => (x * x, 2.0 * x),
        Unary::Abs => (x.abs(), if x == 0.0 { 0.0 } else { x.signum() }),
        other => panic!("no reference of {other:?}"),
    }
}
