//! Building a graph: every operation with its shape rule.

use super::{
    Binary, Count, DType, Graph, Layout, Loss, Node, Op, Pass, Reduction, Role, Shape, Tensor,
    Unary,
};
use crate::Error;

impl Graph {
    /// A tensor of `f32` that the host writes.
    pub fn input(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Tensor, Error> {
        self.add_tensor(name.into(), shape.into(), DType::F32, Role::Input)
    }

    /// A tensor of `u32` (row indices, class labels) that the host writes.
    pub fn index_input(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Tensor, Error> {
        self.add_tensor(name.into(), shape.into(), DType::U32, Role::Input)
    }

    /// A trained parameter. Files keep parameters by name, so of several with one name the second one's
    /// is `name_2`, the third one's `name_3`, and so on.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Tensor, Error> {
        let mut numbered = (2..).map(|number: usize| format!("{name}_{number}"));
        let mut unique = name.to_string();
        while self.has_parameter(|other| other == unique) {
            unique = numbered.next().unwrap_or_default();
        }
        let role = Role::Parameter(self.parameters.len());
        let tensor = self.add_tensor(unique, shape.into(), DType::F32, role)?;
        self.parameters.push(tensor);
        Ok(tensor)
    }

    /// How many tensors are given from outside: parameters and inputs.
    pub(crate) fn given(&self) -> usize {
        let is_given = |role| matches!(role, Role::Parameter(_) | Role::Input);
        self.tensors.iter().filter(|tensor| is_given(tensor.role)).count()
    }

    /// Whether the name of a parameter is such a one.
    pub(crate) fn has_parameter(&self, such: impl Fn(&str) -> bool) -> bool {
        self.parameters.iter().any(|&parameter| such(&self.known(parameter).name))
    }

    /// A tensor with the same number in every element.
    pub fn constant(&mut self, value: f32, shape: impl Into<Shape>) -> Result<Tensor, Error> {
        self.add_tensor(format!("{value}"), shape.into(), DType::F32, Role::Constant(value))
    }

    /// `a·b`: `m×k` times `k×n`. With `p×m×k`, a product for each of the `p` matrices: with its own of `p×k×n`, or
    /// all with the one of `k×n`.
    pub fn matmul(&mut self, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        self.matmul_layout(Layout::NN, a, b)
    }

    /// A matrix product that reads one operand transposed; see [`Layout`].
    pub fn matmul_layout(&mut self, layout: Layout, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        self.operands("matmul", &[a, b])?;
        let (dims_a, dims_b) = (self.known_shape(a).dims(), self.known_shape(b).dims());
        let shape = match (dims_a, dims_b) {
            (&[matrices, ref a @ ..], &[others, ref b @ ..])
                if a.len() == 2 && matrices == others =>
            {
                layout.product(a, b).map(|[m, n]| vec![matrices, m, n])
            }
            ([_, _, _], [_, _]) if layout != Layout::TN => {
                return self.matmul_of_rows(layout, a, b);
            }
            _ => layout.product(dims_a, dims_b).map(|sides| sides.to_vec()),
        };
        let Some(shape) = shape else {
            let rule = match layout {
                Layout::NN => "m×k · k×n, p×m×k · p×k×n or p×m×k · k×n",
                Layout::NT => "m×k · (n×k)ᵀ, p×m×k · (p×n×k)ᵀ or p×m×k · (n×k)ᵀ",
                Layout::TN => "(k×m)ᵀ · k×n or (p×k×m)ᵀ · p×k×n",
            };
            return Err(self.mismatch("matmul", &[a, b], rule));
        };
        self.node(Op::MatMul(layout), &[a, b], shape)
    }

    /// Adds the row `bias` (`n`) to every row of `x` (`…×n`).
    pub fn bias_add(&mut self, x: Tensor, bias: Tensor) -> Result<Tensor, Error> {
        self.operands("bias_add", &[x, bias])?;
        let shape = self.known_shape(x).clone();
        if shape.rank() == 0 || self.known_shape(bias).dims() != [shape.columns()] {
            return Err(self.mismatch("bias_add", &[x, bias], "…×n with a bias of n"));
        }
        self.node(Op::BiasAdd, &[x, bias], shape)
    }

    /// `a + b`; `b` may be a row, a column or a scalar, see [`Binary`].
    pub fn add(&mut self, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        self.binary(Binary::Add, a, b)
    }

    /// `a - b`; `b` may be a row, a column or a scalar, see [`Binary`].
    pub fn sub(&mut self, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        self.binary(Binary::Sub, a, b)
    }

    /// `a · b`, element by element; `b` may be a row, a column or a scalar, see [`Binary`].
    pub fn mul(&mut self, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        self.binary(Binary::Mul, a, b)
    }

    /// An element-wise operation of two tensors; `b` may be a row, a column or a scalar.
    pub fn binary(&mut self, binary: Binary, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        let op = Op::Binary(binary);
        self.operands(op.name(), &[a, b])?;
        let shape = self.known_shape(a).clone();
        if self.known_shape(b).repeats_in(&shape).is_none() {
            return Err(self.mismatch(op.name(), &[a, b], super::arrays::REPEATED));
        }
        self.node(op, &[a, b], shape)
    }

    /// `factor · x`.
    pub fn scale(&mut self, x: Tensor, factor: f32) -> Result<Tensor, Error> {
        self.operands("scale", &[x])?;
        let shape = self.known_shape(x).clone();
        self.node(Op::Scale(factor), &[x], shape)
    }

    /// Dropout (Srivastava et al., 2014): each element of `x` is 0 with probability `rate`, else
    /// `x / (1 - rate)`, so that the mean stays. Of the gradient the same elements are 0. One that is not
    /// finite never becomes 0, but NaN.
    ///
    /// Which elements those are depends on `seed`, on the step's
    /// [`number`](crate::exec::Step::number), on the row (the place along the first axis, counted from the
    /// step's [`first_row`](crate::exec::Step::first_row)) and on the place within the row: on no device, no
    /// driver and no order of work. Two operations with one seed drop the same. It
    /// drops in every graph that it is in: leave it out of those for evaluation, as the layer does. If the first axis
    /// is not the rows of the batch, what is dropped depends on how the batch is cut into micro-batches.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `rate` is at least 0 and below 1.
    pub fn dropout(&mut self, x: Tensor, rate: f32, seed: u64) -> Result<Tensor, Error> {
        self.operands("dropout", &[x])?;
        check_dropout_rate("dropout rate", rate)?;
        let shape = self.known_shape(x).clone();
        self.node(Op::Dropout { rate, seed }, &[x], shape)
    }

    /// An element-wise function; see [`Unary`].
    pub fn unary(&mut self, unary: Unary, x: Tensor) -> Result<Tensor, Error> {
        self.operands(unary.name(), &[x])?;
        if let Some((parameter, value)) = unary.parameter()
            && !(value > 0.0 && value.is_finite())
        {
            let name = format!("{} {parameter}", unary.name());
            return Err(Error::argument(&name, value, "a positive, finite number"));
        }
        let shape = self.known_shape(x).clone();
        self.node(Op::Unary(unary), &[x], shape)
    }

    /// Softmax along `axis`.
    pub fn softmax(&mut self, x: Tensor, axis: usize) -> Result<Tensor, Error> {
        self.along_axis(Op::Softmax { axis }, x, axis)
    }

    /// Logarithm of the softmax along `axis`.
    pub fn log_softmax(&mut self, x: Tensor, axis: usize) -> Result<Tensor, Error> {
        self.along_axis(Op::LogSoftmax { axis }, x, axis)
    }

    fn along_axis(&mut self, op: Op, x: Tensor, axis: usize) -> Result<Tensor, Error> {
        self.operands(op.name(), &[x])?;
        self.check_axes(op.name(), x, axis, axis.saturating_add(1))?;
        let shape = self.known_shape(x).clone();
        self.node(op, &[x], shape)
    }

    /// Sum over `axis`, which disappears.
    pub fn sum(&mut self, x: Tensor, axis: usize) -> Result<Tensor, Error> {
        self.reduce(Reduction::Sum, x, axis, axis.saturating_add(1))
    }

    /// Mean over `axis`, which disappears.
    pub fn mean(&mut self, x: Tensor, axis: usize) -> Result<Tensor, Error> {
        self.reduce(Reduction::Mean, x, axis, axis.saturating_add(1))
    }

    /// Maximum over `axis`, which disappears.
    pub fn max(&mut self, x: Tensor, axis: usize) -> Result<Tensor, Error> {
        self.reduce(Reduction::Max, x, axis, axis.saturating_add(1))
    }

    /// Reduces the neighbouring axes `start..end`, which disappear. `0..rank` yields a scalar.
    pub fn reduce(
        &mut self,
        reduction: Reduction,
        x: Tensor,
        start: usize,
        end: usize,
    ) -> Result<Tensor, Error> {
        let op = Op::Reduce { reduction, start, end };
        self.operands(op.name(), &[x])?;
        self.check_axes(op.name(), x, start, end)?;
        let shape = self.known_shape(x).without(start, end);
        self.node(op, &[x], shape)
    }

    /// Repeats `x` along the axes `start..end` of `shape`, times `scale`.
    pub fn expand(
        &mut self,
        x: Tensor,
        shape: impl Into<Shape>,
        start: usize,
        end: usize,
        scale: f32,
    ) -> Result<Tensor, Error> {
        let shape = shape.into();
        self.operands("expand", &[x])?;
        if start >= end || end > shape.rank() || shape.without(start, end) != *self.known_shape(x) {
            let rule = format!("{shape} without axes {start}..{end}");
            return Err(self.mismatch("expand", &[x], &rule));
        }
        self.node(Op::Expand { start, end, scale }, &[x], shape)
    }

    /// The same elements, in the same order, under another shape.
    pub fn reshape(&mut self, x: Tensor, shape: impl Into<Shape>) -> Result<Tensor, Error> {
        let shape = shape.into();
        self.operands("reshape", &[x])?;
        if shape.elements() != self.known_shape(x).elements() {
            return Err(self.mismatch("reshape", &[x], &format!("as many elements as {shape}")));
        }
        self.node(Op::Reshape, &[x], shape)
    }

    /// `x` with each row (its first axis) as one list of numbers, as data sets have them.
    pub(crate) fn as_lists(&mut self, x: Tensor) -> Result<Tensor, Error> {
        self.operands("reshape", &[x])?;
        match self.known_shape(x).dims() {
            [_, _] => Ok(x),
            dims => {
                let rows = dims.first().copied().unwrap_or(1);
                let width = self.known_shape(x).elements() / rows.max(1);
                self.reshape(x, [rows, width])
            }
        }
    }

    /// A loss; a scalar. Predictions are `…×n`; targets have their shape, or, for
    /// [`Loss::SoftmaxCrossEntropy`], are `u32` labels with one fewer axis.
    pub fn loss(
        &mut self,
        loss: Loss,
        predictions: Tensor,
        targets: Tensor,
    ) -> Result<Tensor, Error> {
        loss.check()?;
        self.check_targets(loss.name(), predictions, targets, loss.takes_classes())?;
        self.node(Op::Loss(loss), &[predictions, targets], Shape::scalar())
    }

    /// A loss of which each row counts as often as its weight says; a scalar. `weights` has a number per row,
    /// of the shape that labels have. The sum of the weighted items is divided by the number of elements (of
    /// rows, for a loss of rows), not by the sum of the weights: so Keras does it (`sum_over_batch_size` in
    /// `keras/src/losses/loss.py`). Weights have no gradient.
    pub fn weighted_loss(
        &mut self,
        loss: Loss,
        predictions: Tensor,
        targets: Tensor,
        weights: Tensor,
    ) -> Result<Tensor, Error> {
        loss.check()?;
        self.check_targets(loss.name(), predictions, targets, loss.takes_classes())?;
        self.operands(loss.name(), &[weights])?;
        if !self.are_rows_of(weights, predictions) {
            let rule = "…×n with a weight for each row, …";
            return Err(self.mismatch(loss.name(), &[predictions, weights], rule));
        }
        self.node(Op::Loss(loss), &[predictions, targets, weights], Shape::scalar())
    }

    /// Whether `x` has one number for each row of `of`.
    fn are_rows_of(&self, x: Tensor, of: Tensor) -> bool {
        let (x, of) = (self.known_shape(x), self.known_shape(of));
        of.rank() > 0 && of.dims().get(..of.rank() - 1) == Some(x.dims())
    }

    /// A sum over a batch that a metric is computed from; a scalar. See [`Count`].
    pub fn count(
        &mut self,
        count: Count,
        predictions: Tensor,
        targets: Tensor,
    ) -> Result<Tensor, Error> {
        let classes = count == Count::Correct;
        self.check_targets("count", predictions, targets, classes)?;
        self.node(Op::Count(count), &[predictions, targets], Shape::scalar())
    }

    /// The tensor that `tensor` is another shape of, itself if it is none.
    pub(super) fn root(&self, tensor: Tensor) -> Tensor {
        // Every node comes after those it reads.
        self.nodes.iter().rev().fold(tensor, |tensor, node| {
            match (node.op, node.inputs.as_slice()) {
                (Op::Reshape, &[x]) if node.output == tensor => x,
                _ => tensor,
            }
        })
    }

    pub(super) fn node(
        &mut self,
        op: Op,
        inputs: &[Tensor],
        shape: impl Into<Shape>,
    ) -> Result<Tensor, Error> {
        self.node_in(self.pass, op, inputs, shape)
    }

    pub(super) fn node_in(
        &mut self,
        pass: Pass,
        op: Op,
        inputs: &[Tensor],
        shape: impl Into<Shape>,
    ) -> Result<Tensor, Error> {
        let number = self.nodes.len();
        let name = match op {
            Op::Custom(custom) => format!("{}#{number}", self.custom(custom)?.operation.name()),
            op => format!("{op}#{number}"),
        };
        let output = self.add_tensor(name, shape.into(), DType::F32, Role::Computed)?;
        self.nodes.push(Node { op, inputs: inputs.to_vec(), output, pass });
        Ok(output)
    }

    fn check_targets(
        &self,
        op: &str,
        predictions: Tensor,
        targets: Tensor,
        classes: bool,
    ) -> Result<(), Error> {
        self.check_handles(op, &[predictions, targets])?;
        self.expect_dtype(op, predictions, DType::F32)?;
        self.expect_dtype(op, targets, if classes { DType::U32 } else { DType::F32 })?;
        let fits = match classes {
            true => self.are_rows_of(targets, predictions),
            false => self.known_shape(predictions) == self.known_shape(targets),
        };
        if fits {
            return Ok(());
        }
        let rule = if classes { "logits …×classes with labels …" } else { "equal shapes" };
        Err(self.mismatch(op, &[predictions, targets], rule))
    }

    /// All operands exist and are `f32`.
    pub(super) fn operands(&self, op: &str, tensors: &[Tensor]) -> Result<(), Error> {
        self.check_handles(op, tensors)?;
        tensors.iter().try_for_each(|&t| self.expect_dtype(op, t, DType::F32))
    }

    pub(super) fn expect_dtype(&self, op: &str, tensor: Tensor, dtype: DType) -> Result<(), Error> {
        let info = self.known(tensor);
        if info.dtype == dtype {
            return Ok(());
        }
        Err(Error::shape(
            op,
            format!(
                "'{}' holds {:?}, {dtype:?} is needed; give {}",
                info.name,
                info.dtype,
                match dtype {
                    DType::F32 | DType::F16 =>
                        "an `input`, a parameter or what is computed from them",
                    DType::U32 => "an `index_input`",
                }
            ),
        ))
    }

    pub(super) fn check_axes(
        &self,
        op: &str,
        x: Tensor,
        start: usize,
        end: usize,
    ) -> Result<(), Error> {
        let shape = self.known_shape(x);
        if start < end && end <= shape.rank() {
            return Ok(());
        }
        let rank = shape.rank();
        Err(Error::shape(
            op,
            format!(
                "axes {start}..{end} of '{}' ({shape}, {rank} axes); name at least one, each below {rank}",
                self.known(x).name
            ),
        ))
    }

    pub(super) fn mismatch(&self, op: &str, tensors: &[Tensor], rule: &str) -> Error {
        let have: Vec<String> = tensors
            .iter()
            .map(|&t| format!("'{}' {}", self.known(t).name, self.known_shape(t)))
            .collect();
        Error::shape(op, format!("{} do not fit; needed: {rule}", have.join(" and ")))
    }
}

/// # Errors
/// [`Error::Argument`] with `name` unless `rate` is one that [`Graph::dropout`] takes.
pub(crate) fn check_dropout_rate(name: &str, rate: f32) -> Result<(), Error> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::argument(name, rate, "at least 0 and below 1: it is the share that is dropped"))
}
