//! What a layer is.

use std::any::Any;
use std::fmt;

use super::{Builder, Settings};
use crate::Error;
use crate::graph::Tensor;

/// A layer of a [`Sequential`](super::Sequential) model: a piece of a graph with its parameters. The
/// layers that there are stand in [`layers`](super::layers); one of a program's own is used like them,
/// whether the model is trained on one device, over lanes or in stages of a pipeline. How many
/// parameters and outputs it has, how they are called and what they begin with is all found by building
/// it.
///
/// ```
/// use wgrad::graph::Tensor;
/// use wgrad::nn::{Builder, InitialValues, Layer, Sequential};
///
/// /// Each feature times a number that is trained.
/// #[derive(Debug)]
/// struct Scale;
///
/// impl Layer for Scale {
///     fn name(&self) -> &str {
///         "scale"
///     }
///
///     fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> wgrad::Result<Tensor> {
///         let features = builder.shape(x)?.columns();
///         let gain = builder.parameter("gain", features, InitialValues::Constant(1.0))?;
///         builder.graph().mul(x, gain)
///     }
/// }
///
/// let model = Sequential::new(10).layer(Scale).dense(1);
/// assert_eq!(model.parameter_count(), 10 + 11);
/// assert_eq!(model.parameters()?[0].name, "scale_0.gain");
/// # Ok::<(), wgrad::Error>(())
/// ```
pub trait Layer: Any + fmt::Debug + Send + Sync {
    /// What it is called in summaries and errors, and what the names of its parameters begin with.
    fn name(&self) -> &str;

    /// What the layer is made from again when a model is loaded: [`Loaders`](super::Loaders) is told how, for
    /// a layer of a program's own. Unless a layer says otherwise it has none, and a model with it cannot be
    /// saved.
    fn settings(&self) -> Option<Settings> {
        None
    }

    /// Adds the layer to the builder's graph, applied to `x`; returns its output. The first axis of both
    /// is the rows of a batch; the others are the layer's own affair, and no row may depend on another.
    ///
    /// It is called often: for graphs of any number of rows, and once when the layer is added to a
    /// model, for one row, to see what it is like. It must do the same each time, except for the number
    /// of rows and for what [`Builder::training`] says. Of a model that is too large for any device, extents may be as large as `usize` holds:
    /// a layer that computes with them does so with `saturating_mul` and its like.
    ///
    /// # Errors
    /// [`Error::Argument`] if a figure of the layer is out of its range, [`Error::Shape`] if `x` does not
    /// fit it; the model adds which layer it is.
    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor, Error>;
}

impl dyn Layer {
    /// The layer as an `L`, if it is one.
    pub fn downcast_ref<L: Layer>(&self) -> Option<&L> {
        (self as &dyn Any).downcast_ref()
    }
}
