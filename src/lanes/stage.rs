//! The graphs of one stage: some of a model's layers, forward and backward for one micro-batch, and
//! the update of their parameters.

use std::ops::Range;

use crate::data::Form;
use crate::graph::{Graph, Shape, Tensor};
use crate::nn::rows_of;
use crate::plan::{Plan, PlanOptions, PlanScope, Target};
use crate::train::graphs::input_of_targets;
use crate::train::task::Task;
use crate::{Error, Result};

/// A stage's place in its pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// Its layers.
    pub(super) layers: Range<usize>,
    /// Numbers of its parameters in the whole model.
    pub(super) parameters: Range<usize>,
    pub(super) first: bool,
    pub(super) last: bool,
}

/// Rows of a micro-batch, of the batch it belongs to, and on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) micro_batch: usize,
    pub(super) batch: usize,
    pub(super) resident: usize,
}

/// Forward and backward of one micro-batch through one stage.
#[derive(Debug)]
pub(super) struct StageGraph {
    pub(super) plan: Plan,
    /// Inputs that the data set fills, for the first and the last stage.
    pub(super) features: Option<Tensor>,
    pub(super) targets: Option<Tensor>,
    pub(super) order: Option<Tensor>,
    /// The same of weights of rows, for the last stage, if rows have such.
    pub(super) weights: Option<Tensor>,
    /// Input: the activations of the stage before.
    pub(super) x: Option<Tensor>,
    /// Output: the activations for the stage after.
    pub(super) y: Option<Tensor>,
    /// Input: the gradient of `y`.
    pub(super) dy: Option<Tensor>,
    /// Output: the gradient of `x`.
    pub(super) dx: Option<Tensor>,
    /// Outputs of the last stage: the micro-batch's part of the loss, and a sum per metric.
    pub(super) scalars: Vec<Tensor>,
}

impl Task {
    /// The layers with parameters, which stages are counted in, with the number of all parameters
    /// before each.
    fn trained_layers(&self) -> Vec<(usize, usize)> {
        let mut parameters = 0_usize;
        let layers = self.architecture.outlines().enumerate();
        let trained = layers.filter_map(|(index, layer)| {
            let (before, own) = (parameters, layer.parameters.len());
            parameters = parameters.saturating_add(own);
            (own > 0).then_some((index, before))
        });
        trained.collect()
    }

    /// How many parameters there are in all.
    pub(super) fn parameter_count(&self) -> usize {
        self.architecture.outlines().map(|layer| layer.parameters.len()).sum()
    }

    /// The stages with these numbers of layers with parameters. A stage begins with one; activations and
    /// other layers without belong to the stage of the one before them.
    pub(super) fn stages(&self, sizes: &[usize]) -> Result<Vec<Stage>> {
        let trained = self.trained_layers();
        let sum = sizes.iter().try_fold(0_usize, |sum, &size| sum.checked_add(size));
        if sizes.contains(&0) || sum != Some(trained.len()) || sizes.is_empty() {
            let rule = format!("positive numbers that add up to {}", trained.len());
            return Err(Error::argument(
                "layers with parameters of the stages",
                format!("{sizes:?}"),
                &rule,
            ));
        }
        let end = (self.architecture.layers().len(), self.parameter_count());
        let mut trained = trained.into_iter();
        // Layers before the first one with parameters are the first stage's.
        let mut begin = trained.next().map(|_| (0, 0)).unwrap_or(end);
        let mut stages = Vec::new();
        for (number, &size) in sizes.iter().enumerate() {
            let next = trained.nth(size.saturating_sub(1)).unwrap_or(end);
            stages.push(Stage {
                layers: begin.0..next.0,
                parameters: begin.1..next.1,
                first: number == 0,
                last: next == end,
            });
            begin = next;
        }
        Ok(stages)
    }

    /// Multiply-adds per row of each layer with parameters, forward and backward; one for each number
    /// that is trained, of layers without a product.
    pub(super) fn costs(&self) -> Vec<u64> {
        let frozen: Vec<usize> = self.architecture.frozen().collect();
        let layers = self.architecture.outlines().enumerate();
        let trained = layers.filter(|(_, layer)| !layer.parameters.is_empty());
        let costs = trained.map(|(index, layer)| {
            // The first layer's input needs no gradient, nor do the weights of frozen ones.
            let passes = if index == 0 { 2 } else { 3 };
            let passes = passes - u64::from(frozen.contains(&index));
            let forward = match layer.multiply_adds {
                0 => layer.parameter_count() as u64,
                products => products,
            };
            forward.saturating_mul(passes)
        });
        costs.collect()
    }

    /// Numbers that a step reports: the loss, then the metrics' sums.
    pub(super) fn scalars(&self) -> usize {
        1 + self.compile.metrics.len()
    }

    /// The shape of `rows` rows of a stage's input.
    fn input_shape(&self, stage: &Stage, rows: usize) -> Result<Shape> {
        Ok(rows_of(rows, self.architecture.row_before(stage.layers.start)?))
    }

    /// Bytes of `rows` rows of a stage's input, which is the output of the stage before.
    pub(super) fn input_bytes(&self, stage: &Stage, rows: usize) -> Result<u64> {
        Ok(self.input_shape(stage, rows)?.bytes() as u64)
    }

    /// The graph of one micro-batch.
    pub(super) fn stage_graph(
        &self,
        stage: &Stage,
        form: Form,
        rows: Rows,
        target: &Target,
    ) -> Result<StageGraph> {
        let mut graph = Graph::new();
        let (mut features, mut targets, mut order, mut x) = (None, None, None, None);
        let mut weights = None;
        if stage.first || stage.last {
            order = Some(graph.index_input("order", [rows.resident])?);
        }
        let input = match order {
            Some(order) if stage.first => {
                let all = graph.input("features", [rows.resident, form.width])?;
                features = Some(all);
                graph.batch(all, order, rows.micro_batch)?
            }
            _ => {
                let shape = self.input_shape(stage, rows.micro_batch)?;
                *x.insert(graph.input("activations", shape)?)
            }
        };
        let drawn = match order {
            Some(order) if stage.last => {
                let all = input_of_targets(&mut graph, form, rows.resident)?;
                targets = Some(all);
                let drawn = graph.batch(all, order, rows.micro_batch)?;
                let drawn_weights = match form.weighted {
                    true => {
                        let all = *weights.insert(graph.input("weights", [rows.resident])?);
                        Some(graph.batch(all, order, rows.micro_batch)?)
                    }
                    false => None,
                };
                Some((drawn, drawn_weights))
            }
            _ => None,
        };
        let (out, parameters) =
            self.architecture.build_layers(&mut graph, input, stage.layers.clone(), true)?;
        let parameters = self.trained(parameters, stage.parameters.start);
        let mut wrt = parameters.clone();
        wrt.extend(x);
        let (mut y, mut dy, mut scalars) = (None, None, Vec::new());
        let (mut gradients, loss);
        if let Some((drawn, drawn_weights)) = drawn {
            // The loss of a batch is the mean over its rows: a micro-batch adds its share of it.
            let share = (rows.micro_batch as f64 / rows.batch as f64) as f32;
            let out = graph.as_lists(out)?;
            scalars = self.results(&mut graph, out, drawn, drawn_weights)?;
            let first = scalars.first_mut().ok_or_else(|| Error::bug("results without a loss"))?;
            let mean = *first;
            let upstream = graph.constant(share, Shape::scalar())?;
            gradients = graph.vector_jacobian(mean, upstream, &wrt)?;
            loss = if share == 1.0 { mean } else { graph.scale(mean, share)? };
            *first = loss;
        } else {
            let upstream = graph.input("gradient", graph.shape(out)?.clone())?;
            gradients = graph.vector_jacobian(out, upstream, &wrt)?;
            (y, dy) = (Some(out), Some(upstream));
            loss = graph.input("loss", Shape::scalar())?;
        }
        let dx = if x.is_some() { gradients.pop() } else { None };
        let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
        self.compile.optimizer.update(&mut graph, loss, &pairs, &[])?;
        let outputs = y.iter().chain(&dx).chain(&scalars).copied().collect();
        let options = PlanOptions {
            outputs,
            portion: PlanScope::Gradients,
            precision: self.compile.precision,
            ..PlanOptions::default()
        };
        let plan = Plan::with_options(&graph, &options, target)?;
        Ok(StageGraph { plan, features, targets, order, weights, x, y, dy, dx, scalars })
    }

    /// The plan of a stage's update, and its input: the batch's loss. `at` is how many steps there were, and how many
    /// of them each parameter missed.
    pub(super) fn update_plan(
        &self,
        stage: &Stage,
        target: &Target,
        missed: &[u64],
    ) -> Result<(Plan, Tensor)> {
        let mut graph = Graph::new();
        let x = graph.input("x", self.input_shape(stage, 1)?)?;
        let (_, parameters) =
            self.architecture.build_layers(&mut graph, x, stage.layers.clone(), true)?;
        let loss = graph.input("loss", Shape::scalar())?;
        let mut pairs = Vec::new();
        for parameter in self.trained(parameters, stage.parameters.start) {
            let gradient = graph.input("gradient", graph.shape(parameter)?.clone())?;
            pairs.push((parameter, gradient));
        }
        let Range { start, end } = stage.parameters;
        let missed = self.missed_of_trained(missed, start, end.saturating_sub(start));
        self.compile.optimizer.update(&mut graph, loss, &pairs, &missed)?;
        let options = PlanOptions {
            portion: PlanScope::Update,
            precision: self.compile.precision,
            ..PlanOptions::default()
        };
        Ok((Plan::with_options(&graph, &options, target)?, loss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Loss;
    use crate::nn::{Optimizer, Sequential};
    use crate::train::TrainingConfig;

    /// The numbers of a stage's parameters are those of the ones that its graph has.
    #[test]
    fn stages_number_the_parameters_that_they_build() {
        for bits in 0..64_u32 {
            let net = (0..6).fold(Sequential::new(3), |net, at| match (bits >> at) & 1 {
                0 => net.tanh(),
                _ => net.dense(2 + at),
            });
            let net = net.dense(2);
            let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
            let task = Task::new(net, compile).unwrap();
            let names: Vec<_> =
                task.architecture.parameter_shapes().map(|(name, _)| name.clone()).collect();
            let dense = bits.count_ones() as usize + 1;
            for first in 1..=dense {
                let sizes = if first == dense { vec![first] } else { vec![first, dense - first] };
                let stages = task.stages(&sizes).unwrap();
                for stage in &stages {
                    let mut graph = Graph::new();
                    let x = graph.input("x", task.input_shape(stage, 1).unwrap()).unwrap();
                    let layers = stage.layers.clone();
                    let built =
                        task.architecture.build_layers(&mut graph, x, layers, true).unwrap().1;
                    let built: Vec<_> =
                        built.iter().map(|&t| graph.info(t).unwrap().name.clone()).collect();
                    assert_eq!(built, names[stage.parameters.clone()], "{sizes:?} of {bits:b}");
                }
                assert_eq!(stages[0].layers.start, 0);
                assert_eq!(stages.last().unwrap().layers.end, 7);
                assert_eq!(stages.last().unwrap().parameters.end, names.len());
            }
        }
    }

    #[test]
    fn costs_are_those_of_products_or_of_what_is_trained() {
        let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
        let net = Sequential::new(3).dense(4).layer_norm().relu();
        let net = net.residual(|layers| layers.dense(5).dense(4)).dense(2);
        let task = Task::new(net, compile).unwrap();
        assert_eq!(task.costs(), [2 * 12, 3 * 8, 3 * 40, 3 * 8]);
    }

    #[test]
    fn stages_that_do_not_add_up_are_refused() {
        let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
        let task = Task::new(Sequential::new(3).dense(2).dense(2), compile).unwrap();
        for sizes in [&[][..], &[3], &[0, 2], &[usize::MAX, 3], &[usize::MAX], &[1, 1, 1]] {
            let error = task.stages(sizes).unwrap_err().to_string();
            assert!(error.contains("positive numbers that add up to 2"), "{error}");
        }
    }
}
