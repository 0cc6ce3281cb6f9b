//! Sums: reductions, losses and counts, and where their results go.

use super::Lowering;
use crate::graph::{Count, Loss, Op, Pass, Reduction, Role, Tensor, View};
use crate::kernel::loss::{self, Compared, Destination};
use crate::kernel::update::LossOf;
use crate::kernel::{Launch, Operand, reduce, rows, word};
use crate::plan::PlanScope;

impl Lowering<'_> {
    /// A sum, mean or maximum: in two dispatches if the loops of one would be too long.
    pub(super) fn reduce(
        &mut self,
        reduction: Reduction,
        start: usize,
        end: usize,
        x: Tensor,
        out: Tensor,
        pass: Pass,
    ) {
        let parts = reduce::parts(self.shapes(), start, end, x, self.target.most_turns);
        if parts == 1 {
            let launch = reduce::reduce(self.shapes(), reduction, start, end, x, out);
            return self.push(launch, pass);
        }
        let View { outer, inner, .. } = self.shapes().of(x).around(start, end);
        let scratch = self.scratch("parts of a reduction", [outer, parts, inner]);
        let shapes = self.shapes();
        for launch in reduce::reduce_in_parts(shapes, reduction, start, end, x, out, parts, scratch)
        {
            self.push(launch, pass);
        }
    }

    pub(super) fn gather_grad(&mut self, indices: Tensor, dy: Tensor, out: Tensor, pass: Pass) {
        let parts = rows::gather_grad_parts(self.shapes(), indices, self.target.most_turns);
        if parts == 1 {
            let launch = rows::gather_grad(self.shapes(), indices, dy, out, out, 1);
            return self.push(launch, pass);
        }
        let elements = self.shapes().of(out).elements();
        let scratch = self.scratch("parts of a gradient", [parts, elements]);
        let first = rows::gather_grad(self.shapes(), indices, dy, out, scratch, parts);
        self.push(first, pass);
        self.reduce(Reduction::Sum, 0, 1, scratch, out, pass);
    }

    pub(super) fn loss(&mut self, kind: Loss, compared: Compared, out: Tensor, pass: Pass) {
        let Compared { predictions, targets, weights } = compared;
        let items = loss::loss_items(self.shapes(), kind, predictions, self.long());
        let gradient = self.companion(predictions, |node| {
            node.op == Op::LossGrad(kind)
                && node.inputs.get(..2) == Some(&[predictions, targets])
                && node.inputs.get(3).copied() == weights
                && node.inputs.get(2).is_some_and(|&t| self.constant(t).is_some())
        });
        let gradient = gradient.map(|(index, node)| {
            let upstream = node.inputs.get(2).and_then(|&t| self.constant(t)).unwrap_or(1.0);
            (self.absorb(index, node), upstream)
        });
        let make = |lowering: &Self, to, groups| match gradient {
            Some((gradient, upstream)) => {
                let shapes = lowering.shapes();
                loss::value_and_gradient(
                    shapes, kind, items, compared, upstream, gradient, to, groups,
                )
            }
            None => loss::value(lowering.shapes(), kind, items, compared, to, groups),
        };
        let groups =
            loss::loss_groups(self.shapes(), kind, predictions, items, self.target.most_turns);
        self.in_groups(out, groups, pass, make);
    }

    pub(super) fn count(
        &mut self,
        count: Count,
        predictions: Tensor,
        targets: Tensor,
        out: Tensor,
        pass: Pass,
    ) {
        let items = loss::count_items(self.shapes(), count, predictions, self.long());
        let make = |lowering: &Self, to, groups| {
            loss::count(lowering.shapes(), count, items, predictions, targets, to, groups)
        };
        let groups =
            loss::count_groups(self.shapes(), count, predictions, items, self.target.most_turns);
        self.in_groups(out, groups, pass, make);
    }

    fn constant(&self, tensor: Tensor) -> Option<f32> {
        match self.graph.known(tensor).role {
            Role::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// A sum over a batch by `groups` workgroups: in one dispatch where one will do, else partial sums first.
    fn in_groups(
        &mut self,
        out: Tensor,
        groups: usize,
        pass: Pass,
        make: impl Fn(&Self, Destination, usize) -> Launch,
    ) {
        let to = self.destination(out);
        if groups == 1 {
            let launch = make(self, to, 1);
            return self.push(launch, pass);
        }
        let partials = self.scratch("partial sums", [groups]);
        let first = make(self, Destination::tensor(partials), groups);
        self.push(first, pass);
        if to.operand == Operand::Results
            && self.is_loss_of_update(out)
            && groups <= LossOf::MOST_PARTS
        {
            self.loss_in_parts = Some((partials, groups));
            return;
        }
        self.push(loss::sum_partials(partials, groups, to), pass);
    }

    /// Whether this plan's update looks at `scalar`, which may then be left to it in parts.
    fn is_loss_of_update(&self, scalar: Tensor) -> bool {
        let update = self.graph.update_pass();
        let whole = self.options.fuse && self.options.portion == PlanScope::Step;
        whole && update.is_some_and(|update| update.loss == scalar)
    }

    /// Where a scalar is written: to the results table if only the host and the update read it.
    pub(in crate::plan) fn destination(&self, scalar: Tensor) -> Destination {
        let column = self.options.results.iter().position(|&t| t == scalar);
        match column {
            Some(column) if self.only_a_result(scalar) => Destination {
                operand: Operand::Results,
                stride: word(self.options.results.len()),
                column: word(column),
            },
            _ => Destination::tensor(scalar),
        }
    }

    fn only_a_result(&self, scalar: Tensor) -> bool {
        let producer = self.graph.nodes().iter().find(|node| node.output == scalar);
        let is_sum = producer.is_some_and(|node| matches!(node.op, Op::Loss(_) | Op::Count(_)));
        let read = !self.readers[self.root(scalar).index()].is_empty();
        let output = self.options.outputs.iter().any(|&t| self.root(t) == scalar);
        let gradients = self
            .graph
            .update_pass()
            .is_some_and(|u| u.gradients.iter().any(|g| self.root(g.1) == scalar));
        let once = self.options.results.iter().filter(|&&t| t == scalar).count() == 1;
        is_sum && !read && !output && !gradients && once
    }

    /// Copies results that live as tensors to the table.
    pub(super) fn emit_results(&mut self) {
        for (column, &scalar) in self.options.results.iter().enumerate() {
            if self.destination(scalar).operand == Operand::Results {
                continue;
            }
            let stride = word(self.options.results.len());
            let to = Destination { operand: Operand::Results, stride, column: word(column) };
            let launch = loss::emit(scalar, to);
            let root = self.root(scalar);
            let writer = self.graph.nodes().iter().find(|node| self.root(node.output) == root);
            self.push(launch, writer.map_or(Pass::Forward, |node| node.pass));
        }
    }
}
