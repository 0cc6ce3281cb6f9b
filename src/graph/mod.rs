//! Tensors and operations: static shapes, no device.
//!
//! A [`Graph`] is a list of nodes in the order in which they were added, so every node comes after
//! the nodes it reads. [`Graph::gradients`] appends the backward pass of a scalar to it, and
//! [`Graph::update`] the update pass. How an operation is computed is not decided here, but for a
//! program's own, which brings its kernel.
//!
//! ```
//! use wgrad::graph::{Graph, Loss, Unary};
//! # fn main() -> Result<(), wgrad::Error> {
//! let mut graph = Graph::new();
//! let x = graph.input("x", [32, 10])?;
//! let t = graph.input("t", [32, 1])?;
//! let w = graph.parameter("w", [10, 1])?;
//! let y = graph.matmul(x, w)?;
//! let y = graph.unary(Unary::Tanh, y)?;
//! let loss = graph.loss(Loss::MeanSquaredError, y, t)?;
//! let gradients = graph.gradients(loss, &[w])?;
//! assert_eq!(graph.shape(gradients[0])?.dims(), [10, 1]);
//! # Ok(())
//! # }
//! ```

pub(crate) mod activation;
mod arrays;
mod assign;
mod binary;
mod build;
mod custom;
mod grad;
mod grad_pairs;
mod handle;
mod op;
pub(crate) mod rule;
mod shape;
mod update;

pub use activation::Unary;
pub use binary::Binary;
pub(crate) use build::check_dropout_rate;
pub(crate) use custom::Custom;
pub use custom::{Kernel, Operation};
pub(crate) use handle::Issuer;
pub use handle::Tensor;
pub use op::{Count, Layout, Loss, Op, Reduction};
pub use rule::UpdateRule;
pub(crate) use shape::Repeated;
pub use shape::{DType, ELEMENT_BYTES, Shape, View};

use crate::Error;

/// Where a tensor's value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Written by the host, or bound to a buffer that exists already.
    Input,
    /// A trained parameter; the number counts parameters in the order in which they were added.
    Parameter(usize),
    /// The same number in every element.
    Constant(f32),
    /// Written by a node.
    Computed,
}

/// A named region of the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pass {
    /// From inputs to the loss.
    #[default]
    Forward,
    /// From the loss to the gradients.
    Backward,
    /// From the gradients to new parameters.
    Update,
}

impl Pass {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
            Pass::Update => "update",
        }
    }
}

/// What a graph knows of one tensor.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// Name in tables and errors.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Where the value comes from.
    pub role: Role,
}

impl TensorInfo {
    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.shape.elements().saturating_mul(self.dtype.bytes()) as u64
    }
}

/// One operation with its operands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Operands, in the order that [`Op`] names.
    pub inputs: Vec<Tensor>,
    /// The result.
    pub output: Tensor,
    /// The region it belongs to.
    pub pass: Pass,
}

/// The update pass: one rule for all trained parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The rule.
    pub rule: UpdateRule,
    /// Largest global norm of the gradients; longer ones are scaled down to it.
    pub clip_norm: Option<f32>,
    /// λ of the L1 penalty; 0 without one.
    pub l1: f32,
    /// The scalar that must be finite for an update to happen.
    pub loss: Tensor,
    /// Each trained parameter with its gradient.
    pub gradients: Vec<(Tensor, Tensor)>,
    /// Steps before, in which each of them was not trained; none if no parameter missed any.
    pub missed: Vec<u64>,
}

/// Tensors and operations; see the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Graph {
    tensors: Vec<TensorInfo>,
    /// The handle given for each tensor.
    handles: Vec<Tensor>,
    issuer: Issuer,
    nodes: Vec<Node>,
    /// The operations of the program's own, in the order in which they were added.
    customs: Vec<custom::Custom>,
    /// The pass that operations are added to.
    pass: Pass,
    parameters: Vec<Tensor>,
    update: Option<Update>,
    /// Parameters, each with the tensor whose value it takes at the end of a step.
    assignments: Vec<(Tensor, Tensor)>,
    /// Whether no tensor is too large, since nothing will be computed.
    outline: bool,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty graph that is only asked for shapes: they may have more elements than 32 bits count.
    pub(crate) fn outline() -> Self {
        Self { outline: true, ..Self::default() }
    }

    /// All nodes, each after those it reads.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All tensors; [`Tensor::index`] is the position here.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The parameters, in the order in which they were added.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// The update pass, if [`Graph::update`] added one.
    pub fn update_pass(&self) -> Option<&Update> {
        self.update.as_ref()
    }

    /// What is known of `tensor`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the handle is of another graph.
    pub fn info(&self, tensor: Tensor) -> Result<&TensorInfo, Error> {
        self.check_handles("info", &[tensor])?;
        Ok(self.known(tensor))
    }

    /// The shape of `tensor`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the handle is of another graph.
    pub fn shape(&self, tensor: Tensor) -> Result<&Shape, Error> {
        self.check_handles("shape", &[tensor])?;
        Ok(self.known_shape(tensor))
    }

    /// What is known of a tensor whose handle is the graph's: all those of its nodes are, and those
    /// that [`Graph::check_handles`] let through.
    pub(crate) fn known(&self, tensor: Tensor) -> &TensorInfo {
        &self.tensors[tensor.index()]
    }

    /// As [`Graph::known`], the shape.
    pub(crate) fn known_shape(&self, tensor: Tensor) -> &Shape {
        &self.known(tensor).shape
    }

    /// The handle of every tensor, by position.
    pub(crate) fn handles(&self) -> &[Tensor] {
        &self.handles
    }

    fn add_tensor(
        &mut self,
        name: String,
        shape: Shape,
        dtype: DType,
        role: Role,
    ) -> Result<Tensor, Error> {
        if shape.dims().contains(&0) {
            let detail = format!(
                "the tensor would be {shape}, which is empty; every extent must be at least 1"
            );
            return Err(Error::shape(&name, detail));
        }
        // u32 indexing in the kernels; a buffer of this size is refused much earlier.
        if !self.outline && u32::try_from(shape.elements()).is_err() {
            let detail = format!("{shape} has more elements than 32 bits count; split the tensor");
            return Err(Error::shape(&name, detail));
        }
        let handle = self.issuer.handle(self.tensors.len());
        self.tensors.push(TensorInfo { name, shape, dtype, role });
        self.handles.push(handle);
        Ok(handle)
    }

    /// Where a graph is given handles, here they are looked at first.
    ///
    /// # Errors
    /// [`Error::Shape`] if one is of another graph.
    pub(crate) fn check_handles(&self, op: &str, tensors: &[Tensor]) -> Result<(), Error> {
        match tensors.iter().find(|t| self.handles.get(t.index()) != Some(t)) {
            Some(t) => Err(Error::shape(
                op,
                format!(
                    "tensor #{} is not of this graph but of another graph; use handles of this one",
                    t.index()
                ),
            )),
            None => Ok(()),
        }
    }
}
