//! Explanations: which numbers of a row a model's output comes from.
//!
//! | | asks |
//! | --- | --- |
//! | [`saliency`](Explainer::saliency), [`gradient_times_input`](Explainer::gradient_times_input) | how the output changes with each number, there |
//! | [`smooth_grad`](Explainer::smooth_grad) | the same, averaged over rows near by |
//! | [`integrated_gradients`](Explainer::integrated_gradients) | what each number adds on the way from a baseline |
//! | [`expected_gradients`](Explainer::expected_gradients) | the same, from rows of a background |
//! | [`occlusion`](Explainer::occlusion) | what is lost where a window is covered |
//! | [`permutation_importance`], [`partial_dependence`] | what a feature means to a model over all rows |
//!
//! ```no_run
//! # async fn explain(model: &wgrad::train::Model, digit: &[f32]) -> wgrad::Result<()> {
//! use wgrad::explain::{Explainer, Quadrature};
//! let mut explainer = Explainer::of_model(model).await?;
//! // Why does it say 3? Against a sheet without ink, along 64 points.
//! let baseline = vec![0.0; digit.len()];
//! let why = explainer.integrated_gradients(digit, &[3], &baseline, Quadrature::GaussLegendre(64)).await?;
//! println!("{:?}; the sum is off by {:?}", why.attributions, why.gaps);
//! # Ok(())
//! # }
//! ```
//!
//! Rows are explained many at a time: the points of their paths are the rows of one batch, whose size bounds the
//! memory. Rows that do not fit in memory come from a [`Source`](crate::data::Source): some at a time by its
//! [`feature_batches`](crate::data::Source::feature_batches) for what explains single rows, whole to
//! [`permutation_importance`] and [`partial_dependence_source`]. Sums over points are in f64, in a fixed order: the same call gives the same bits.

mod methods;
mod quadrature;
mod whole;

#[cfg(not(target_arch = "wasm32"))]
pub use crate::blocking::{
    partial_dependence_blocking, partial_dependence_source_blocking,
    permutation_importance_blocking,
};
pub use methods::{Integrated, Window};
pub use quadrature::Quadrature;
pub use whole::{
    Importance, Score, partial_dependence, partial_dependence_source, permutation_importance,
};

use std::fmt;

use crate::exec::{Executor, ExecutorOptions, Parameters, Step};
use crate::gpu::Gpu;
use crate::graph::{Graph, Tensor};
use crate::plan::Plan;
use crate::train::Model;
use crate::{Error, Result};

/// Rows of a batch of a model's explainer, at most.
const ROWS: usize = 256;

/// Numbers of a batch of rows, at most.
const NUMBERS: usize = 4 << 20;

/// Called with how many of how many points are done.
type Progress = Box<dyn FnMut(usize, usize) + Send>;

/// Computes outputs of a model or a graph, and their gradients by its input.
///
/// An output is what [`Model::predict`] gives: of a classifier the logits, not the probabilities. Which of them is
/// explained, its target, is said for each row, or once for all.
pub struct Explainer {
    executor: Executor,
    x: Tensor,
    outputs: Tensor,
    /// For each row, by which of the outputs the gradient is: 1 there, 0 elsewhere.
    upstream: Tensor,
    gradient: Tensor,
    /// Rows of a batch.
    rows: usize,
    /// Numbers of a row.
    width: usize,
    /// Outputs of a row.
    count: usize,
    progress: Option<Progress>,
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, width, count, .. } = self;
        write!(f, "Explainer {{ rows: {rows}, width: {width}, outputs: {count} }}")
    }
}

/// Who has a point's number, its outputs and its gradient. No type of its own for each caller: in a page all of them
/// together are one copy of what runs points.
type Take<'a> = dyn FnMut(usize, &[f32], &[f32]) + Send + 'a;

/// Rows that are to be computed one after another.
struct Points<'a> {
    /// How many.
    count: usize,
    /// Writes point number so many into a row.
    write: &'a (dyn Fn(usize, &mut [f32]) + Sync),
    /// Which output of it is explained.
    target: &'a (dyn Fn(usize) -> usize + Sync),
}

impl Explainer {
    /// Of a model, with the parameters that it has, now and later.
    ///
    /// # Errors
    /// As for [`Explainer::of_graph`].
    pub async fn of_model(model: &Model) -> Result<Self> {
        let architecture = model.architecture();
        let width = architecture.input_width().max(1);
        let rows = (NUMBERS / width).clamp(1, ROWS);
        let mut graph = Graph::new();
        let x = graph.input("features", [rows, width])?;
        let (outputs, _) = architecture.build(&mut graph, x)?;
        Self::of_graph(model.gpu(), graph, x, outputs, Some(model.parameters().clone())).await
    }

    /// Of a graph that computes `outputs` of its input `x`; both have as many rows along their first axis, and no
    /// row of `outputs` may depend on another row of `x`. Without `parameters` it has zeroed ones of its own, which
    /// [`Explainer::executor`] writes, as it does other inputs.
    ///
    /// # Errors
    /// [`Error::Shape`] if `x` is no input, the numbers of rows differ or `outputs` have no gradient by `x`; those of
    /// plans and executors.
    pub async fn of_graph(
        gpu: &Gpu,
        mut graph: Graph,
        x: Tensor,
        outputs: Tensor,
        parameters: Option<Parameters>,
    ) -> Result<Self> {
        let of_x = graph.shape(x)?.clone();
        let of_outputs = graph.shape(outputs)?.clone();
        let rows = of_x.dims().first().copied().unwrap_or(1);
        if of_x.rank() == 0 || of_outputs.dims().first() != Some(&rows) {
            let detail = format!(
                "the input is {of_x} and the outputs are {of_outputs}; both must have the rows along their first axis"
            );
            return Err(Error::shape("explain", detail));
        }
        let (width, count) = (of_x.elements() / rows, of_outputs.elements() / rows);
        let upstream = graph.input("explained outputs", of_outputs)?;
        let gradients = graph.vector_jacobian(outputs, upstream, &[x])?;
        let Some(&gradient) = gradients.first() else {
            return Err(Error::bug("no gradient by the input, and no error"));
        };
        let plan = Plan::new(&graph, &[outputs, gradient], &gpu.target())?;
        let options = ExecutorOptions { parameters, ..ExecutorOptions::default() };
        let executor = Executor::with_options(gpu, plan, options).await?;
        let progress = None;
        Ok(Self { executor, x, outputs, upstream, gradient, rows, width, count, progress })
    }

    /// From now on `report` is called after each batch with how many of how many points are done.
    pub fn on_progress(&mut self, report: impl FnMut(usize, usize) + Send + 'static) {
        self.progress = Some(Box::new(report));
    }

    /// What computes it, for inputs and parameters of a graph of one's own.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The outputs of rows, one row after another.
    ///
    /// # Errors
    /// [`Error::Argument`] unless they are whole rows of finite numbers, at least one; the errors of the device.
    pub async fn outputs(&mut self, rows: &[f32]) -> Result<Vec<f32>> {
        let count = self.check(rows)?;
        let mut all = Vec::with_capacity(count.saturating_mul(self.count));
        let width = self.width;
        let points = Points { count, write: &|i, to| copy_row(rows, width, i, to), target: &|_| 0 };
        self.run(points, &mut |_, outputs, _| all.extend_from_slice(outputs)).await?;
        Ok(all)
    }

    /// How many rows there are.
    fn check(&self, rows: &[f32]) -> Result<usize> {
        let width = self.width;
        if rows.is_empty() || !rows.len().is_multiple_of(width) {
            let rule = format!("a positive multiple of the {width} numbers of a row");
            return Err(Error::argument("number of values to explain", rows.len(), &rule));
        }
        if let Some((at, value)) = crate::finite::first_not_finite(rows) {
            let name = format!("number {} of row {}", at % width, at / width);
            return Err(Error::argument(&name, value, "finite"));
        }
        Ok(rows.len() / width)
    }

    /// The target of each of so many rows: their own, or one for all.
    fn targets(&self, targets: &[usize], rows: usize) -> Result<Vec<usize>> {
        if targets.len() != 1 && targets.len() != rows {
            let rule = format!("1, or one for each of {rows} rows");
            return Err(Error::argument("number of targets", targets.len(), &rule));
        }
        if let Some(target) = targets.iter().find(|&&target| target >= self.count) {
            let rule = format!("below {}, the number of outputs, counted from 0", self.count);
            return Err(Error::argument("target", target, &rule));
        }
        Ok(targets.iter().copied().cycle().take(rows).collect())
    }

    /// Computes all points, batch by batch; `take` has each with its outputs and its gradient, in their order.
    async fn run(&mut self, points: Points<'_>, take: &mut Take<'_>) -> Result<()> {
        let (rows, width, count) = (self.rows, self.width, self.count);
        let mut x = vec![0.0; rows * width];
        let mut upstream = vec![0.0; rows * count];
        for first in (0..points.count).step_by(rows) {
            let batch = first..(first + rows).min(points.count);
            upstream.fill(0.0);
            for ((point, x), upstream) in
                batch.clone().zip(x.chunks_mut(width)).zip(upstream.chunks_mut(count))
            {
                (points.write)(point, x);
                if let Some(explained) = upstream.get_mut((points.target)(point)) {
                    *explained = 1.0;
                }
            }
            self.executor.write(self.x, &x)?;
            self.executor.write(self.upstream, &upstream)?;
            self.executor.run(&[Step::forward(0)]).await?;
            let outputs = self.executor.read(self.outputs).await?;
            let gradients = self.executor.read(self.gradient).await?;
            let found = outputs.chunks(count).zip(gradients.chunks(width));
            batch.clone().zip(found).for_each(|(point, (outputs, gradient))| {
                take(point, outputs, gradient);
            });
            if let Some(report) = &mut self.progress {
                report(batch.end, points.count);
            }
        }
        Ok(())
    }
}

/// Row number `row` of `rows`.
fn copy_row(rows: &[f32], width: usize, row: usize, to: &mut [f32]) {
    let values = rows.iter().skip(row * width);
    to.iter_mut().zip(values).for_each(|(to, value)| *to = *value);
}

fn as_f32(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}
