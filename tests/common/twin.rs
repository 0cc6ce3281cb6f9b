//! The twin: every operation of a graph in f64, written from its definition in `src/graph/op.rs`
//! and from nothing else. Plain loops, no cleverness; each element carries its error bound, see
//! [`Num`].

use std::collections::HashMap;

use wgrad::exec::Step;
use wgrad::graph::{Count, Graph, Layout, Loss, Node, Op, Reduction, Role, Tensor, Unary, View};
use wgrad::plan::Plan;

use super::num::Num;
use super::threefry::{factor, is_kept, word};
use super::twin_arrays::{apply, beside, concat, extreme, segment_sum, select, slice, transpose};
use super::twin_half::InHalf;
use super::twin_losses::{
    by_rows, cross_entropy, hit, largest, loss_grad, mean_loss, metric, sound,
};
pub use super::twin_update::{Trained, update};

/// What a tensor holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    F(Vec<Num>),
    U(Vec<u32>),
}

impl Value {
    /// Numbers that f32 holds exactly.
    pub fn exact(values: &[f32]) -> Value {
        Value::F(values.iter().map(|&x| Num::exact(f64::from(x))).collect())
    }

    pub fn floats(&self) -> &[Num] {
        match self {
            Value::F(values) => values,
            Value::U(_) => panic!("the twin needs floats here"),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Value::F(values) => values.len(),
            Value::U(values) => values.len(),
        }
    }

    pub fn indices(&self) -> &[u32] {
        match self {
            Value::U(values) => values,
            Value::F(_) => panic!("the twin needs indices here"),
        }
    }
}

/// What the graph's tensors hold.
pub type Values = HashMap<Tensor, Value>;

/// Computes every node of `graph`. `values` holds inputs and parameters; the result holds them, the
/// constants that nodes read, and what the nodes computed. What `values` holds is not computed
/// again, so the result of a node can be overridden.
pub fn evaluate(graph: &Graph, values: &Values, batch_start: usize) -> Values {
    evaluate_step(graph, values, &Step::forward(batch_start as u32))
}

/// [`evaluate`], in a step that is not the first.
pub fn evaluate_step(graph: &Graph, values: &Values, step: &Step) -> Values {
    evaluate_rounded(graph, values, step, &InHalf::default())
}

/// [`evaluate_step`], with what `plan` stores in 16 bits rounded so.
pub fn evaluate_stored(graph: &Graph, values: &Values, step: &Step, plan: &Plan) -> Values {
    evaluate_rounded(graph, values, step, &InHalf::of(graph, plan))
}

fn evaluate_rounded(graph: &Graph, values: &Values, step: &Step, half: &InHalf) -> Values {
    let mut all = values.clone();
    for node in graph.nodes() {
        for &input in &node.inputs {
            if let Some(value) = constant(graph, input) {
                all.insert(input, value);
            }
        }
        if !all.contains_key(&node.output) {
            let value = match half.operands(graph, node, &all) {
                None => evaluate_node(graph, node, &all, step),
                Some(rounded) => evaluate_node(graph, node, &rounded, step),
            };
            let value = half.rounded(node.output, value);
            assert_eq!(
                value.len(),
                graph.shape(node.output).unwrap().elements(),
                "size of {}",
                node.op
            );
            all.insert(node.output, value);
        }
    }
    all
}

/// What `tensor` holds after [`evaluate`]. Constants need not have been read by a node.
pub fn value_of(graph: &Graph, all: &Values, tensor: Tensor) -> Value {
    constant(graph, tensor).unwrap_or_else(|| all[&tensor].clone())
}

fn constant(graph: &Graph, tensor: Tensor) -> Option<Value> {
    match graph.info(tensor).unwrap().role {
        Role::Constant(value) => {
            Some(Value::exact(&vec![value; graph.shape(tensor).unwrap().elements()]))
        }
        _ => None,
    }
}

fn evaluate_node(graph: &Graph, node: &Node, all: &Values, step: &Step) -> Value {
    let value = |operand: usize| &all[&node.inputs[operand]];
    let floats = |operand: usize| value(operand).floats();
    let weights = |operand: usize| (operand < node.inputs.len()).then(|| floats(operand));
    let shape = |operand: usize| graph.shape(node.inputs[operand]).unwrap();
    let columns = shape(0).columns();
    let out = graph.shape(node.output).unwrap();
    Value::F(match node.op {
        Op::MatMul(layout) => {
            let (rows, columns) = (out.dims()[out.rank() - 2], out.columns());
            let count = out.elements() / (rows * columns);
            let each = |x: usize| floats(x).chunks(floats(x).len() / count);
            let matrices = each(0).zip(each(1));
            matrices.flat_map(|(a, b)| matmul(layout, a, b, rows, columns)).collect()
        }
        Op::BiasAdd => {
            let (x, bias) = (floats(0), floats(1));
            (0..x.len()).map(|i| x[i] + bias[i % columns]).collect()
        }
        Op::Binary(binary) => {
            let (a, b) = (floats(0), floats(1));
            (0..a.len()).map(|i| apply(binary, a[i], b[beside(shape(1), out, i)])).collect()
        }
        Op::Select => {
            let at = |operand: usize, i: usize| floats(operand)[beside(shape(operand), out, i)];
            (0..out.elements()).map(|i| select(floats(0)[i], at(1, i), at(2, i))).collect()
        }
        Op::ArgMax | Op::ArgMin => {
            let rows = floats(0).chunks(columns);
            return Value::U(rows.map(|row| extreme(row, node.op == Op::ArgMin)).collect());
        }
        Op::SegmentSum { segments, run } => {
            segment_sum(floats(0), value(1).indices(), columns, segments, run)
        }
        Op::Slice { axis, start } => {
            return slice(value(0), shape(0), axis, start, out.dims()[axis]);
        }
        Op::Concat { axis } => {
            let parts: Vec<_> = (0..node.inputs.len()).map(|i| (value(i), shape(i))).collect();
            return concat(&parts, axis);
        }
        Op::Transpose => return transpose(value(0), shape(0)),
        Op::Scale(factor) => floats(0).iter().map(|&x| x * Num::exact(f64::from(factor))).collect(),
        Op::Dropout { rate, seed } => {
            let width = out.elements() / out.dims().first().copied().unwrap_or(1);
            let kept = |i: usize| {
                let row = step.first_row.wrapping_add((i / width) as u32);
                is_kept(word(seed, step.number, row, i % width), rate)
            };
            let times = |i: usize| if kept(i) { Num::exact(factor(rate).into()) } else { ZERO };
            floats(0).iter().enumerate().map(|(i, &x)| x * times(i)).collect()
        }
        Op::Unary(function) => floats(0).iter().map(|&x| unary(function, x)).collect(),
        Op::UnaryGrad(function) => {
            let (saved, dy) = (floats(0), floats(1));
            (0..dy.len()).map(|i| unary_grad(function, saved[i], dy[i])).collect()
        }
        Op::Softmax { axis } => {
            let view = shape(0).around(axis, axis + 1);
            spans(view, &[floats(0)], |x| softmax(x[0]))
        }
        Op::LogSoftmax { axis } => {
            let view = shape(0).around(axis, axis + 1);
            spans(view, &[floats(0)], |x| log_softmax(x[0]))
        }
        Op::SoftmaxGrad { axis } => {
            let view = shape(0).around(axis, axis + 1);
            spans(view, &[floats(0), floats(1)], |operands| {
                let (y, dy) = (operands[0], operands[1]);
                let sum = Num::sum((0..y.len()).map(|i| y[i] * dy[i]));
                (0..y.len()).map(|i| y[i] * (dy[i] - sum)).collect()
            })
        }
        Op::LogSoftmaxGrad { axis } => {
            let view = shape(0).around(axis, axis + 1);
            spans(view, &[floats(0), floats(1)], |operands| {
                let (y, dy) = (operands[0], operands[1]);
                let sum = Num::sum(dy.iter().copied());
                (0..y.len()).map(|i| dy[i] - y[i].exp() * sum).collect()
            })
        }
        Op::Reduce { reduction, start, end } => {
            let view = shape(0).around(start, end);
            spans(view, &[floats(0)], |x| vec![reduce(reduction, x[0])])
        }
        Op::Expand { start, end, scale } => {
            let View { outer, span, inner } = out.around(start, end);
            let (x, scale) = (floats(0), Num::exact(f64::from(scale)));
            let mut y = Vec::with_capacity(outer * span * inner);
            for o in 0..outer {
                for _ in 0..span {
                    y.extend((0..inner).map(|i| x[o * inner + i] * scale));
                }
            }
            y
        }
        Op::MaxGrad { start, end } => {
            let view = shape(0).around(start, end);
            max_grad(view, floats(0), floats(2))
        }
        Op::Gather | Op::Batch => {
            let rows = out.dims()[0];
            let width = out.elements() / rows;
            let from = |row: usize| match node.op {
                Op::Batch => value(1).indices()[step.batch_start as usize + row] as usize,
                _ => value(1).indices()[row] as usize,
            };
            match value(0) {
                Value::F(x) => copy_rows(x, rows, width, from),
                Value::U(x) => return Value::U(copy_rows(x, rows, width, from)),
            }
        }
        Op::GatherGrad => {
            let (indices, dy) = (value(0).indices(), floats(1));
            let rows = out.dims()[0];
            let width = out.elements() / rows;
            let mut terms = vec![Vec::new(); out.elements()];
            for (row, &index) in indices.iter().enumerate() {
                let to = index as usize;
                for c in 0..width {
                    terms[to * width + c].push(dy[row * width + c]);
                }
            }
            terms.into_iter().map(Num::sum).collect()
        }
        Op::Reshape => floats(0).to_vec(),
        Op::Loss(Loss::SoftmaxCrossEntropy) => {
            vec![cross_entropy(floats(0), value(1).indices(), columns, weights(2))]
        }
        Op::Loss(loss) => vec![mean_loss(loss, floats(0), floats(1), columns, weights(2))],
        Op::LossGrad(Loss::SoftmaxCrossEntropy) => {
            let (logits, labels, upstream) = (floats(0), value(1).indices(), floats(2)[0]);
            let mut gradient = Vec::with_capacity(logits.len());
            for (row, &label) in logits.chunks(columns).zip(labels) {
                for (c, p) in softmax(row).into_iter().enumerate() {
                    let target = if c == label as usize { 1.0 } else { 0.0 };
                    gradient.push((p - Num::exact(target)).over(labels.len()) * upstream);
                }
            }
            by_rows(gradient, columns, weights(3))
        }
        Op::LossGrad(loss) => {
            let gradient = loss_grad(loss, floats(0), floats(1), columns, floats(2)[0]);
            by_rows(gradient, columns, weights(3))
        }
        Op::Count(Count::Correct) => {
            let rows = floats(0).chunks(columns).zip(value(1).indices());
            vec![Num::sum(rows.map(|(row, &label)| {
                let (best, unsure) = largest(row);
                hit(best == label as usize && sound(row), unsure)
            }))]
        }
        Op::Count(count) => vec![metric(count, floats(0), floats(1), columns)],
        other => panic!("the twin does not know {other:?}"),
    })
}

/// Calls `f` on every span of `view` (the elements along the axis, gathered) and puts what it
/// returns back where the span came from.
fn spans(view: View, operands: &[&[Num]], f: impl Fn(&[&[Num]]) -> Vec<Num>) -> Vec<Num> {
    let View { outer, span, inner } = view;
    let mut out = Vec::new();
    for o in 0..outer {
        for i in 0..inner {
            let at = |s: usize| (o * span + s) * inner + i;
            let gathered: Vec<Vec<Num>> =
                operands.iter().map(|x| (0..span).map(|s| x[at(s)]).collect()).collect();
            let slices: Vec<&[Num]> = gathered.iter().map(Vec::as_slice).collect();
            let results = f(&slices);
            let length = results.len();
            out.resize(outer * length * inner, Num::default());
            for (s, result) in results.into_iter().enumerate() {
                out[(o * length + s) * inner + i] = result;
            }
        }
    }
    out
}

fn copy_rows<T: Copy>(x: &[T], rows: usize, width: usize, from: impl Fn(usize) -> usize) -> Vec<T> {
    (0..rows).flat_map(|row| x[from(row) * width..][..width].iter().copied()).collect()
}

fn matmul(layout: Layout, a: &[Num], b: &[Num], m: usize, n: usize) -> Vec<Num> {
    let k = a.len() / m;
    let a_at = |i: usize, p: usize| match layout {
        Layout::NN | Layout::NT => a[i * k + p],
        Layout::TN => a[p * m + i],
    };
    let b_at = |p: usize, j: usize| match layout {
        Layout::NN | Layout::TN => b[p * n + j],
        Layout::NT => b[j * k + p],
    };
    let mut c = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            c.push(Num::dot((0..k).map(|p| a_at(i, p) * b_at(p, j))));
        }
    }
    c
}

pub(super) const ONE: Num = Num::exact(1.0);
pub(super) const TWO: Num = Num::exact(2.0);
pub(super) const HALF: Num = Num::exact(0.5);
pub(super) const ZERO: Num = Num::exact(0.0);

pub(super) fn sigmoid(x: Num) -> Num {
    ONE / (ONE + (-x).exp())
}

/// `√(2/π)·(x + 0.044715·x³)` and its derivative.
fn gelu_inner(x: Num) -> (Num, Num) {
    let root = Num::rounded((2.0 / std::f64::consts::PI).sqrt());
    let cubic = Num::rounded(0.044715);
    let inner = root * (x + cubic * x * x * x);
    let slope = root * (ONE + Num::exact(3.0) * cubic * x * x);
    (inner, slope)
}

fn unary(function: Unary, x: Num) -> Num {
    match function {
        Unary::Relu if x.value + x.error <= 0.0 => ZERO,
        Unary::Relu => x.max(ZERO),
        Unary::LeakyRelu { slope } => {
            let below = x * Num::exact(f64::from(slope));
            Num::either(x.value > 0.0, x.unsure_about(0.0), x, below)
        }
        Unary::Sigmoid => sigmoid(x),
        Unary::Tanh => x.tanh(),
        Unary::Gelu => x * x.normal_cdf(),
        // (1 + tanh u)/2 = σ(2u), which keeps its digits where tanh u is near -1.
        Unary::GeluTanh => x * sigmoid(TWO * gelu_inner(x).0),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Sqrt => x.sqrt(),
        Unary::Reciprocal => ONE / x,
        Unary::Square => x.squared(),
        Unary::Abs => x.abs(),
        Unary::Silu => x * sigmoid(x),
        Unary::Softplus => x.max(ZERO) + (-x.abs()).exp().ln_1p(),
        Unary::Elu { alpha } => {
            let below = Num::exact(f64::from(alpha)) * (x.exp() - ONE);
            Num::either(x.value > 0.0, x.unsure_about(0.0), x, below)
        }
        Unary::HardSwish if x.value <= -3.0 => x * ZERO,
        Unary::HardSwish if x.value >= 3.0 => x,
        Unary::HardSwish => x * ((x + Num::exact(3.0)) / Num::exact(6.0)),
        other => panic!("the twin does not know {other:?}"),
    }
}

/// `dy` times the derivative, which NaN has none of. `saved` is the function's output `y` or its input `x`.
fn unary_grad(function: Unary, saved: Num, dy: Num) -> Num {
    if saved.value.is_nan() {
        return saved;
    }
    let (x, y) = (saved, saved);
    let unsure = saved.unsure_about(0.0);
    match function {
        Unary::Relu => Num::either(y.value > 0.0, unsure, dy, dy * ZERO),
        Unary::LeakyRelu { slope } => {
            Num::either(y.value > 0.0, unsure, dy, dy * Num::exact(f64::from(slope)))
        }
        Unary::Sigmoid => dy * (y * (ONE - y)),
        Unary::Tanh => dy * (ONE - y.squared()),
        Unary::Gelu => {
            let density = (-(x.squared() * HALF)).exp() * Num::rounded(0.3989422804014327);
            dy * (x.normal_cdf() + x * density)
        }
        Unary::GeluTanh => {
            let (inner, slope) = gelu_inner(x);
            // (1 + tanh u)/2 = σ(2u), and the derivative of that is 2·σ(2u)·σ(-2u)·u'.
            let (s, t) = (sigmoid(TWO * inner), sigmoid(-(TWO * inner)));
            dy * (s + x * TWO * s * t * slope)
        }
        Unary::Exp => dy * y,
        Unary::Log => dy / x,
        Unary::Sqrt => dy * HALF / y,
        Unary::Reciprocal => -(dy * y.squared()),
        Unary::Square => dy * TWO * x,
        Unary::Abs => times_sign(x, dy),
        Unary::Silu => dy * (sigmoid(x) * (ONE + x * sigmoid(-x))),
        Unary::Softplus => dy * sigmoid(x),
        Unary::Elu { alpha } => {
            Num::either(y.value > 0.0, unsure, dy, dy * (y + Num::exact(f64::from(alpha))))
        }
        Unary::HardSwish => {
            let between = (TWO * x + Num::exact(3.0)) / Num::exact(6.0);
            let inner = Num::either(x.value >= 3.0, x.unsure_about(3.0), ONE, between);
            dy * Num::either(x.value <= -3.0, x.unsure_about(-3.0), ZERO, inner)
        }
        other => panic!("the twin does not know {other:?}"),
    }
}

/// `factor · sign(e)`; NaN where `e` is NaN.
pub(super) fn times_sign(e: Num, factor: Num) -> Num {
    if e.value.is_nan() {
        return e;
    }
    if e.value == 0.0 && e.error == 0.0 {
        return factor * ZERO;
    }
    Num::either(e.value > 0.0, e.unsure_about(0.0), factor, -factor)
}

pub(super) fn softmax(x: &[Num]) -> Vec<Num> {
    let largest = x.iter().copied().reduce(Num::max).expect("not empty");
    let powers: Vec<Num> = x.iter().map(|&x| (x - largest).exp()).collect();
    let sum = Num::sum(powers.iter().copied());
    powers.into_iter().map(|p| p / sum).collect()
}

pub(super) fn log_softmax(x: &[Num]) -> Vec<Num> {
    // ln Σ exp(x - max): the largest adds 1, so this is ln(1 + the others), which is small but not
    // 0 where one element stands out.
    let (top, _) = largest(x);
    // An infinite one adds NaN, ∞ - ∞.
    let others = (0..x.len()).filter(|&i| i != top || !x[top].value.is_finite());
    let log_sum = Num::sum(others.map(|i| (x[i] - x[top]).exp())).ln_1p();
    x.iter().map(|&z| (z - x[top]) - log_sum).collect()
}

fn reduce(reduction: Reduction, x: &[Num]) -> Num {
    match reduction {
        Reduction::Sum => Num::sum(x.iter().copied()),
        Reduction::Mean => Num::sum(x.iter().copied()).over(x.len()),
        Reduction::Max => x.iter().copied().reduce(Num::max).expect("not empty"),
        other => panic!("the twin does not know {other:?}"),
    }
}

/// The gradient of a maximum, shared evenly among equal largest elements. Where the maximum is NaN, so is
/// every difference quotient.
fn max_grad(view: View, x: &[Num], dy: &[Num]) -> Vec<Num> {
    let View { outer, span, inner } = view;
    let mut dx = vec![ZERO; x.len()];
    for o in 0..outer {
        for i in 0..inner {
            let at = |s: usize| (o * span + s) * inner + i;
            let dy = dy[o * inner + i];
            let elements: Vec<Num> = (0..span).map(|s| x[at(s)]).collect();
            let largest = reduce(Reduction::Max, &elements);
            if largest.value.is_nan() {
                (0..span).for_each(|s| dx[at(s)] = largest);
                continue;
            }
            let is_largest = |x: Num| x.value == largest.value;
            // Rounding may have made another element the largest, or an equal one.
            let close = |x: Num| largest.value - x.value <= largest.error + x.error;
            let equal = elements.iter().filter(|&&x| is_largest(x)).count();
            let rivals = elements.iter().filter(|&&x| close(x)).count();
            for (s, &x) in elements.iter().enumerate() {
                let unsure = rivals > 1 && largest.error > 0.0 && close(x);
                dx[at(s)] = Num::either(is_largest(x), unsure, dy.over(equal), ZERO);
            }
        }
    }
    dx
}
