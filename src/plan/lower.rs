//! From nodes to dispatches, fusing where that saves one.
//!
//! | nodes | one dispatch |
//! | --- | --- |
//! | matmul, bias-add, activation | product with the bias and activation in its epilogue |
//! | matmul, gradient of the activation below | product with the activation's mask in its epilogue |
//! | matmul, bias-add, arg-max of few columns | product that keeps the place of each row's largest value alone, and a look whether NaN left a row without |
//! | weight gradient `Aᵀ·B` and the column sum of `B` | product that writes the bias gradient too |
//! | two weight gradients of the same sizes, on GPUs | one dispatch: even workgroups compute the first, odd ones the second |
//! | loss and its gradient | one pass over the predictions |
//! | two batches drawn in the same order | one dispatch copies both |
//! | weight gradients in parts, or a loss in few, and the update | the update adds the parts up where it reads them |
//!
//! A value that is read once is fused into its reader; a value that others read too is stored.

use super::within::Within;
use super::{ArenaLayout, PlanOptions, PlanScope, Target, TilingChoice, launch_limits};
use crate::Error;
use crate::graph::{
    Custom, DType, Graph, Issuer, Node, Op, Pass, Reduction, Role, Shape, Tensor, TensorInfo,
};
use crate::kernel::loss::Compared;
use crate::kernel::{
    Launch, Operand, Shapes, Turns, arrays, elementwise, loss, reduce, rows, softmax,
};

mod half;
mod products;
mod sums;
mod two;

/// The gradient of a bias, as a node.
const SUM_OF_ROWS: Op = Op::Reduce { reduction: Reduction::Sum, start: 0, end: 1 };

/// A dispatch that has no place in the order yet.
pub(super) struct Work {
    pub(super) launch: Launch,
    pub(super) pass: Pass,
    /// Steps that the parameters which it updates missed.
    pub(super) missed: u64,
}

/// A gradient that a product left in parts, for the update to join.
pub(super) struct LeftInParts {
    /// The number of the parameter.
    pub(super) parameter: usize,
    /// How many parts.
    pub(super) count: usize,
    /// All of them.
    pub(super) parts: Tensor,
    /// Where they begin among those of all gradients, in bytes.
    pub(super) offset: u64,
}

/// A lowered graph.
pub(super) struct Lowered {
    /// The graph's tensors, then scratch.
    pub(super) tensors: Vec<TensorInfo>,
    /// The handle of each.
    pub(super) handles: Vec<Tensor>,
    /// For each tensor, the one whose memory it shares (itself unless it is reshaped).
    pub(super) roots: Vec<Tensor>,
    /// Scratch tensors that lie in another, and at which byte of it.
    pub(super) within: Within,
    pub(super) work: Vec<Work>,
    /// For each trained parameter, the tensor that is its gradient.
    pub(super) gradients: Vec<(usize, Tensor)>,
    /// For each parameter of which a dispatch reads the copy in 16 bits, the tensor that is the copy.
    pub(super) copies: Vec<(usize, Tensor)>,
    pub(super) arena: ArenaLayout,
    /// The different choices for matrix products.
    pub(super) choices: Vec<TilingChoice>,
}

/// Everything of `graph` but its update pass.
pub(super) fn lower<'a>(
    graph: &'a Graph,
    options: &'a PlanOptions,
    arena: ArenaLayout,
    target: &'a Target,
) -> Result<Lowering<'a>, Error> {
    let mut lowering = Lowering::new(graph, options, arena, target);
    let computes = options.portion != PlanScope::Update;
    for index in 0..graph.nodes().len() {
        if computes && lowering.live[index] && !lowering.covered[index] {
            lowering.node(index)?;
        }
    }
    if computes {
        lowering.emit_results();
    }
    Ok(lowering)
}

/// The operands of a node, of which its operation has `N`.
#[track_caller]
fn operands<const N: usize>(node: &Node) -> Result<[Tensor; N], Error> {
    let found = node.inputs.as_slice();
    found
        .try_into()
        .map_err(|_| Error::bug(format!("{} has {} operands, not {N}", node.op, found.len())))
}

/// The first operands of a node, and one more if it has one.
fn split<const N: usize>(node: &Node) -> Result<(&[Tensor; N], Option<Tensor>), Error> {
    match node.inputs.split_first_chunk() {
        Some((first, [])) => Ok((first, None)),
        Some((first, &[last])) => Ok((first, Some(last))),
        _ => Err(Error::bug(format!("{} has {} operands", node.op, node.inputs.len()))),
    }
}

pub(super) struct Lowering<'a> {
    pub(super) graph: &'a Graph,
    pub(super) options: &'a PlanOptions,
    pub(super) lowered: Lowered,
    pub(super) target: &'a Target,
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
    /// Gradients that the update joins.
    pub(super) left_in_parts: Vec<LeftInParts>,
    /// The partial sums of the loss, and their number, if the update adds them up.
    pub(super) loss_in_parts: Option<(Tensor, usize)>,
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
        let assigned = graph.assignments().iter().map(|&(_, value)| value);
        for tensor in wanted.chain(trained).chain(losses).chain(assigned) {
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
                within: Within::default(),
                work: Vec::new(),
                gradients: Vec::new(),
                copies: Vec::new(),
                arena,
                choices: Vec::new(),
            },
            live,
            readers,
            kept,
            left_in_parts: Vec::new(),
            loss_in_parts: None,
        }
    }

    /// What is changed when all work is known.
    ///
    /// # Errors
    /// [`Error::Bug`] if something cannot be stored as it should.
    pub(super) fn finish(mut self) -> Result<Lowered, Error> {
        self.run_two_together();
        if let Some(loss_scale) = self.options.precision.loss_scale() {
            self.store_half(loss_scale)?;
        }
        Ok(self.lowered)
    }

    pub(super) fn root(&self, tensor: Tensor) -> Tensor {
        self.lowered.roots[tensor.index()]
    }

    /// Whether a live operation reads `root`.
    pub(super) fn is_read(&self, root: Tensor) -> bool {
        !self.readers[root.index()].is_empty()
    }

    pub(super) fn push(&mut self, launch: Launch, pass: Pass) {
        self.lowered.work.push(Work { launch, pass, missed: 0 });
    }

    /// An update of parameters that missed so many steps.
    pub(super) fn push_update(&mut self, launch: Launch, missed: u64) {
        self.lowered.work.push(Work { launch, pass: Pass::Update, missed });
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

    /// Lowers a node. Every operation stands here, so that none can be left out.
    fn node(&mut self, index: usize) -> Result<(), Error> {
        self.covered[index] = true;
        let node = &self.graph.nodes()[index];
        let (out, pass) = (node.output, node.pass);
        let launch = match node.op {
            // It shares its operand's memory.
            Op::Reshape => return Ok(()),
            Op::MatMul(layout) => {
                let [a, b] = operands(node)?;
                self.matmul(layout, a, b, out, pass);
                return Ok(());
            }
            Op::BiasAdd => {
                let [x, bias] = operands(node)?;
                elementwise::bias_add(self.shapes(), x, bias, out)
            }
            Op::Binary(op) => {
                let [a, b] = operands(node)?;
                elementwise::binary(self.shapes(), op, a, b, out)
            }
            Op::Select => {
                let [mask, a, b] = operands(node)?;
                elementwise::select(self.shapes(), mask, [a, b], out)
            }
            Op::Scale(factor) => {
                let [x] = operands(node)?;
                elementwise::scale(self.shapes(), factor, x, out)
            }
            Op::Dropout { rate, seed } => {
                let [x] = operands(node)?;
                elementwise::dropout(self.shapes(), rate, seed, x, out)
            }
            Op::Unary(f) => {
                let [x] = operands(node)?;
                elementwise::unary(self.shapes(), f, x, out)
            }
            Op::UnaryGrad(f) => {
                let [saved, dy] = operands(node)?;
                elementwise::unary_grad(self.shapes(), f, saved, dy, out)
            }
            Op::Softmax { axis } => {
                let [x] = operands(node)?;
                softmax::softmax(self.shapes(), axis, x, out)
            }
            Op::LogSoftmax { axis } => {
                let [x] = operands(node)?;
                softmax::log_softmax(self.shapes(), axis, x, out)
            }
            Op::SoftmaxGrad { axis } => {
                let [y, dy] = operands(node)?;
                softmax::softmax_grad(self.shapes(), axis, y, dy, out)
            }
            Op::LogSoftmaxGrad { axis } => {
                let [y, dy] = operands(node)?;
                softmax::log_softmax_grad(self.shapes(), axis, y, dy, out)
            }
            Op::Reduce { reduction, start, end } => {
                let [x] = operands(node)?;
                if node.op == SUM_OF_ROWS && self.weight_gradient(x) {
                    // The product computes this sum beside its own; it comes later.
                    self.covered[index] = false;
                } else {
                    self.reduce(reduction, start, end, x, out, pass);
                }
                return Ok(());
            }
            Op::Expand { start, end, scale } => {
                let [x] = operands(node)?;
                reduce::expand(self.shapes(), start, end, scale, x, out)
            }
            Op::MaxGrad { start, end } => {
                let [x, y, dy] = operands(node)?;
                reduce::max_grad(self.shapes(), start, end, x, y, dy, out)
            }
            Op::Gather => {
                let [x, indices] = operands(node)?;
                rows::gather(self.shapes(), x, indices, out)
            }
            Op::GatherGrad => {
                let [indices, dy] = operands(node)?;
                self.gather_grad(indices, dy, out, pass);
                return Ok(());
            }
            Op::Batch => {
                let [x, order] = operands(node)?;
                self.batch(x, order, out)
            }
            Op::ArgMax | Op::ArgMin => {
                let [x] = operands(node)?;
                arrays::extreme(self.shapes(), node.op == Op::ArgMin, x, out)
            }
            Op::SegmentSum { segments, run } => {
                let [x, labels] = operands(node)?;
                rows::segment_sum(self.shapes(), segments, run, x, labels, out)
            }
            Op::Slice { axis, start } => {
                let [x] = operands(node)?;
                arrays::slice(self.shapes(), axis, start, x, out)
            }
            Op::Concat { axis } => {
                self.concat(axis, &node.inputs, out, pass);
                return Ok(());
            }
            Op::Transpose => {
                let [x] = operands(node)?;
                arrays::transpose(self.shapes(), x, out)
            }
            Op::Loss(kind) => {
                let (&[predictions, targets], weights) = split(node)?;
                self.loss(kind, Compared { predictions, targets, weights }, out, pass);
                return Ok(());
            }
            Op::LossGrad(kind) => {
                let (&[predictions, targets, upstream], weights) = split(node)?;
                let items = loss::loss_items(self.shapes(), kind, predictions, self.long());
                let compared = Compared { predictions, targets, weights };
                loss::gradient(self.shapes(), kind, items, compared, upstream, out)
            }
            Op::Count(count) => {
                let [predictions, targets] = operands(node)?;
                self.count(count, predictions, targets, out, pass);
                return Ok(());
            }
            Op::Custom(number) => {
                let Custom { operation, kernel, checked } = self.graph.custom(number)?;
                let tensors = node.inputs.iter().chain([&out]);
                let operands = checked.bound.iter().zip(tensors);
                Launch {
                    name: operation.name().into(),
                    parts: checked.parts.to_vec(),
                    constants: Vec::new(),
                    dims: kernel.dims.clone(),
                    operands: operands.map(|(&name, &t)| (name, Operand::Tensor(t))).collect(),
                    workgroups: kernel.workgroups,
                    turns: Turns::of_loop(kernel.loop_turns, Turns::NONE),
                    multiply_adds: 0,
                }
            }
        };
        self.push(launch, pass);
        Ok(())
    }

    /// A dispatch for each of what is joined, into a place of its own.
    fn concat(&mut self, axis: usize, parts: &[Tensor], out: Tensor, pass: Pass) {
        let mut start = 0;
        for &part in parts {
            let launch = arrays::place(self.shapes(), axis, start, part, out);
            start += self.shapes().of(part).dims().get(axis).copied().unwrap_or(1);
            self.push(launch, pass);
        }
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
        if let Some((index, node)) = self.companion(order, same_rows)
            && let Some(&other) = node.inputs.first()
            && self.root(other) != self.root(x)
        {
            let shapes = self.shapes();
            let pair = rows::batch_pair(shapes, x, out, other, node.output, order, long);
            // It binds more buffers than the two alone.
            if launch_limits::check(&pair, self.target).is_ok() {
                self.absorb(index, node);
                return pair;
            }
        }
        rows::batch(self.shapes(), x, order, out, long)
    }
}
