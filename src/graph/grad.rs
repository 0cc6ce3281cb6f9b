//! Reverse-mode differentiation: one rule per operation, found by the operation's name.

use super::{Binary, DType, Graph, Layout, Loss, Node, Op, Pass, Reduction, Shape, Tensor};
use crate::Error;

impl Graph {
    /// Appends the backward pass of the scalar `of` and returns its gradient with respect to each
    /// tensor in `wrt`: parameters, inputs or intermediate values. A tensor that is used several
    /// times has the sum of the gradients of its uses, added in the order of the backward pass.
    ///
    /// # Errors
    /// If `of` is not a scalar, if it does not depend on a tensor in `wrt`, or if an operation in
    /// between has no gradient (counts of correct answers, integers).
    pub fn gradients(&mut self, of: Tensor, wrt: &[Tensor]) -> Result<Vec<Tensor>, Error> {
        self.check_handles("gradients", &[of])?;
        self.check_handles("gradients", wrt)?;
        if self.known_shape(of).elements() != 1 {
            let detail = format!(
                "'{}' is {}, not a scalar; reduce it first",
                self.known(of).name,
                self.known_shape(of)
            );
            return Err(Error::shape("gradients", detail));
        }
        let seed = self.constant(1.0, self.known_shape(of).clone())?;
        self.vector_jacobian(of, seed, wrt)
    }

    /// Appends the backward pass from `of`, whose gradient is `upstream` (a tensor of its shape):
    /// the product of `upstream` with the Jacobian of `of`, for each tensor in `wrt`. With `upstream`
    /// a constant c and `of` a scalar: c times its gradients.
    ///
    /// # Errors
    /// If the shapes of `of` and `upstream` differ; else as for [`Graph::gradients`].
    pub fn vector_jacobian(
        &mut self,
        of: Tensor,
        upstream: Tensor,
        wrt: &[Tensor],
    ) -> Result<Vec<Tensor>, Error> {
        self.check_handles("gradients", &[of, upstream])?;
        self.check_handles("gradients", wrt)?;
        if self.known_shape(of) != self.known_shape(upstream) {
            let detail = format!(
                "'{}' is {}, its gradient '{}' {}; the shapes must be equal",
                self.known(of).name,
                self.known_shape(of),
                self.known(upstream).name,
                self.known_shape(upstream)
            );
            return Err(Error::shape("gradients", detail));
        }
        let wanted = self.depends_on(wrt);
        let mut adjoints = Adjoints { of: vec![None; self.tensors.len()] };
        adjoints.of[of.index()] = Some(upstream);
        for index in (0..self.nodes.len()).rev() {
            let Some(node) = self.nodes.get(index).cloned() else {
                let detail =
                    "an operation's gradient took nodes out of the graph; it may only add some";
                return Err(Error::shape("gradients", detail));
            };
            let Some(dy) = adjoints.of[node.output.index()] else { continue };
            if node.inputs.iter().any(|t| wanted[t.index()]) {
                self.backward(&node, dy, &wanted, &mut adjoints)?;
            }
        }
        wrt.iter()
            .map(|&t| {
                adjoints.of[t.index()].ok_or_else(|| {
                    let detail = format!(
                        "'{}' does not depend on '{}', or by comparisons alone; leave that out, or compute with it",
                        self.known(of).name,
                        self.known(t).name
                    );
                    Error::shape("gradients", detail)
                })
            })
            .collect()
    }

    /// For every tensor, whether it is in `wrt` or computed from one that is.
    fn depends_on(&self, wrt: &[Tensor]) -> Vec<bool> {
        let mut depends = vec![false; self.tensors.len()];
        for t in wrt {
            depends[t.index()] = true;
        }
        for node in &self.nodes {
            depends[node.output.index()] |= node.inputs.iter().any(|t| depends[t.index()]);
        }
        depends
    }

    /// The rules. `dy` is the gradient with respect to `node.output`; each rule adds to the
    /// gradients of the operands that are `wanted`.
    fn backward(
        &mut self,
        node: &Node,
        dy: Tensor,
        wanted: &[bool],
        adjoints: &mut Adjoints,
    ) -> Result<(), Error> {
        let y = node.output;
        match (node.op, node.inputs.as_slice()) {
            (Op::MatMul(layout), &[a, b]) => {
                // With C = A·B: dA = dC·Bᵀ and dB = Aᵀ·dC; the other layouts follow by transposing.
                if wanted[a.index()] {
                    let da = match layout {
                        Layout::NN => self.back(Op::MatMul(Layout::NT), &[dy, b], a)?,
                        Layout::NT => self.back(Op::MatMul(Layout::NN), &[dy, b], a)?,
                        Layout::TN => self.back(Op::MatMul(Layout::NT), &[b, dy], a)?,
                    };
                    adjoints.add(self, a, da)?;
                }
                if wanted[b.index()] {
                    let db = match layout {
                        Layout::NN => self.back(Op::MatMul(Layout::TN), &[a, dy], b)?,
                        Layout::NT => self.back(Op::MatMul(Layout::TN), &[dy, a], b)?,
                        Layout::TN => self.back(Op::MatMul(Layout::NN), &[a, dy], b)?,
                    };
                    adjoints.add(self, b, db)?;
                }
            }
            (Op::BiasAdd, &[x, bias]) => {
                if wanted[x.index()] {
                    adjoints.add(self, x, dy)?;
                }
                if wanted[bias.index()] {
                    let db = self.sum_to(dy, bias)?;
                    adjoints.add(self, bias, db)?;
                }
            }
            (Op::Binary(binary), &[a, b]) => {
                self.backward_binary(binary, [a, b], y, dy, wanted, adjoints)?
            }
            (Op::Scale(factor), &[x]) => {
                let dx = self.back(Op::Scale(factor), &[dy], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Dropout { rate, seed }, &[x]) => {
                // The same seed in the same step: the same elements are dropped.
                let dx = self.back(Op::Dropout { rate, seed }, &[dy], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Unary(unary), &[x]) => {
                let saved = if unary.grad_from_output() { y } else { x };
                let dx = self.back(Op::UnaryGrad(unary), &[saved, dy], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Softmax { axis }, &[x]) => {
                let dx = self.back(Op::SoftmaxGrad { axis }, &[y, dy], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::LogSoftmax { axis }, &[x]) => {
                let dx = self.back(Op::LogSoftmaxGrad { axis }, &[y, dy], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Reduce { reduction, start, end }, &[x]) => {
                let n = self.known_shape(x).around(start, end).span as f32;
                let dx = match reduction {
                    Reduction::Sum => self.back(Op::Expand { start, end, scale: 1.0 }, &[dy], x)?,
                    Reduction::Mean => {
                        self.back(Op::Expand { start, end, scale: 1.0 / n }, &[dy], x)?
                    }
                    Reduction::Max => self.back(Op::MaxGrad { start, end }, &[x, y, dy], x)?,
                };
                adjoints.add(self, x, dx)?;
            }
            (Op::Expand { start, end, scale }, &[x]) => {
                let reduce = Op::Reduce { reduction: Reduction::Sum, start, end };
                let sum = self.back(reduce, &[dy], x)?;
                let dx = if scale == 1.0 { sum } else { self.back(Op::Scale(scale), &[sum], x)? };
                adjoints.add(self, x, dx)?;
            }
            (Op::Gather, &[x, indices]) => {
                if self.known(x).dtype != DType::F32 {
                    return Err(self.no_gradient(node));
                }
                let dx = self.back(Op::GatherGrad, &[indices, dy], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Select, &[mask, a, b]) => {
                self.backward_select(mask, [a, b], dy, wanted, adjoints)?
            }
            (Op::SegmentSum { .. }, &[x, labels])
                if self.known_shape(y).dims().first() == Some(&1) =>
            {
                let sums = self.known_shape(y).without(0, 1);
                let dy = self.node_in(Pass::Backward, Op::Reshape, &[dy], sums)?;
                let dx = self.back(Op::Gather, &[dy, labels], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Slice { axis, start }, &[x]) => {
                let dx = self.padded(dy, x, axis, start)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Concat { axis }, operands) => {
                let mut start = 0;
                for &operand in operands {
                    if wanted[operand.index()] {
                        let part = self.back(Op::Slice { axis, start }, &[dy], operand)?;
                        adjoints.add(self, operand, part)?;
                    }
                    start += self.known_shape(operand).dims().get(axis).copied().unwrap_or(1);
                }
            }
            (Op::Transpose, &[x]) => {
                let dx = self.back(Op::Transpose, &[dy], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Reshape, &[x]) => {
                let dx = self.back(Op::Reshape, &[dy], x)?;
                adjoints.add(self, x, dx)?;
            }
            (Op::Loss(loss), &[predictions, targets, ref weights @ ..])
                if weights.iter().all(|weights| !wanted[weights.index()]) =>
            {
                self.backward_loss(node, loss, predictions, targets, dy, wanted, adjoints)?;
            }
            (Op::Custom(number), operands) => {
                let gradients = self.custom_gradient(number, node, dy)?;
                for (&operand, gradient) in operands.iter().zip(gradients) {
                    if let Some(gradient) = gradient.filter(|_| wanted[operand.index()]) {
                        adjoints.add(self, operand, gradient)?;
                    }
                }
            }
            _ => return Err(self.no_gradient(node)),
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn backward_loss(
        &mut self,
        node: &Node,
        loss: Loss,
        predictions: Tensor,
        targets: Tensor,
        dy: Tensor,
        wanted: &[bool],
        adjoints: &mut Adjoints,
    ) -> Result<(), Error> {
        let symmetric =
            matches!(loss, Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. });
        if wanted[targets.index()] && !symmetric {
            return Err(self.no_gradient(node));
        }
        let mut operands = vec![predictions, targets, dy];
        operands.extend(node.inputs.get(2));
        let dp = self.back(Op::LossGrad(loss), &operands, predictions)?;
        if wanted[predictions.index()] {
            adjoints.add(self, predictions, dp)?;
        }
        if wanted[targets.index()] {
            // These losses depend on p - t alone.
            let dt = self.back(Op::Scale(-1.0), &[dp], targets)?;
            adjoints.add(self, targets, dt)?;
        }
        Ok(())
    }

    /// Undoes the broadcasting of `to`: sums `dy` over what was repeated.
    pub(super) fn sum_to(&mut self, dy: Tensor, to: Tensor) -> Result<Tensor, Error> {
        let (from, into) = (self.known_shape(dy).clone(), self.known_shape(to).clone());
        if from == into {
            return Ok(dy);
        }
        let sum = |start, end| Op::Reduce { reduction: Reduction::Sum, start, end };
        if from.rank() > 0 && into.dims() == [from.columns()] {
            return self.back(sum(0, from.rank() - 1), &[dy], to);
        }
        if into.elements() > 1 {
            // A column.
            let last = from.rank().saturating_sub(1);
            let sums = from.without(last, last + 1);
            let rows = self.node_in(Pass::Backward, sum(last, last + 1), &[dy], sums)?;
            return self.back(Op::Reshape, &[rows], to);
        }
        let all = self.node_in(Pass::Backward, sum(0, from.rank()), &[dy], Shape::scalar())?;
        if into.rank() == 0 { Ok(all) } else { self.back(Op::Reshape, &[all], to) }
    }

    /// A node of the backward pass whose result has the shape of `like`.
    pub(super) fn back(
        &mut self,
        op: Op,
        inputs: &[Tensor],
        like: Tensor,
    ) -> Result<Tensor, Error> {
        let shape = self.known_shape(like).clone();
        self.node_in(Pass::Backward, op, inputs, shape)
    }

    fn no_gradient(&self, node: &Node) -> Error {
        let names: Vec<&str> = node.inputs.iter().map(|&t| self.known(t).name.as_str()).collect();
        Error::shape(
            "gradients",
            format!(
                "{} of {} has no gradient that way; leave it out of the loss",
                node.op,
                names.join(", ")
            ),
        )
    }
}

/// The gradient of each tensor so far.
pub(super) struct Adjoints {
    of: Vec<Option<Tensor>>,
}

impl Adjoints {
    pub(super) fn add(
        &mut self,
        graph: &mut Graph,
        to: Tensor,
        gradient: Tensor,
    ) -> Result<(), Error> {
        self.of[to.index()] = Some(match self.of[to.index()] {
            None => gradient,
            Some(sum) => graph.back(Op::Binary(Binary::Add), &[sum, gradient], to)?,
        });
        Ok(())
    }
}
