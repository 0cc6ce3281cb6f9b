//! Graphs in which each differentiable operation stands in the middle: something is computed before
//! it, so that its operands are not the tensors that the gradient is asked for, and something after
//! it, so that the gradient that comes back to it differs from element to element.

use wgrad::Error;
use wgrad::graph::{Binary, Graph, Layout, Loss, Reduction, Shape, Tensor, Unary};

use super::random::Random;
use super::twin::{Value, Values};

/// A forward graph that ends in a scalar.
pub struct Case {
    pub name: String,
    pub graph: Graph,
    /// The scalar.
    pub of: Tensor,
    /// What to differentiate by: inputs, parameters and values in between.
    pub wrt: Vec<Tensor>,
    /// What inputs and parameters hold.
    pub values: Values,
}

/// A graph under construction, with its values.
pub struct Net {
    pub graph: Graph,
    pub values: Values,
    pub wrt: Vec<Tensor>,
    pub random: Random,
}

impl Net {
    pub fn new(seed: u64) -> Self {
        Net {
            graph: Graph::new(),
            values: Values::new(),
            wrt: Vec::new(),
            random: Random::new(seed),
        }
    }

    pub fn set(&mut self, tensor: Tensor, values: &[f32]) {
        assert_eq!(values.len(), self.graph.shape(tensor).unwrap().elements());
        self.values.insert(tensor, Value::exact(values));
    }

    /// An input with the given values.
    pub fn holding(&mut self, shape: impl Into<Shape>, values: &[f32]) -> Tensor {
        let name = format!("x{}", self.graph.tensors().len());
        let tensor = self.graph.input(&name, shape).expect("a valid shape");
        self.set(tensor, values);
        tensor
    }

    /// An input with random values that are not near 0.
    pub fn input(&mut self, shape: impl Into<Shape>) -> Tensor {
        self.drawn(shape, Random::off_zero)
    }

    pub fn drawn(
        &mut self,
        shape: impl Into<Shape>,
        draw: impl FnMut(&mut Random) -> f32,
    ) -> Tensor {
        let shape = shape.into();
        let values = self.random.many(shape.elements(), draw);
        self.holding(shape, &values)
    }

    pub fn parameter(&mut self, shape: impl Into<Shape>) -> Tensor {
        let name = format!("w{}", self.graph.tensors().len());
        let tensor = self.graph.parameter(&name, shape).expect("a valid shape");
        let elements = self.graph.shape(tensor).unwrap().elements();
        let values = self.random.many(elements, Random::off_zero);
        self.set(tensor, &values);
        tensor
    }

    pub fn indices(&mut self, shape: impl Into<Shape>, values: &[u32]) -> Tensor {
        let name = format!("i{}", self.graph.tensors().len());
        let tensor = self.graph.index_input(&name, shape).expect("a valid shape");
        assert_eq!(values.len(), self.graph.shape(tensor).unwrap().elements());
        self.values.insert(tensor, Value::U(values.to_vec()));
        tensor
    }

    /// An operand: `0.75·x·w`. Gradients are asked for `x`, `w` and the operand.
    pub fn before(&mut self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let (x, w) = (self.input(shape.clone()), self.parameter(shape));
        let product = self.graph.mul(x, w).expect("equal shapes");
        let y = self.graph.scale(product, 0.75).expect("floats");
        self.wrt.extend([x, w, y]);
        y
    }

    /// A positive operand.
    pub fn positive_before(&mut self, shape: impl Into<Shape>) -> Tensor {
        let y = self.before(shape);
        self.graph.unary(Unary::Exp, y).expect("floats")
    }

    /// `Σ y·w`, `w` random.
    pub fn weighted_sum(&mut self, y: Tensor) -> Tensor {
        let shape = self.graph.shape(y).unwrap().clone();
        let rank = shape.rank();
        let w = self.input(shape);
        let product = self.graph.mul(y, w).expect("equal shapes");
        if rank == 0 {
            return product;
        }
        self.graph.reduce(Reduction::Sum, product, 0, rank).expect("all axes")
    }

    /// Ends the graph with a weighted sum of `y`.
    pub fn after(mut self, name: impl Into<String>, y: Tensor) -> Case {
        let of = self.weighted_sum(y);
        self.end(name, of)
    }

    /// Ends the graph with the scalar `of`.
    pub fn end(self, name: impl Into<String>, of: Tensor) -> Case {
        let Net { graph, values, wrt, .. } = self;
        Case { name: name.into(), graph, of, wrt, values }
    }
}

/// Those that have a gradient.
pub const BINARY: [Binary; 6] =
    [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Minimum, Binary::Maximum];

pub const LAYOUTS: [Layout; 3] = [Layout::NN, Layout::NT, Layout::TN];

pub const REDUCTIONS: [Reduction; 3] = [Reduction::Sum, Reduction::Mean, Reduction::Max];

/// Losses whose targets are floats.
pub const LOSSES: [Loss; 5] = [
    Loss::MeanSquaredError,
    Loss::MeanAbsoluteError,
    Loss::Huber { delta: 0.75 },
    Loss::SoftmaxCrossEntropyProbabilities,
    Loss::BinaryCrossEntropy,
];

/// The shapes of `(m×k)·(k×n)` as the layout stores its operands.
pub fn matmul_shapes(layout: Layout, m: usize, k: usize, n: usize) -> ([usize; 2], [usize; 2]) {
    match layout {
        Layout::NN => ([m, k], [k, n]),
        Layout::NT => ([m, k], [n, k]),
        Layout::TN => ([k, m], [k, n]),
    }
}

/// All neighbouring axes of a tensor of `rank`.
pub fn axis_ranges(rank: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rank).flat_map(move |start| (start + 1..=rank).map(move |end| (start, end)))
}

/// Targets that sum to one along the last axis.
pub fn probabilities(random: &mut Random, rows: usize, classes: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for _ in 0..rows {
        let row = random.many(classes, |r| r.uniform(0.05, 1.0));
        let sum: f32 = row.iter().sum();
        all.extend(row.into_iter().map(|x| x / sum));
    }
    all
}

/// Every case.
pub fn all() -> Vec<Case> {
    type Group = fn(&mut Vec<Case>) -> Result<(), Error>;
    let groups: [Group; 12] = [
        elementwise,
        broadcasting,
        matmuls,
        reuse,
        softmaxes,
        reductions,
        rows_and_shapes,
        losses,
        weighted_losses,
        networks,
        super::cases_arrays::arrays,
        super::cases_layers::layers,
    ];
    let mut cases = Vec::new();
    for group in groups {
        group(&mut cases).expect("the cases are valid graphs");
    }
    cases
}

fn elementwise(cases: &mut Vec<Case>) -> Result<(), Error> {
    for (seed, function) in Unary::ALL.iter().copied().enumerate() {
        let mut net = Net::new(100 + seed as u64);
        let x = match function {
            Unary::Log | Unary::Sqrt | Unary::Reciprocal => net.positive_before([3, 5]),
            _ => net.before([3, 5]),
        };
        let y = net.graph.unary(function, x)?;
        net.wrt.push(y);
        cases.push(net.after(function.name(), y));
    }
    let mut net = Net::new(150);
    let x = net.before([2, 3]);
    let y = net.graph.scale(x, -2.5)?;
    cases.push(net.after("scale", y));
    for (seed, shape) in [&[7][..], &[1, 9], &[4, 6], &[2, 3, 5]].into_iter().enumerate() {
        let mut net = Net::new(160 + seed as u64);
        let x = net.before(shape);
        let y = net.graph.dropout(x, 0.375, u64::MAX - seed as u64)?;
        net.wrt.push(y);
        cases.push(net.after(format!("dropout {shape:?}"), y));
    }
    Ok(())
}

fn broadcasting(cases: &mut Vec<Case>) -> Result<(), Error> {
    let shapes: [(&[usize], &[usize]); 13] = [
        (&[3, 5], &[3, 5]),
        (&[3, 5], &[3, 1]),
        (&[2, 3, 4], &[2, 3, 1]),
        (&[3, 5], &[5]),
        (&[2, 3, 4], &[4]),
        (&[3, 5], &[]),
        (&[3, 5], &[1]),
        (&[3, 5], &[1, 1]),
        (&[5], &[5]),
        (&[5, 1], &[1]),
        (&[], &[]),
        (&[], &[1]),
        (&[1], &[]),
    ];
    for (seed, (of_a, of_b)) in shapes.into_iter().enumerate() {
        for binary in BINARY {
            let mut net = Net::new(200 + seed as u64);
            let (a, b) = (net.before(of_a), net.before(of_b));
            let mut y = net.graph.binary(binary, a, b)?;
            if matches!(binary, Binary::Minimum | Binary::Maximum) {
                // One operand may be chosen everywhere; the other is to have a gradient, too.
                let product = net.graph.mul(a, b)?;
                y = net.graph.add(y, product)?;
            }
            cases.push(net.after(format!("{binary:?} {of_a:?} {of_b:?}"), y));
        }
    }
    for (seed, of_x) in [&[3, 4][..], &[2, 3, 4], &[4]].into_iter().enumerate() {
        let mut net = Net::new(250 + seed as u64);
        let (x, bias) = (net.before(of_x), net.before([4]));
        let y = net.graph.bias_add(x, bias)?;
        cases.push(net.after(format!("bias_add {of_x:?}"), y));
    }
    Ok(())
}

fn matmuls(cases: &mut Vec<Case>) -> Result<(), Error> {
    for layout in LAYOUTS {
        for (m, k, n) in [(3, 4, 5), (1, 7, 2), (4, 1, 3), (5, 3, 1), (1, 1, 1)] {
            let mut net = Net::new(300 + (m * k * n) as u64);
            let (of_a, of_b) = matmul_shapes(layout, m, k, n);
            let (a, b) = (net.before(of_a), net.before(of_b));
            let y = net.graph.matmul_layout(layout, a, b)?;
            cases.push(net.after(format!("matmul {layout:?} {m} {k} {n}"), y));
        }
        // Both operands are the same tensor.
        let mut net = Net::new(350);
        let x = net.before([4, 4]);
        let y = net.graph.matmul_layout(layout, x, x)?;
        cases.push(net.after(format!("matmul {layout:?} of a tensor with itself"), y));
    }
    Ok(())
}

fn reuse(cases: &mut Vec<Case>) -> Result<(), Error> {
    // Of the smaller and the larger one the twin would not know that both are one, and be unsure which it is.
    for &binary in &BINARY[..4] {
        let mut net = Net::new(400);
        let x = net.before([2, 3]);
        let tanh = net.graph.unary(Unary::Tanh, x)?;
        let y = net.graph.binary(binary, x, x)?;
        let y = net.graph.add(y, tanh)?;
        cases.push(net.after(format!("{binary:?} of a tensor with itself"), y));
    }
    // Three uses, each behind another operation, and one of them twice.
    let mut net = Net::new(410);
    let x = net.before([3, 4]);
    let (sigmoid, square) =
        (net.graph.unary(Unary::Sigmoid, x)?, net.graph.unary(Unary::Square, x)?);
    let mean = net.graph.mean(x, 0)?;
    let product = net.graph.mul(sigmoid, square)?;
    let y = net.graph.sub(product, mean)?;
    let y = net.graph.mul(y, sigmoid)?;
    net.wrt.extend([sigmoid, mean]);
    cases.push(net.after("three uses", y));

    // A residual connection around a layer.
    let mut net = Net::new(420);
    let (x, w) = (net.before([3, 4]), net.before([4, 4]));
    let y = net.graph.matmul(x, w)?;
    let y = net.graph.unary(Unary::Tanh, y)?;
    let y = net.graph.add(y, x)?;
    let y = net.graph.matmul(y, w)?;
    cases.push(net.after("residual, shared weights", y));

    // The scalar is used twice, and is one of the tensors differentiated by.
    let mut net = Net::new(430);
    let x = net.before([3]);
    let sum = net.weighted_sum(x);
    let y = net.graph.mul(sum, sum)?;
    net.wrt.extend([sum, y]);
    cases.push(net.end("square of a sum", y));
    Ok(())
}

fn softmaxes(cases: &mut Vec<Case>) -> Result<(), Error> {
    let shapes: [&[usize]; 4] = [&[3, 4, 5], &[2, 7], &[6], &[3, 1]];
    for shape in shapes {
        for axis in 0..shape.len() {
            for log in [false, true] {
                let mut net = Net::new(500 + axis as u64);
                let x = net.before(shape);
                let y = match log {
                    false => net.graph.softmax(x, axis)?,
                    true => net.graph.log_softmax(x, axis)?,
                };
                let name = if log { "log_softmax" } else { "softmax" };
                if shape != [3, 1] || axis == 0 {
                    cases.push(net.after(format!("{name} {shape:?} axis {axis}"), y));
                }
            }
        }
    }
    Ok(())
}

fn reductions(cases: &mut Vec<Case>) -> Result<(), Error> {
    let shapes: [&[usize]; 4] = [&[3, 4, 5], &[7], &[2, 3, 2, 2], &[1, 3, 1]];
    for shape in shapes {
        for (start, end) in axis_ranges(shape.len()) {
            for reduction in REDUCTIONS {
                let mut net = Net::new(600 + (10 * start + end) as u64);
                let x = net.before(shape);
                let y = net.graph.reduce(reduction, x, start, end)?;
                net.wrt.push(y);
                cases.push(net.after(format!("{reduction:?} {shape:?} axes {start}..{end}"), y));
            }
            for scale in [1.0, -0.5] {
                let mut net = Net::new(650 + (10 * start + end) as u64);
                let x = net.before(Shape::from(shape).without(start, end));
                let y = net.graph.expand(x, shape, start, end, scale)?;
                cases.push(net.after(format!("expand {shape:?} axes {start}..{end} · {scale}"), y));
            }
        }
    }
    Ok(())
}

fn rows_and_shapes(cases: &mut Vec<Case>) -> Result<(), Error> {
    let tables: [&[usize]; 4] = [&[5, 3], &[4, 2, 3], &[6], &[1, 4]];
    for (seed, table) in tables.into_iter().enumerate() {
        let mut net = Net::new(700 + seed as u64);
        let x = net.before(table);
        // Repeated rows, rows out of order, and rows that nobody gathers.
        let indices: Vec<u32> = [3, 0, 3, 1, 3, 0, 1].map(|row| row % table[0] as u32).to_vec();
        let indices = net.indices([7], &indices);
        let y = net.graph.gather(x, indices)?;
        cases.push(net.after(format!("gather {table:?}"), y));
    }
    let shapes: [(&[usize], &[usize]); 4] =
        [(&[3, 4], &[2, 6]), (&[2, 3, 2], &[12]), (&[1], &[]), (&[4], &[2, 1, 2])];
    for (seed, (from, to)) in shapes.into_iter().enumerate() {
        let mut net = Net::new(750 + seed as u64);
        let x = net.before(from);
        let y = net.graph.reshape(x, to)?;
        let y = net.graph.unary(Unary::Square, y)?;
        cases.push(net.after(format!("reshape {from:?} to {to:?}"), y));
    }
    Ok(())
}

fn losses(cases: &mut Vec<Case>) -> Result<(), Error> {
    let shapes: [&[usize]; 4] = [&[3, 4], &[2, 3, 4], &[5], &[4, 1]];
    for shape in shapes {
        let (elements, classes) = (shape.iter().product::<usize>(), shape[shape.len() - 1]);
        let rows = elements / classes;
        for (seed, loss) in LOSSES.into_iter().enumerate() {
            if classes == 1 && loss == Loss::SoftmaxCrossEntropyProbabilities {
                continue; // its gradient is 0 everywhere
            }
            let mut net = Net::new(800 + seed as u64);
            let predictions = net.before(shape);
            let targets = match loss {
                Loss::SoftmaxCrossEntropyProbabilities => {
                    let targets = probabilities(&mut net.random, rows, classes);
                    net.holding(shape, &targets)
                }
                Loss::BinaryCrossEntropy => net.drawn(shape, Random::unit),
                // These can be differentiated by the targets, too.
                _ => net.before(shape),
            };
            let y = net.graph.loss(loss, predictions, targets)?;
            cases.push(mid_graph(net, format!("{} {shape:?}", loss.name()), y, predictions)?);
        }
        if classes > 1 {
            let mut net = Net::new(850);
            let logits = net.before(shape);
            let labels: Vec<u32> = (0..rows).map(|row| ((row * 2 + 3) % classes) as u32).collect();
            let labels = net.indices(&shape[..shape.len() - 1], &labels);
            let y = net.graph.loss(Loss::SoftmaxCrossEntropy, logits, labels)?;
            let name = format!("softmax_cross_entropy {shape:?}");
            cases.push(mid_graph(net, name, y, logits)?);
        }
    }
    Ok(())
}

/// Losses of rows of which each counts as often as its weight says.
fn weighted_losses(cases: &mut Vec<Case>) -> Result<(), Error> {
    for (seed, loss) in LOSSES.into_iter().chain([Loss::SoftmaxCrossEntropy]).enumerate() {
        let mut net = Net::new(870 + seed as u64);
        let predictions = net.before([4, 3]);
        let targets = match loss {
            Loss::SoftmaxCrossEntropy => net.indices([4], &[2, 0, 1, 2]),
            _ => {
                let targets = probabilities(&mut net.random, 4, 3);
                net.holding([4, 3], &targets)
            }
        };
        let weights = net.holding([4], &[0.5, 2.25, 0.0, 1.0]);
        let y = net.graph.weighted_loss(loss, predictions, targets, weights)?;
        cases.push(mid_graph(net, format!("weighted {}", loss.name()), y, predictions)?);
    }
    Ok(())
}

/// The loss times a number, plus another loss of the same predictions: no upstream gradient is 1.
fn mid_graph(mut net: Net, name: String, loss: Tensor, predictions: Tensor) -> Result<Case, Error> {
    let weighted = net.graph.scale(loss, -1.75)?;
    let squares = net.graph.unary(Unary::Square, predictions)?;
    let penalty = net.weighted_sum(squares);
    let total = net.graph.add(weighted, penalty)?;
    net.wrt.push(loss);
    let total = net.graph.mul(total, loss)?;
    Ok(net.end(name, total))
}

fn networks(cases: &mut Vec<Case>) -> Result<(), Error> {
    let mut net = Net::new(901);
    let x = net.before([6, 5]);
    let mut h = x;
    for (from, to, function) in [(5, 7, Unary::Relu), (7, 4, Unary::Tanh), (4, 3, Unary::Sigmoid)] {
        let (w, b) = (net.parameter([from, to]), net.parameter([to]));
        net.wrt.extend([w, b]);
        let y = net.graph.matmul(h, w)?;
        let y = net.graph.bias_add(y, b)?;
        h = net.graph.unary(function, y)?;
    }
    let labels = net.indices([6], &[0, 2, 1, 1, 2, 0]);
    let loss = net.graph.loss(Loss::SoftmaxCrossEntropy, h, labels)?;
    let loss = net.graph.scale(loss, 3.0)?;
    cases.push(net.end("multi-layer perceptron", loss));

    // softmax(q·kᵀ/√d)·v, as in attention.
    let mut net = Net::new(910);
    let (q, k, v) = (net.before([4, 3]), net.before([5, 3]), net.before([5, 6]));
    let scores = net.graph.matmul_layout(Layout::NT, q, k)?;
    let scores = net.graph.scale(scores, 0.577)?;
    let weights = net.graph.softmax(scores, 1)?;
    let y = net.graph.matmul(weights, v)?;
    cases.push(net.after("attention", y));

    // (x - mean)/√(var + ε), as in batch normalisation; every step broadcasts a row.
    let mut net = Net::new(920);
    let (x, gain, shift) = (net.before([6, 4]), net.before([4]), net.before([4]));
    let mean = net.graph.mean(x, 0)?;
    let centred = net.graph.sub(x, mean)?;
    let squares = net.graph.unary(Unary::Square, centred)?;
    let variance = net.graph.mean(squares, 0)?;
    let epsilon = net.holding([1], &[1e-3]);
    let variance = net.graph.add(variance, epsilon)?;
    let deviation = net.graph.unary(Unary::Sqrt, variance)?;
    let inverse = net.graph.unary(Unary::Reciprocal, deviation)?;
    let y = net.graph.mul(centred, inverse)?;
    let y = net.graph.mul(y, gain)?;
    let y = net.graph.bias_add(y, shift)?;
    cases.push(net.after("batch normalisation", y));
    Ok(())
}
