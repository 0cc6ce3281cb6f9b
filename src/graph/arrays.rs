//! Building a graph: what moves elements about, chooses among them or finds them.

use super::{Binary, DType, Graph, Layout, Op, Role, Shape, Tensor};
use crate::Error;

impl Graph {
    /// `a / b`; `b` may be a row, a column or a scalar, see [`Binary`].
    pub fn div(&mut self, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        self.binary(Binary::Div, a, b)
    }

    /// `a` where `mask` is not 0, else `b`; NaN where `mask` is. The result has the shape of `mask`; `a` and
    /// `b` may be rows, columns or scalars. What is not chosen has no part in the result, also if it is NaN
    /// or infinite. A mask is what comparisons yield ([`Binary::Less`] and its like); it has no gradient.
    pub fn select(&mut self, mask: Tensor, a: Tensor, b: Tensor) -> Result<Tensor, Error> {
        self.operands("select", &[mask, a, b])?;
        let shape = self.known_shape(mask).clone();
        for choice in [a, b] {
            if self.known_shape(choice).repeats_in(&shape).is_none() {
                return Err(self.mismatch("select", &[mask, choice], REPEATED));
            }
        }
        self.node(Op::Select, &[mask, a, b], shape)
    }

    /// Where in each row (along the last axis, which disappears) the largest element is, a `u32`; the first
    /// wins a tie. NaN has no place among numbers: a step that meets it is an error, see
    /// [`Error::NotANumber`], and no parameter moves any more.
    pub fn arg_max(&mut self, x: Tensor) -> Result<Tensor, Error> {
        self.extreme(Op::ArgMax, x)
    }

    /// As [`Graph::arg_max`], of the smallest element.
    pub fn arg_min(&mut self, x: Tensor) -> Result<Tensor, Error> {
        self.extreme(Op::ArgMin, x)
    }

    fn extreme(&mut self, op: Op, x: Tensor) -> Result<Tensor, Error> {
        self.operands(op.name(), &[x])?;
        let shape = self.known_shape(x);
        let Some(last) = shape.rank().checked_sub(1) else {
            return Err(self.mismatch(op.name(), &[x], "at least one axis"));
        };
        let shape = shape.without(last, last + 1);
        self.node_of(op, &[x], shape, DType::U32)
    }

    /// The rows of `x` (`n×d`) added up by `labels` (`n`, `u32`, each below `segments`): `runs×segments×d`, the
    /// sums of the first `run` rows, those of the next `run`, and so on. `run` divides `n`. Rows are added in
    /// their order; sums of many rows keep their digits if runs are short and their sums are joined on the host.
    ///
    /// The gradient goes to the rows that were added; with several runs there is none.
    pub fn segment_sum(
        &mut self,
        x: Tensor,
        labels: Tensor,
        segments: usize,
        run: usize,
    ) -> Result<Tensor, Error> {
        self.operands("segment_sum", &[x])?;
        self.check_handles("segment_sum", &[labels])?;
        self.expect_dtype("segment_sum", labels, DType::U32)?;
        let (of, by) = (self.known_shape(x).dims(), self.known_shape(labels).dims());
        let (&[n, width], &[rows]) = (of, by) else {
            return Err(self.mismatch("segment_sum", &[x, labels], "n×d with labels of n"));
        };
        if n != rows || run == 0 || !n.is_multiple_of(run) {
            let rule = format!("n×d with labels of n, n a multiple of the run of {run} rows");
            return Err(self.mismatch("segment_sum", &[x, labels], &rule));
        }
        let shape = [n / run, segments, width];
        self.node(Op::SegmentSum { segments, run }, &[x, labels], shape)
    }

    /// The rows of `x` (slices along its first axis) named by `indices` (`n`, `u32`). The host
    /// checks the indices that it writes ([`Executor::write_indices`](crate::exec::Executor)); one past
    /// the last row, in a buffer of the app's, gives a row of NaN.
    pub fn gather(&mut self, x: Tensor, indices: Tensor) -> Result<Tensor, Error> {
        self.check_handles("gather", &[x, indices])?;
        self.expect_dtype("gather", indices, DType::U32)?;
        let (rows, of) =
            (self.known_shape(indices).dims().to_vec(), self.known_shape(x).dims().to_vec());
        let (&[n], [_, rest @ ..]) = (rows.as_slice(), of.as_slice()) else {
            return Err(self.mismatch("gather", &[x, indices], "rows×… with indices of n"));
        };
        self.copy_rows(Op::Gather, x, indices, n, rest)
    }

    /// The next `rows` rows of `x`, in the order that `order` (`u32`, one entry per row of `x`)
    /// names; see [`Op::Batch`].
    pub fn batch(&mut self, x: Tensor, order: Tensor, rows: usize) -> Result<Tensor, Error> {
        self.check_handles("batch", &[x, order])?;
        self.expect_dtype("batch", order, DType::U32)?;
        let (order_dims, of) =
            (self.known_shape(order).dims().to_vec(), self.known_shape(x).dims().to_vec());
        let (&[n], [have, rest @ ..]) = (order_dims.as_slice(), of.as_slice()) else {
            return Err(self.mismatch(
                "batch",
                &[x, order],
                "rows×… with an order of one entry per row",
            ));
        };
        if n != *have || rows > n {
            let rule = format!("an order of one entry per row, and at least {rows} rows");
            return Err(self.mismatch("batch", &[x, order], &rule));
        }
        self.copy_rows(Op::Batch, x, order, rows, rest)
    }

    /// Gather and batch copy bits, so they keep the element type of `x`.
    fn copy_rows(
        &mut self,
        op: Op,
        x: Tensor,
        indices: Tensor,
        rows: usize,
        rest: &[usize],
    ) -> Result<Tensor, Error> {
        let shape = [&[rows], rest].concat();
        let dtype = self.known(x).dtype;
        self.node_of(op, &[x, indices], shape, dtype)
    }

    /// The elements `start..end` of `x` along `axis`.
    pub fn slice(
        &mut self,
        x: Tensor,
        axis: usize,
        start: usize,
        end: usize,
    ) -> Result<Tensor, Error> {
        self.check_handles("slice", &[x])?;
        self.check_axes("slice", x, axis, axis.saturating_add(1))?;
        let mut dims = self.known_shape(x).dims().to_vec();
        match dims.get_mut(axis) {
            Some(extent) if start < end && end <= *extent => *extent = end - start,
            _ => {
                let rule = format!("elements {start}..{end}, at least one, along axis {axis}");
                return Err(self.mismatch("slice", &[x], &rule));
            }
        }
        let dtype = self.known(x).dtype;
        self.node_of(Op::Slice { axis, start }, &[x], dims, dtype)
    }

    /// `tensors` one after another along `axis`. Their other axes are alike, and so are their element types.
    pub fn concat(&mut self, tensors: &[Tensor], axis: usize) -> Result<Tensor, Error> {
        self.check_handles("concat", tensors)?;
        let Some(&first) = tensors.first() else {
            return Err(Error::shape("concat", "no tensors; give at least one"));
        };
        self.check_axes("concat", first, axis, axis.saturating_add(1))?;
        let dtype = self.known(first).dtype;
        let shape = self.known_shape(first).clone();
        let mut along: usize = 0;
        for &tensor in tensors {
            self.expect_dtype("concat", tensor, dtype)?;
            let other = self.known_shape(tensor);
            if other.rank() != shape.rank()
                || other.without(axis, axis + 1) != shape.without(axis, axis + 1)
            {
                let rule = format!("equal shapes but for axis {axis}");
                return Err(self.mismatch("concat", &[first, tensor], &rule));
            }
            along = along.saturating_add(other.dims().get(axis).copied().unwrap_or(1));
        }
        let mut dims = shape.dims().to_vec();
        if let Some(extent) = dims.get_mut(axis) {
            *extent = along;
        }
        self.node_of(Op::Concat { axis }, tensors, dims, dtype)
    }

    /// `x` (`…×m×n`) with its last two axes changed for each other: `…×n×m`. Products read either operand
    /// transposed by themselves, see [`Layout`].
    pub fn transpose(&mut self, x: Tensor) -> Result<Tensor, Error> {
        self.check_handles("transpose", &[x])?;
        let mut dims = self.known_shape(x).dims().to_vec();
        let Some(row) = dims.len().checked_sub(2) else {
            return Err(self.mismatch("transpose", &[x], "at least two axes"));
        };
        dims.swap(row, row + 1);
        let dtype = self.known(x).dtype;
        self.node_of(Op::Transpose, &[x], dims, dtype)
    }

    /// `a·b` of three axes by two: the matrices of `a` are one matrix of all their rows.
    pub(super) fn matmul_of_rows(
        &mut self,
        layout: Layout,
        a: Tensor,
        b: Tensor,
    ) -> Result<Tensor, Error> {
        let &[matrices, rows, terms] = self.known_shape(a).dims() else {
            return Err(self.mismatch("matmul", &[a, b], "three axes by two"));
        };
        let flat = self.reshape(a, [matrices.saturating_mul(rows), terms])?;
        let product = self.matmul_layout(layout, flat, b)?;
        let columns = self.known_shape(product).columns();
        self.reshape(product, [matrices, rows, columns])
    }

    /// [`Graph::node`] of another element type than `f32`.
    fn node_of(
        &mut self,
        op: Op,
        inputs: &[Tensor],
        shape: impl Into<Shape>,
        dtype: DType,
    ) -> Result<Tensor, Error> {
        let name = format!("{op}#{}", self.nodes.len());
        let output = self.add_tensor(name, shape.into(), dtype, Role::Computed)?;
        let pass = self.pass;
        self.nodes.push(super::Node { op, inputs: inputs.to_vec(), output, pass });
        Ok(output)
    }
}

/// What the second operand of a [`Binary`] may be, in errors.
pub(super) const REPEATED: &str = "equal shapes, …×n with n or …×1, or a scalar";
