//! From nodes to dispatches, fusing where that saves one.
//!
//! | nodes | one dispatch |
//! | --- | --- |
//! | matmul, bias-add, activation | product with the bias and activation in its epilogue |
//! | matmul, gradient of the activation below | product with the activation's mask in its epilogue |
//! | weight gradient `Aᵀ·B` and the column sum of `B` | product that writes the bias gradient too |
//! | loss and its gradient | one pass over the predictions |
//! | two batches drawn in the same order | one dispatch copies both |
//!
//! A value that is read once is fused into its reader; a value that others read too is stored.

use super::{ArenaLayout, Choice, PlanOptions, Portion, Target, choose, lower_update};
use crate::Error;
use crate::graph::{
    DType, Graph, Issuer, Layout, Loss, Node, Op, Pass, Reduction, Role, Shape, Tensor, TensorInfo,
};
use crate::kernel::loss::{Destination, Items};
use crate::kernel::matmul::{Epilogue, Product};
use crate::kernel::{
    Launch, Operand, Shapes, elementwise, loss, matmul, reduce, rows, softmax, word,
};

/// A dispatch that has no place in the order yet.
pub(super) struct Work {
    pub(super) launch: Launch,
    pub(super) pass: Pass,
}

/// A lowered graph.
pub(super) struct Lowered {
    /// The graph's tensors, then scratch.
    pub(super) tensors: Vec<TensorInfo>,
    /// The handle of each.
    pub(super) handles: Vec<Tensor>,
    /// For each tensor, the one whose memory it shares (itself unless it is reshaped).
    pub(super) roots: Vec<Tensor>,
    pub(super) work: Vec<Work>,
    /// For each trained parameter, the tensor that is its gradient.
    pub(super) gradients: Vec<(usize, Tensor)>,
    pub(super) arena: ArenaLayout,
    /// The different choices for matrix products.
    pub(super) choices: Vec<Choice>,
}

pub(super) fn lower(
    graph: &Graph,
    options: &PlanOptions,
    arena: ArenaLayout,
    target: &Target,
) -> Result<Lowered, Error> {
    let mut lowering = Lowering::new(graph, options, arena, target);
    let computes = options.portion != Portion::Update;
    for index in 0..graph.nodes().len() {
        if computes && lowering.live[index] && !lowering.covered[index] {
            lowering.node(index);
        }
    }
    if computes {
        lowering.emit_results();
    }
    if let Some(update) = graph.update_pass() {
        lower_update::lower(&mut lowering, update)?;
    }
    Ok(lowering.lowered)
}

pub(super) struct Lowering<'a> {
    pub(super) graph: &'a Graph,
    pub(super) options: &'a PlanOptions,
    pub(super) lowered: Lowered,
    target: &'a Target,
    /// Gives the handles of scratch tensors.
    scratch: Issuer,
    /// Nodes that something wanted depends on.
    live: Vec<bool>,
    /// Nodes that were fused into another.
    covered: Vec<bool>,
    /// For each root, the live nodes that read it.
    readers: Vec<Vec<usize>>,
    /// For each root, whether the host or the update pass reads it.
    kept: Vec<bool>,
}

impl<'a> Lowering<'a> {
    fn new(
        graph: &'a Graph,
        options: &'a PlanOptions,
        arena: ArenaLayout,
        target: &'a Target,
    ) -> Self {
        let count = graph.tensors().len();
        let mut roots = graph.handles().to_vec();
        for node in graph.nodes() {
            if let (Op::Reshape, &[x]) = (node.op, node.inputs.as_slice()) {
                roots[node.output.index()] = roots[x.index()];
            }
        }
        let mut kept = vec![false; count];
        let wanted = options.outputs.iter().chain(&options.results).copied();
        let update = graph.update_pass();
        let trained = update.iter().flat_map(|u| u.gradients.iter().map(|&(_, gradient)| gradient));
        let losses = update.iter().map(|u| u.loss);
        for tensor in wanted.chain(trained).chain(losses) {
            kept[roots[tensor.index()].index()] = true;
        }
        let mut needed = kept.clone();
        let mut live = vec![false; graph.nodes().len()];
        let mut readers = vec![Vec::new(); count];
        for (index, node) in graph.nodes().iter().enumerate().rev() {
            live[index] = needed[roots[node.output.index()].index()];
            if live[index] && node.op != Op::Reshape {
                for input in &node.inputs {
                    let root = roots[input.index()].index();
                    needed[root] = true;
                    readers[root].push(index);
                }
            }
        }
        Self {
            graph,
            options,
            target,
            scratch: Issuer::default(),
            covered: vec![false; graph.nodes().len()],
            lowered: Lowered {
                tensors: graph.tensors().to_vec(),
                handles: graph.handles().to_vec(),
                roots,
                work: Vec::new(),
                gradients: Vec::new(),
                arena,
                choices: Vec::new(),
            },
            live,
            readers,
            kept,
        }
    }

    pub(super) fn root(&self, tensor: Tensor) -> Tensor {
        self.lowered.roots[tensor.index()]
    }

    /// Whether a live operation reads `root`.
    pub(super) fn is_read(&self, root: Tensor) -> bool {
        !self.readers[root.index()].is_empty()
    }

    pub(super) fn push(&mut self, launch: Launch, pass: Pass) {
        self.lowered.work.push(Work { launch, pass });
    }

    /// A tensor that only the plan knows of.
    pub(super) fn scratch(&mut self, name: &str, shape: impl Into<Shape>) -> Tensor {
        let tensor = self.scratch.handle(self.lowered.tensors.len());
        self.lowered.tensors.push(TensorInfo {
            name: name.into(),
            shape: shape.into(),
            dtype: DType::F32,
            role: Role::Computed,
        });
        self.lowered.handles.push(tensor);
        self.lowered.roots.push(tensor);
        tensor
    }

    /// Whether memory is read in integers of 64 bits where it can be.
    fn long(&self) -> bool {
        self.target.reads_words()
    }

    pub(super) fn shapes(&self) -> Shapes<'_> {
        Shapes(&self.lowered.tensors)
    }

    /// The node that alone reads `tensor`, if nobody else needs its value.
    fn sole_reader(&self, tensor: Tensor) -> Option<(usize, &'a Node)> {
        let root = self.root(tensor).index();
        match self.readers[root].as_slice() {
            &[reader] if self.options.fuse && !self.kept[root] && !self.covered[reader] => {
                Some((reader, &self.graph.nodes()[reader]))
            }
            _ => None,
        }
    }

    /// A live node, not yet lowered, that reads `tensor` and `fits`.
    fn companion(&self, tensor: Tensor, fits: impl Fn(&Node) -> bool) -> Option<(usize, &'a Node)> {
        if !self.options.fuse {
            return None;
        }
        let readers = self.readers[self.root(tensor).index()].iter();
        // Readers were noted from the last node to the first.
        readers
            .rev()
            .map(|&i| (i, &self.graph.nodes()[i]))
            .find(|(i, node)| !self.covered[*i] && fits(node))
    }

    fn node(&mut self, index: usize) {
        self.covered[index] = true;
        let node = &self.graph.nodes()[index];
        let (out, pass) = (node.output, node.pass);
        let launch = match (node.op, node.inputs.as_slice()) {
            (Op::MatMul(layout), &[a, b]) => return self.matmul(layout, a, b, out, pass),
            (Op::BiasAdd, &[x, bias]) => elementwise::bias_add(self.shapes(), x, bias, out),
            (Op::Binary(op), &[a, b]) => elementwise::binary(self.shapes(), op, a, b, out),
            (Op::Scale(factor), &[x]) => elementwise::scale(self.shapes(), factor, x, out),
            (Op::Unary(f), &[x]) => elementwise::unary(self.shapes(), f, x, out),
            (Op::UnaryGrad(f), &[saved, dy]) => {
                elementwise::unary_grad(self.shapes(), f, saved, dy, out)
            }
            (Op::Softmax { axis }, &[x]) => softmax::softmax(self.shapes(), axis, x, out),
            (Op::LogSoftmax { axis }, &[x]) => softmax::log_softmax(self.shapes(), axis, x, out),
            (Op::SoftmaxGrad { axis }, &[y, dy]) => {
                softmax::softmax_grad(self.shapes(), axis, y, dy, out)
            }
            (Op::LogSoftmaxGrad { axis }, &[y, dy]) => {
                softmax::log_softmax_grad(self.shapes(), axis, y, dy, out)
            }
            (Op::Reduce { reduction: Reduction::Sum, start: 0, end: 1 }, &[x])
                if self.weight_gradient(x) =>
            {
                // The product computes this sum beside its own; it comes later.
                self.covered[index] = false;
                return;
            }
            (Op::Reduce { reduction, start, end }, &[x]) => {
                reduce::reduce(self.shapes(), reduction, start, end, x, out)
            }
            (Op::Expand { start, end, scale }, &[x]) => {
                reduce::expand(self.shapes(), start, end, scale, x, out)
            }
            (Op::MaxGrad { start, end }, &[x, y, dy]) => {
                reduce::max_grad(self.shapes(), start, end, x, y, dy, out)
            }
            (Op::Gather, &[x, indices]) => rows::gather(self.shapes(), x, indices, out),
            (Op::GatherGrad, &[indices, dy]) => return self.gather_grad(indices, dy, out, pass),
            (Op::Batch, &[x, order]) => self.batch(x, order, out),
            (Op::Loss(kind), &[predictions, targets]) => {
                return self.loss(kind, predictions, targets, out);
            }
            (Op::LossGrad(kind), &[predictions, targets, upstream]) => {
                let items = loss::loss_items(self.shapes(), kind, predictions, self.long());
                loss::gradient(self.shapes(), kind, items, predictions, targets, upstream, out)
            }
            (Op::Count(count), &[predictions, targets]) => {
                let items = loss::count_items(self.shapes(), count, predictions, self.long());
                let make = |lowering: &Self, to, groups| {
                    let shapes = lowering.shapes();
                    loss::count(shapes, count, items, predictions, targets, to, groups)
                };
                return self.in_groups(out, items, pass, make);
            }
            // A reshaped tensor shares its operand's memory; any other mismatch of operation and
            // operands cannot be built.
            _ => return,
        };
        self.push(launch, pass);
    }

    fn matmul(&mut self, layout: Layout, a: Tensor, b: Tensor, out: Tensor, pass: Pass) {
        let mut out = out;
        let mut epilogue = Epilogue::None;
        if let Some((reader, node)) = self.sole_reader(out) {
            match (node.op, node.inputs.as_slice()) {
                (Op::BiasAdd, &[x, bias]) if x == out && bias != out => {
                    epilogue = Epilogue::Bias(bias, None);
                    out = self.absorb(reader, node);
                    if let Some((reader, node)) = self.sole_reader(out)
                        && let (Op::Unary(f), &[x]) = (node.op, node.inputs.as_slice())
                        && x == out
                    {
                        epilogue = Epilogue::Bias(bias, Some(f));
                        out = self.absorb(reader, node);
                    }
                }
                (Op::Unary(f), &[x]) if x == out => {
                    epilogue = Epilogue::Activation(f);
                    out = self.absorb(reader, node);
                }
                (Op::UnaryGrad(f), &[saved, dy]) if dy == out && saved != out => {
                    epilogue = Epilogue::Mask(f, saved);
                    out = self.absorb(reader, node);
                }
                _ => {}
            }
        }
        let column_sums = match layout {
            Layout::TN => self.column_sums_of(b),
            _ => None,
        };
        let product = Product { layout, a, b, out, epilogue, column_sums };
        let [m, n, k] = matmul::sizes(self.shapes(), layout, a, b);
        let choice = choose::product(self.target, [m, n, k]);
        if !self.lowered.choices.contains(&choice) {
            self.lowered.choices.push(choice);
        }
        let Choice { tiling, parts, .. } = choice;
        if parts == 1 {
            let launch = matmul::matmul(self.shapes(), tiling, product);
            return self.push(launch, pass);
        }
        let products = self.scratch("parts of a product", [parts, m, n]);
        let sums = column_sums.map(|_| self.scratch("parts of column sums", [parts, n]));
        let shapes = self.shapes();
        for launch in matmul::matmul_in_parts(shapes, tiling, product, parts, products, sums) {
            self.push(launch, pass);
        }
    }

    fn gather_grad(&mut self, indices: Tensor, dy: Tensor, out: Tensor, pass: Pass) {
        let parts = rows::gather_grad_parts(self.shapes(), indices);
        if parts == 1 {
            let launch = rows::gather_grad(self.shapes(), indices, dy, out, out, 1);
            return self.push(launch, pass);
        }
        let elements = self.shapes().of(out).elements();
        let scratch = self.scratch("parts of a gradient", [parts, elements]);
        let first = rows::gather_grad(self.shapes(), indices, dy, out, scratch, parts);
        self.push(first, pass);
        let launch = reduce::reduce(self.shapes(), Reduction::Sum, 0, 1, scratch, out);
        self.push(launch, pass);
    }

    /// The sum of the rows of `b`, if something wants it: the bias's gradient.
    fn column_sums_of(&mut self, b: Tensor) -> Option<Tensor> {
        let sum_rows = Op::Reduce { reduction: Reduction::Sum, start: 0, end: 1 };
        let (reader, node) = self.companion(b, |node| node.op == sum_rows && node.inputs == [b])?;
        Some(self.absorb(reader, node))
    }

    /// Whether a weight gradient `Aᵀ·dy` is still to be lowered.
    fn weight_gradient(&self, dy: Tensor) -> bool {
        let product = Op::MatMul(Layout::TN);
        self.companion(dy, |node| node.op == product && node.inputs.get(1) == Some(&dy)).is_some()
    }

    /// Marks a node as fused and returns its output.
    fn absorb(&mut self, index: usize, node: &Node) -> Tensor {
        self.covered[index] = true;
        node.output
    }

    fn batch(&mut self, x: Tensor, order: Tensor, out: Tensor) -> Launch {
        let long = self.long();
        let rows = self.shapes().of(out).dims().first().copied();
        let same_rows = |node: &Node| {
            node.op == Op::Batch
                && node.inputs.get(1) == Some(&order)
                && self.shapes().of(node.output).dims().first().copied() == rows
        };
        match self.companion(order, same_rows) {
            Some((index, node))
                if node.inputs.first().is_some_and(|&t| self.root(t) != self.root(x)) =>
            {
                let other = node.inputs.first().copied().unwrap_or(x);
                let other_out = self.absorb(index, node);
                rows::batch_pair(self.shapes(), x, out, other, other_out, order, long)
            }
            _ => rows::batch(self.shapes(), x, order, out, long),
        }
    }

    fn loss(&mut self, kind: Loss, predictions: Tensor, targets: Tensor, out: Tensor) {
        let items = loss::loss_items(self.shapes(), kind, predictions, self.long());
        let gradient = self.companion(predictions, |node| {
            node.op == Op::LossGrad(kind)
                && node.inputs.get(..2) == Some(&[predictions, targets])
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
                    shapes,
                    kind,
                    items,
                    predictions,
                    targets,
                    upstream,
                    gradient,
                    to,
                    groups,
                )
            }
            None => loss::value(lowering.shapes(), kind, items, predictions, targets, to, groups),
        };
        self.in_groups(out, items, Pass::Forward, make);
    }

    fn constant(&self, tensor: Tensor) -> Option<f32> {
        match self.graph.known(tensor).role {
            Role::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// A sum over a batch: in one dispatch where one workgroup will do, else partial sums first.
    fn in_groups(
        &mut self,
        out: Tensor,
        items: Items,
        pass: Pass,
        make: impl Fn(&Self, Destination, usize) -> Launch,
    ) {
        let groups = loss::partials(items.count, items.elements);
        let to = self.destination(out);
        if groups == 1 {
            let launch = make(self, to, 1);
            return self.push(launch, pass);
        }
        let partials = self.scratch("partial sums", [groups]);
        let first = make(self, Destination::tensor(partials), groups);
        self.push(first, pass);
        self.push(loss::sum_partials(partials, groups, to), pass);
    }

    /// Where a scalar is written: to the results table if only the host and the update read it.
    pub(super) fn destination(&self, scalar: Tensor) -> Destination {
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
    fn emit_results(&mut self) {
        for (column, &scalar) in self.options.results.iter().enumerate() {
            if self.destination(scalar).operand == Operand::Results {
                continue;
            }
            let stride = word(self.options.results.len());
            let to = Destination { operand: Operand::Results, stride, column: word(column) };
            let launch = loss::emit(scalar, to);
            self.push(launch, Pass::Forward);
        }
    }
}
