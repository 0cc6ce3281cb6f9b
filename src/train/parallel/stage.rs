//! The graphs of one stage: some of a model's layers, forward and backward for one micro-batch, and
//! the update of their parameters.

use std::ops::Range;

use crate::data::{Dataset, Targets};
use crate::graph::{Graph, Loss, Shape, Tensor};
use crate::nn::{Layer, Metric, Optimizer, Sequential};
use crate::plan::{Plan, PlanOptions, Portion, Target};
use crate::{Error, Result};

/// What is trained, and how: the same for all lanes.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) model: Sequential,
    pub(super) loss: Loss,
    pub(super) optimizer: Optimizer,
    pub(super) metrics: Vec<Metric>,
}

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
    /// The stages with these numbers of dense layers. A stage begins with a dense layer; activations
    /// belong to the stage of the dense layer before them.
    pub(super) fn stages(&self, sizes: &[usize]) -> Result<Vec<Stage>> {
        let layers = self.model.layers();
        let dense: Vec<usize> = (0..layers.len())
            .filter(|&i| matches!(layers.get(i), Some(Layer::Dense { .. })))
            .collect();
        if sizes.contains(&0) || sizes.iter().sum::<usize>() != dense.len() || sizes.is_empty() {
            let rule = format!("positive numbers that add up to {}", dense.len());
            return Err(Error::argument("dense layers of the stages", format!("{sizes:?}"), &rule));
        }
        let mut done = 0;
        let mut stages = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            let begin = if number == 0 { 0 } else { dense.get(done).copied().unwrap_or(0) };
            let end = dense.get(done + size).copied().unwrap_or(layers.len());
            stages.push(Stage {
                layers: begin..end,
                parameters: 2 * done..2 * (done + size),
                first: number == 0,
                last: number + 1 == sizes.len(),
            });
            done += size;
        }
        Ok(stages)
    }

    /// Multiply-adds per row of each dense layer, forward and backward.
    pub(super) fn costs(&self) -> Vec<u64> {
        self.model
            .widths()
            .enumerate()
            .filter_map(|(index, (layer, width))| match layer {
                // The first layer's input needs no gradient.
                Layer::Dense { units, .. } => {
                    Some((width * units) as u64 * if index == 0 { 2 } else { 3 })
                }
                _ => None,
            })
            .collect()
    }

    /// Numbers that a step reports: the loss, then the metrics' sums.
    pub(super) fn scalars(&self) -> usize {
        1 + self.metrics.len()
    }

    /// Width of a stage's input.
    fn input_width(&self, stage: &Stage) -> usize {
        let mut widths = self.model.widths();
        widths.nth(stage.layers.start).map_or(self.model.input_width(), |(_, width)| width)
    }

    /// The graph of one micro-batch.
    pub(super) fn stage_graph(
        &self,
        stage: &Stage,
        data: &Dataset,
        rows: Rows,
        target: &Target,
    ) -> Result<StageGraph> {
        let mut graph = Graph::new();
        let (mut features, mut targets, mut order, mut x) = (None, None, None, None);
        if stage.first || stage.last {
            order = Some(graph.index_input("order", [rows.resident])?);
        }
        let input = match order {
            Some(order) if stage.first => {
                let all = graph.input("features", [rows.resident, data.width()])?;
                features = Some(all);
                graph.batch(all, order, rows.micro_batch)?
            }
            _ => {
                let width = self.input_width(stage);
                *x.insert(graph.input("activations", [rows.micro_batch, width])?)
            }
        };
        let drawn = match order {
            Some(order) if stage.last => {
                let all = match data.targets() {
                    Targets::Values { width, .. } => {
                        graph.input("targets", [rows.resident, *width])?
                    }
                    Targets::Classes { .. } => graph.index_input("labels", [rows.resident])?,
                };
                targets = Some(all);
                Some(graph.batch(all, order, rows.micro_batch)?)
            }
            _ => None,
        };
        let (out, parameters) = self.model.build_layers(&mut graph, input, stage.layers.clone())?;
        let mut wrt = parameters.clone();
        wrt.extend(x);
        let (mut y, mut dy, mut scalars) = (None, None, Vec::new());
        let (mut gradients, loss);
        if let Some(drawn) = drawn {
            // The loss of a batch is the mean over its rows: a micro-batch adds its share of it.
            let share = (rows.micro_batch as f64 / rows.batch as f64) as f32;
            let mean = graph.loss(self.loss, out, drawn)?;
            let upstream = graph.constant(share, Shape::scalar())?;
            gradients = graph.vector_jacobian(mean, upstream, &wrt)?;
            loss = if share == 1.0 { mean } else { graph.scale(mean, share)? };
            scalars.push(loss);
            for metric in &self.metrics {
                scalars.push(graph.count(metric.count(self.loss)?, out, drawn)?);
            }
        } else {
            let upstream = graph.input("gradient", graph.shape(out)?.clone())?;
            gradients = graph.vector_jacobian(out, upstream, &wrt)?;
            (y, dy) = (Some(out), Some(upstream));
            loss = graph.input("loss", Shape::scalar())?;
        }
        let dx = if x.is_some() { gradients.pop() } else { None };
        let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
        graph.update(self.optimizer.rule(), self.optimizer.clip(), loss, &pairs)?;
        let outputs = y.iter().chain(&dx).chain(&scalars).copied().collect();
        let options =
            PlanOptions { outputs, portion: Portion::Gradients, ..PlanOptions::default() };
        let plan = Plan::with(&graph, &options, target)?;
        Ok(StageGraph { plan, features, targets, order, x, y, dy, dx, scalars })
    }

    /// The plan of a stage's update, and its input: the batch's loss.
    pub(super) fn update_plan(&self, stage: &Stage, target: &Target) -> Result<(Plan, Tensor)> {
        let mut graph = Graph::new();
        let x = graph.input("x", [1, self.input_width(stage)])?;
        let (_, parameters) = self.model.build_layers(&mut graph, x, stage.layers.clone())?;
        let loss = graph.input("loss", Shape::scalar())?;
        let mut pairs = Vec::new();
        for parameter in parameters {
            let gradient = graph.input("gradient", graph.shape(parameter)?.clone())?;
            pairs.push((parameter, gradient));
        }
        graph.update(self.optimizer.rule(), self.optimizer.clip(), loss, &pairs)?;
        let options = PlanOptions { portion: Portion::Update, ..PlanOptions::default() };
        Ok((Plan::with(&graph, &options, target)?, loss))
    }
}
