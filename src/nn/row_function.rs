//! Losses and metrics of a program's own: a figure of each row, built into the graph.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Direction, Settings};
use crate::graph::{Graph, Loss, Tensor};
use crate::{Error, Result};

/// A figure of each row, of which a model minimises the mean
/// ([`TrainingConfig::of_rows`](crate::train::TrainingConfig::of_rows)) or reports it
/// ([`TrainingConfig::metric_of_rows`](crate::train::TrainingConfig::metric_of_rows)): Keras's `Loss.call`. Mean,
/// weights and micro-batches are wgrad's, so that it trains on one device, over lanes and in stages alike.
/// [`OwnFunction`] makes one of a closure.
///
/// ```
/// use wgrad::graph::{Graph, Loss, Tensor, Unary};
/// use wgrad::nn::{Optimizer, RowFunction, Settings};
/// use wgrad::train::TrainingConfig;
///
/// /// The mean of `log cosh(p - t)` over a row.
/// #[derive(Debug)]
/// struct LogCosh;
///
/// impl RowFunction for LogCosh {
///     fn name(&self) -> &str {
///         "log_cosh"
///     }
///
///     fn settings(&self) -> Option<Settings> {
///         Some(Settings::new())
///     }
///
///     fn build(&self, graph: &mut Graph, p: Tensor, t: Tensor) -> wgrad::Result<Tensor> {
///         // e + softplus(-2·e) - ln 2
///         let e = graph.sub(p, t)?;
///         let down = graph.scale(e, -2.0)?;
///         let rest = graph.unary(Unary::Softplus, down)?;
///         let sum = graph.add(e, rest)?;
///         let ln_2 = graph.constant(std::f32::consts::LN_2, [])?;
///         let y = graph.sub(sum, ln_2)?;
///         graph.mean(y, 1)
///     }
/// }
///
/// let config = TrainingConfig::of_rows(LogCosh, Optimizer::adam(1e-3));
/// ```
pub trait RowFunction: Any + fmt::Debug + Send + Sync {
    /// What it is called in histories, logs and errors.
    fn name(&self) -> &str;

    /// What it is made from again when a model is loaded: [`Loaders::function`](super::Loaders::function) is told
    /// how. Unless it says otherwise there are none, and a model with it cannot be saved.
    fn settings(&self) -> Option<Settings> {
        None
    }

    /// The loss of wgrad's that takes targets of the same kind, from a net with outputs of the same kind: that
    /// decides which data fits, which metrics go with it, and what [`Model::predict_classes`] makes of outputs.
    /// Unless it says otherwise, targets and outputs are numbers.
    ///
    /// [`Model::predict_classes`]: crate::train::Model::predict_classes
    fn like(&self) -> Loss {
        Loss::MeanSquaredError
    }

    /// Of a metric, whether it is better if larger or if smaller. Losses are better if smaller.
    fn direction(&self) -> Direction {
        Direction::Smaller
    }

    /// Adds it to `graph`, for `predictions`, rows × outputs, and `targets`, which are so too (for
    /// [`Loss::SoftmaxCrossEntropy`] `u32` labels, one per row). The result has a number for each row: it is of the
    /// shape rows, or rows × 1. No row may depend on another, and it adds neither parameters nor inputs.
    ///
    /// # Errors
    /// Those of the operations; [`Error::Shape`] if it cannot be built for these.
    fn build(&self, graph: &mut Graph, predictions: Tensor, targets: Tensor) -> Result<Tensor>;
}

/// A closure as a [`RowFunction`]; it has no settings, so that a model with it cannot be saved.
///
/// ```
/// use wgrad::graph::{Loss, Unary};
/// use wgrad::nn::{Optimizer, OwnFunction};
/// use wgrad::train::TrainingConfig;
///
/// // The pinball loss of the 90 % quantile (Koenker and Bassett, 1978): max(0.9·e, -0.1·e), e = t - p.
/// let pinball = OwnFunction::new("pinball_90", |graph, p, t| {
///     let e = graph.sub(t, p)?;
///     let (over, under) = (graph.scale(e, 0.9)?, graph.scale(e, -0.1)?);
///     let y = graph.binary(wgrad::graph::Binary::Maximum, over, under)?;
///     graph.mean(y, 1)
/// });
/// let config = TrainingConfig::of_rows(pinball, Optimizer::adam(1e-3));
/// ```
pub struct OwnFunction<F> {
    name: String,
    like: Loss,
    direction: Direction,
    build: F,
}

impl<F> OwnFunction<F>
where
    F: Fn(&mut Graph, Tensor, Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    /// What `build` adds to a graph, as [`RowFunction::build`] does, of numbers and better if smaller.
    pub fn new(name: impl Into<String>, build: F) -> Self {
        let (like, direction) = (Loss::MeanSquaredError, Direction::Smaller);
        Self { name: name.into(), like, direction, build }
    }

    /// With targets and outputs such as this loss has: see [`RowFunction::like`].
    pub fn like(self, like: Loss) -> Self {
        Self { like, ..self }
    }

    /// A metric that is better if larger.
    pub fn larger_is_better(self) -> Self {
        Self { direction: Direction::Larger, ..self }
    }
}

impl<F> fmt::Debug for OwnFunction<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, like, direction, .. } = self;
        f.debug_struct("OwnFunction")
            .field("name", name)
            .field("like", like)
            .field("direction", direction)
            .finish_non_exhaustive()
    }
}

impl<F> RowFunction for OwnFunction<F>
where
    F: Fn(&mut Graph, Tensor, Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn like(&self) -> Loss {
        self.like
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn build(&self, graph: &mut Graph, predictions: Tensor, targets: Tensor) -> Result<Tensor> {
        (self.build)(graph, predictions, targets)
    }
}

/// A function that a training configuration and its clones share.
#[derive(Clone, Debug)]
pub(crate) struct SharedFunction(pub(crate) Arc<dyn RowFunction>);

/// Functions are equal if their `Debug` texts are, as layers.
impl PartialEq for SharedFunction {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl SharedFunction {
    /// Adds the function to `graph`: a number for each row, of the shape rows.
    ///
    /// # Errors
    /// Those of the function, with its name; [`Error::Shape`] if its result is not one number per row, or it
    /// added a parameter or an input.
    pub(crate) fn of_rows(
        &self,
        graph: &mut Graph,
        predictions: Tensor,
        targets: Tensor,
    ) -> Result<Tensor> {
        let name = self.0.name();
        let rows = graph.shape(predictions)?.dims().first().copied().unwrap_or(1);
        let given = |graph: &Graph| graph.given();
        let before = given(graph);
        let built = self.0.build(graph, predictions, targets).map_err(|error| match error {
            Error::Shape { op, detail } => Error::Shape { op: format!("{name}: {op}"), detail },
            other => other,
        })?;
        if given(graph) != before {
            let detail = "it added a parameter or an input, which nobody gives values; compute with constants";
            return Err(Error::shape(name, detail));
        }
        match graph.shape(built)?.dims() {
            [own] if *own == rows => Ok(built),
            [own, 1] if *own == rows => graph.reshape(built, [rows]),
            _ => {
                let shape = graph.shape(built)?.clone();
                let detail = format!(
                    "it is {shape} for {rows} rows; give a number for each row, by `Graph::mean` over the \
                     others for example"
                );
                Err(Error::shape(name, detail))
            }
        }
    }
}
