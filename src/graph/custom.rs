//! Operations of a program's own: what wgrad lacks is written in WGSL and takes part in graphs like the rest.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{Graph, Node, Op, Pass, Shape, Tensor};
use crate::Error;
use crate::kernel::own::{self, Checked};
use crate::kernel::source::WORKGROUP;

/// An operation: the rule of its shapes, its kernel and, if it is trained through, its gradient.
/// `examples/own_operation/wave.rs` has one. [`Graph::operation`] adds it to a graph.
///
/// In a layer it is asked for shapes of models that are too large for any device, whose extents are as large as
/// `usize` holds: what computes with them does so with `saturating_mul` and its like. What it reads by an index input
/// it checks itself: only of wgrad's own operations the host knows how far indices may go.
pub trait Operation: fmt::Debug + Send + Sync {
    /// The name in tables, errors and timelines.
    fn name(&self) -> &str;

    /// The shape of the result, of operands of these shapes.
    ///
    /// # Errors
    /// If the operands do not fit; [`Error::shape`] makes such an error.
    fn shape(&self, operands: &[&Shape]) -> Result<Shape, Error>;

    /// What computes it, for operands and a result of these shapes.
    ///
    /// # Errors
    /// If it cannot be computed for them.
    fn kernel(&self, operands: &[&Shape], result: &Shape) -> Result<Kernel, Error>;

    /// Adds the gradient to `graph`: for each operand the tensor that is its gradient, of its shape, or `None`
    /// where there is none. `y` is the result, `dy` its gradient.
    ///
    /// # Errors
    /// Those of the operations that it adds; if the operation has no gradient, [`Error::Shape`].
    fn gradient(
        &self,
        graph: &mut Graph,
        operands: &[Tensor],
        y: Tensor,
        dy: Tensor,
    ) -> Result<Vec<Option<Tensor>>, Error> {
        let _ = (graph, operands, y, dy);
        let detail = "has no gradient; write `Operation::gradient`, or leave it out of the loss";
        Err(Error::shape(self.name(), detail))
    }
}

/// WGSL that computes an operation.
///
/// The text declares a binding per operand in their order, `var<storage, read>`, then that of the result,
/// `var<storage, read_write>`, all in group 0; if it wants numbers, a struct of them as `var<uniform> dims`. Each
/// declaration begins its line, as in
/// `@group(0) @binding(1) var<storage, read_write> out: array<f32>;`. The entry point is `main`; it writes every
/// element of the result, whose memory holds what was there before. What stands in `shaders/shared/prelude.wgsl` is
/// at hand: `WORKGROUP`, `flat_workgroup`, `is_finite`. Optional features of devices are not: no 16-bit floats, no
/// subgroup operations.
///
/// Texts are kept as long as the process runs, compiled once per device. So a text should not be made anew for
/// every shape: numbers go into `dims`.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    pub(crate) text: Cow<'static, str>,
    pub(crate) dims: Vec<u32>,
    pub(crate) workgroups: usize,
    pub(crate) loop_turns: usize,
}

impl Kernel {
    /// A kernel that runs `workgroups` workgroups, at least 1. They are spread over x and y, some more than asked for
    /// if they are many: `flat_workgroup` numbers them, and invocations without an element return.
    pub fn new(text: impl Into<Cow<'static, str>>, workgroups: usize) -> Self {
        Self { text: text.into(), dims: Vec::new(), workgroups, loop_turns: 0 }
    }

    /// A kernel with an invocation per element of `elements`, in workgroups of `WORKGROUP`.
    pub fn per_element(text: impl Into<Cow<'static, str>>, elements: usize) -> Self {
        Self::new(text, elements.div_ceil(WORKGROUP))
    }

    /// The 32-bit words of the uniform `dims`; floats by their bits.
    pub fn dims(mut self, words: impl Into<Vec<u32>>) -> Self {
        self.dims = words.into();
        self
    }

    /// Turns that the loops of one invocation take together, at most; 0 unless set. Some drivers end loops after
    /// some number of turns without a word: what would reach it is refused.
    pub fn loop_turns(mut self, turns: usize) -> Self {
        self.loop_turns = turns;
        self
    }
}

/// An operation of a program's own at its place in a graph.
#[derive(Clone, Debug)]
pub(crate) struct Custom {
    pub(crate) operation: Arc<dyn Operation>,
    pub(crate) kernel: Kernel,
    /// Its text, checked.
    pub(crate) checked: Checked,
}

impl Graph {
    /// Adds an operation of the program's own, whose result is `f32`.
    ///
    /// # Errors
    /// If a handle is of another graph, there is no operand, the operands do not fit the operation, or its WGSL
    /// is invalid or binds other than the operands and the result. In the browser WGSL is checked when it is
    /// compiled.
    pub fn operation(
        &mut self,
        operation: impl Operation + 'static,
        operands: &[Tensor],
    ) -> Result<Tensor, Error> {
        let operation: Arc<dyn Operation> = Arc::new(operation);
        let name = operation.name();
        self.check_handles(name, operands)?;
        if operands.is_empty() {
            return Err(Error::shape(name, "there is no operand; give at least one"));
        }
        let shapes: Vec<&Shape> = operands.iter().map(|&t| self.known_shape(t)).collect();
        let result = operation.shape(&shapes)?;
        let kernel = operation.kernel(&shapes, &result)?;
        if kernel.workgroups == 0 {
            return Err(Error::argument(&format!("workgroups of {name}"), 0, "at least 1"));
        }
        let checked = own::check(name, &kernel.text, operands.len(), kernel.dims.len())?;
        let op = Op::Custom(self.customs.len());
        self.customs.push(Custom { operation, kernel, checked });
        self.node(op, operands, result)
    }

    /// The operation that [`Op::Custom`] numbers.
    pub(crate) fn custom(&self, number: usize) -> Result<&Custom, Error> {
        self.customs.get(number).ok_or_else(|| Error::bug(format!("no operation {number}")))
    }

    /// The gradients of the operands of `node`, whose operation is the program's own.
    pub(super) fn custom_gradient(
        &mut self,
        number: usize,
        node: &Node,
        dy: Tensor,
    ) -> Result<Vec<Option<Tensor>>, Error> {
        let operation = self.custom(number)?.operation.clone();
        let name = operation.name();
        // What it adds belongs to the backward pass.
        let before = std::mem::replace(&mut self.pass, Pass::Backward);
        let gradients = operation.gradient(self, &node.inputs, node.output, dy);
        self.pass = before;
        let gradients = gradients?;
        if gradients.len() != node.inputs.len() {
            let detail = format!(
                "its gradient has {} entries for {} operands; give one each, `None` where there is none",
                gradients.len(),
                node.inputs.len()
            );
            return Err(Error::shape(name, detail));
        }
        for (&operand, &gradient) in node.inputs.iter().zip(&gradients) {
            let Some(gradient) = gradient else { continue };
            self.operands(name, &[gradient])?;
            if self.known_shape(gradient) != self.known_shape(operand) {
                let detail = format!(
                    "the gradient of '{}' is {}, which itself is {}; they must be equal",
                    self.known(operand).name,
                    self.known_shape(gradient),
                    self.known_shape(operand)
                );
                return Err(Error::shape(name, detail));
            }
        }
        Ok(gradients)
    }
}
