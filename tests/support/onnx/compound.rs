//! Operators that are composed of several operations: reductions, normalizations, cross-entropies.

use serde_json::Value as Json;
use wgrad::graph::{Binary, Loss, Reduction, Tensor, Unary};

use super::session::Session;
use super::{axis_of, number};
use crate::support::{numbers, text};

impl Session {
    pub(super) fn reduction(
        &mut self,
        op: &str,
        node: &Json,
        inputs: &[String],
        x: Tensor,
    ) -> Tensor {
        let rank = self.dims(x).len();
        let attribute = node["attrs"].get("axes").map(numbers);
        let input = inputs.get(1).map(|name| self.host(name).values.clone());
        // No axes are all axes.
        let axes = attribute.or(input).filter(|axes| !axes.is_empty());
        let axes: Vec<usize> = match axes {
            Some(axes) => axes.iter().map(|&axis| axis_of(axis as i64, rank)).collect(),
            None => (0..rank).collect(),
        };
        let keep = number(node, "keepdims").unwrap_or(1.0) != 0.0;
        let sum = |session: &mut Self, x| session.reduce(Reduction::Sum, x, &axes, keep);
        match op {
            "ReduceSum" => sum(self, x),
            "ReduceMean" => self.reduce(Reduction::Mean, x, &axes, keep),
            "ReduceMax" => self.reduce(Reduction::Max, x, &axes, keep),
            "ReduceMin" => {
                let negated = self.scale(x, -1.0);
                let largest = self.reduce(Reduction::Max, negated, &axes, keep);
                self.scale(largest, -1.0)
            }
            "ReduceL1" => {
                let size = self.unary(Unary::Abs, x);
                sum(self, size)
            }
            "ReduceSumSquare" => {
                let square = self.unary(Unary::Square, x);
                sum(self, square)
            }
            "ReduceL2" => {
                let square = self.unary(Unary::Square, x);
                let total = sum(self, square);
                self.unary(Unary::Sqrt, total)
            }
            "ReduceLogSum" => {
                let total = sum(self, x);
                self.unary(Unary::Log, total)
            }
            "ReduceLogSumExp" => {
                let power = self.unary(Unary::Exp, x);
                let total = sum(self, power);
                self.unary(Unary::Log, total)
            }
            // Of positive numbers.
            "ReduceProd" => {
                let log = self.unary(Unary::Log, x);
                let total = sum(self, log);
                self.unary(Unary::Exp, total)
            }
            other => panic!("operator {other} is not translated"),
        }
    }

    pub(super) fn split(
        &mut self,
        x: Tensor,
        axis: usize,
        node: &Json,
        inputs: &[String],
    ) -> Vec<Tensor> {
        let dims = self.dims(x);
        let parts = node["outputs"].as_array().expect("names").len();
        let sizes: Vec<usize> = match inputs.get(1) {
            Some(name) => self.host(name).values.iter().map(|&n| n as usize).collect(),
            None => vec![dims[axis] / parts; parts],
        };
        let mut first = 0;
        let mut results = Vec::new();
        for size in sizes {
            let mut shape = dims.clone();
            shape[axis] = size;
            results.push(self.rearrange(x, &shape, |c| {
                let mut from = c.to_vec();
                from[axis] += first;
                from
            }));
            first += size;
        }
        results
    }

    /// Over everything from `axis` on.
    pub(super) fn row_normalization(
        &mut self,
        op: &str,
        x: Tensor,
        axis: usize,
        epsilon: f64,
        inputs: &[String],
    ) -> Vec<Tensor> {
        let dims = self.dims(x);
        let (rows, columns) = dims.split_at(axis);
        let (outer, inner) = (rows.iter().product::<usize>(), columns.iter().product::<usize>());
        let flat = self.reshape(x, &[outer, inner]);
        let mean = self.graph.mean(flat, 1).unwrap();
        let centred = if op == "LayerNormalization" {
            let repeated = self.graph.expand(mean, [outer, inner], 1, 2, 1.0).unwrap();
            self.sub(flat, repeated)
        } else {
            flat
        };
        let square = self.unary(Unary::Square, centred);
        let variance = self.graph.mean(square, 1).unwrap();
        let variance = self.plus(variance, epsilon);
        let deviation = self.unary(Unary::Sqrt, variance);
        let inverse = self.unary(Unary::Reciprocal, deviation);
        let repeated = self.graph.expand(inverse, [outer, inner], 1, 2, 1.0).unwrap();
        let mut y = self.mul(centred, repeated);
        for (name, binary) in inputs[1..].iter().zip([Binary::Mul, Binary::Add]) {
            let row = self.tensor(name);
            let row = self.reshape(row, &[inner]);
            y = self.binary(binary, y, row);
        }
        let mut kept = dims.clone();
        kept[axis..].fill(1);
        vec![self.reshape(y, &dims), self.reshape(mean, &kept), self.reshape(inverse, &kept)]
    }

    /// A number per channel, repeated over the other axes.
    pub(super) fn per_channel(&mut self, x: Tensor, dims: &[usize]) -> Tensor {
        let mut shape = vec![1; dims.len()];
        shape[1] = dims[1];
        let x = self.reshape(x, &shape);
        self.broadcast(x, dims)
    }

    pub(super) fn batch_normalization(
        &mut self,
        x: Tensor,
        node: &Json,
        inputs: &[String],
    ) -> Vec<Tensor> {
        let dims = self.dims(x);
        let operands: Vec<Tensor> = inputs[1..].iter().map(|name| self.tensor(name)).collect();
        let [scale, bias, old_mean, old_variance] = operands[..] else { panic!("5 inputs") };
        let trains = number(node, "training_mode").unwrap_or(0.0) != 0.0;
        let others: Vec<usize> = (0..dims.len()).filter(|&axis| axis != 1).collect();
        let (mut mean, mut variance) = (old_mean, old_variance);
        if trains {
            mean = self.reduce(Reduction::Mean, x, &others, false);
            let repeated = self.per_channel(mean, &dims);
            let centred = self.sub(x, repeated);
            let square = self.unary(Unary::Square, centred);
            variance = self.reduce(Reduction::Mean, square, &others, false);
        }
        let padded = self.plus(variance, number(node, "epsilon").unwrap_or(1e-5));
        let deviation = self.unary(Unary::Sqrt, padded);
        let factor = self.div(scale, deviation);
        let repeated = self.per_channel(mean, &dims);
        let centred = self.sub(x, repeated);
        let factor = self.per_channel(factor, &dims);
        let product = self.mul(centred, factor);
        let bias = self.per_channel(bias, &dims);
        let y = self.add(product, bias);
        if !trains {
            return vec![y];
        }
        let momentum = number(node, "momentum").unwrap_or(0.9);
        let mut running = |old, new| {
            let (old, new) = (self.scale(old, momentum), self.scale(new, 1.0 - momentum));
            self.add(old, new)
        };
        vec![y, running(old_mean, mean), running(old_variance, variance)]
    }

    /// `x` is N×C×D…, labels N×D…. Rows are made of the channels by a gather; weights and ignored
    /// labels are weights per row, which the host works out.
    pub(super) fn cross_entropy(
        &mut self,
        op: &str,
        x: Tensor,
        node: &Json,
        inputs: &[String],
    ) -> Vec<Tensor> {
        let dims = self.dims(x);
        let (classes, inner) = (dims[1], dims[2..].iter().product::<usize>());
        let labels = self.host(&inputs[1]).clone();
        let rows = labels.values.len();
        let ignored = number(node, "ignore_index");
        let class_weights = inputs.get(2).map(|name| self.host(name).values.clone());
        let weights: Vec<f64> = labels
            .values
            .iter()
            .map(|&label| match &class_weights {
                _ if Some(label) == ignored => 0.0,
                Some(weights) => weights[label as usize],
                None => 1.0,
            })
            .collect();
        let total: f64 = weights.iter().sum();
        let label = |row: usize| labels.values[row].max(0.0) as usize;
        let at = |row: usize, class: usize| (row / inner * classes + class) * inner + row % inner;
        let reduction = node["attrs"].get("reduction").map_or("mean", text);
        let log_p = match op {
            "SoftmaxCrossEntropyLoss" => self.graph.log_softmax(x, 1).unwrap(),
            _ => x,
        };
        let every = |f: &dyn Fn(usize, usize) -> usize| -> Vec<usize> {
            (0..rows)
                .flat_map(|row| (0..classes).map(move |c| (row, c)))
                .map(|(r, c)| f(r, c))
                .collect()
        };
        // Log-probabilities are no logits; and a loss per row is not what the graph's losses are.
        let loss = if op == "NegativeLogLikelihoodLoss" || reduction == "none" {
            let picked = (0..rows).map(|row| at(row, label(row))).collect();
            let picked = self.pick(log_p, picked, &labels.shape);
            let negative: Vec<f64> = weights.iter().map(|w| -w).collect();
            let factors = self.held(&labels.shape, &negative);
            let each = self.mul(picked, factors);
            match reduction {
                "none" => each,
                _ => {
                    let all: Vec<usize> = (0..labels.shape.len()).collect();
                    let sum = self.reduce(Reduction::Sum, each, &all, false);
                    self.scale(sum, if reduction == "mean" { 1.0 / total } else { 1.0 })
                }
            }
        } else {
            let logits = self.pick(x, every(&at), &[rows, classes]);
            let mean = if weights.iter().all(|&w| w == 1.0) {
                let targets = self.graph.index_input("labels", [rows]).unwrap();
                let values = (0..rows).map(|row| label(row) as u32).collect();
                self.feed.indices.push((targets, values));
                self.graph.loss(Loss::SoftmaxCrossEntropy, logits, targets).unwrap()
            } else {
                let mut probabilities = vec![0.0; rows * classes];
                for (row, weight) in weights.iter().enumerate() {
                    probabilities[row * classes + label(row)] = *weight;
                }
                let targets = self.held(&[rows, classes], &probabilities);
                let loss = Loss::SoftmaxCrossEntropyProbabilities;
                self.graph.loss(loss, logits, targets).unwrap()
            };
            let rows = rows as f64;
            self.scale(mean, if reduction == "mean" { rows / total } else { rows })
        };
        vec![loss, log_p]
    }
}
