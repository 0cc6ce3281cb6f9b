//! Operations of a program's own: the sine of the example, one with operands of two shapes, and what is refused.

use approx::assert_abs_diff_eq;
use std::collections::HashMap;

use crate::common::random::Random;
use crate::common::twin::{Value, Values};
use crate::common::{Run, gpu};
use wgrad::graph::{Graph, Kernel, Loss, Operation, Pass, Shape, Tensor};
use wgrad::plan::Plan;
use wgrad::{Error, Result};

#[path = "../examples/own_operation/wave.rs"]
pub mod wave;
use wave::Wave;

/// WGSL's sine and cosine may be as far off (for angles from -π to π).
const WAVE_ERROR: f64 = 1.0 / 2048.0;

const ROWS: usize = 67;
const INPUTS: usize = 3;

/// Mean of (sin(x·w) - t)²: the operation stands between a product and a loss that could be fused with others.
fn loss(x: &[f32], w: &[f64], t: &[f32]) -> f64 {
    let off = x.chunks(INPUTS).zip(t).map(|(row, t)| {
        let angle: f64 = row.iter().zip(w).map(|(x, w)| f64::from(*x) * w).sum();
        (angle.sin() - f64::from(*t)).powi(2)
    });
    off.sum::<f64>() / ROWS as f64
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let mut random = Random::new(5);
    let x = random.many(ROWS * INPUTS, |r| r.uniform(-1.0, 1.0));
    let w = random.many(INPUTS, |r| r.uniform(-0.9, 0.9));
    let t = random.many(ROWS, |r| r.uniform(-1.0, 1.0));
    let mut graph = Graph::new();
    let features = graph.input("x", [ROWS, INPUTS]).unwrap();
    let targets = graph.input("t", [ROWS, 1]).unwrap();
    let weights = graph.parameter("w", [INPUTS, 1]).unwrap();
    let angles = graph.matmul(features, weights).unwrap();
    let sine = graph.operation(Wave::Sine, &[angles]).unwrap();
    let value = graph.loss(Loss::MeanSquaredError, sine, targets).unwrap();
    let gradient = graph.gradients(value, &[weights]).unwrap()[0];
    assert_eq!(graph.nodes()[1].pass, Pass::Forward);
    let cosine = graph.info(graph.nodes()[4].output).unwrap();
    assert!(cosine.name.starts_with("cos#"), "{}", cosine.name);
    assert_eq!(graph.nodes()[4].pass, Pass::Backward);

    let values: Values = HashMap::from([
        (features, Value::exact(&x)),
        (targets, Value::exact(&t)),
        (weights, Value::exact(&w)),
    ]);
    let w64: Vec<f64> = w.iter().map(|&w| f64::from(w)).collect();
    for (fuse, reuse_memory) in [(true, true), (false, true), (false, false)] {
        let run = Run { fuse, reuse_memory, ..Run::default() };
        let found = run.run(&graph, &[value, gradient], &values);
        // |sin - t| is at most 2.
        let off = f64::from(found[0][0]) - loss(&x, &w64, &t);
        assert!(off.abs() < 4.0 * WAVE_ERROR, "the loss is off by {off}");
        for number in 0..INPUTS {
            let at = |by: f64| {
                let mut moved = w64.clone();
                moved[number] += by;
                loss(&x, &moved, &t)
            };
            let expected = (at(1e-4) - at(-1e-4)) / 2e-4;
            assert!(expected.abs() > 0.02, "a wrong sign would be within the bound");
            // 2·(sin - t)·cos·x: sine and cosine are off, the latter times 2.
            let off = f64::from(found[1][number]) - expected;
            assert!(off.abs() < 6.0 * WAVE_ERROR, "{off} of {expected}");
        }
    }
}

/// The gradient of a gradient goes through the operation's own gradient again.
#[test]
fn gradients_of_gradients() {
    let x = [0.3_f32, -1.2, 2.0];
    let mut graph = Graph::new();
    let input = graph.input("x", [3]).unwrap();
    let sine = graph.operation(Wave::Sine, &[input]).unwrap();
    let sum = graph.sum(sine, 0).unwrap();
    let first = graph.gradients(sum, &[input]).unwrap()[0];
    let sum = graph.sum(first, 0).unwrap();
    let second = graph.gradients(sum, &[input]).unwrap()[0];
    let values = HashMap::from([(input, Value::exact(&x))]);
    let found = Run::default().run(&graph, &[first, second], &values);
    for (i, x) in x.into_iter().enumerate() {
        assert_abs_diff_eq!(found[0][i], x.cos(), epsilon = WAVE_ERROR as f32);
        assert_abs_diff_eq!(found[1][i], -x.sin(), epsilon = WAVE_ERROR as f32);
    }
}

/// Squared distances of rows from centres: operands of two shapes, a loop, numbers in `dims`.
#[derive(Debug)]
struct SquaredDistances;

const DISTANCES: &str = "struct Dims { rows: u32, centres: u32, width: u32 }
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> centres: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i >= dims.rows * dims.centres) {
        return;
    }
    var sum = 0.0;
    for (var j = 0u; j < dims.width; j++) {
        let off = x[i / dims.centres * dims.width + j] - centres[i % dims.centres * dims.width + j];
        sum += off * off;
    }
    out[i] = sum;
}
";

impl Operation for SquaredDistances {
    fn name(&self) -> &str {
        "squared_distances"
    }

    fn shape(&self, operands: &[&Shape]) -> Result<Shape> {
        match operands.iter().map(|shape| shape.dims()).collect::<Vec<_>>()[..] {
            [&[rows, width], &[centres, same]] if width == same => Ok([rows, centres].into()),
            _ => Err(Error::shape(self.name(), "rows and centres of equal width; give matrices")),
        }
    }

    fn kernel(&self, operands: &[&Shape], result: &Shape) -> Result<Kernel> {
        let (width, dims) = (operands[0].dims()[1], result.dims());
        let words = [dims[0], dims[1], width].map(|extent| extent as u32);
        Ok(Kernel::per_element(DISTANCES, result.elements()).dims(words).loop_turns(width))
    }
}

#[test]
fn operands_may_have_shapes_of_their_own() {
    let mut random = Random::new(3);
    // Eighths, of which f32 holds all sums of squares.
    let mut eighths = |count| random.many(count, |r| (r.below(33) as f32 - 16.0) / 8.0);
    let (rows, centres) = (eighths(70 * 5), eighths(3 * 5));
    let mut graph = Graph::new();
    let x = graph.input("x", [70, 5]).unwrap();
    let c = graph.input("c", [3, 5]).unwrap();
    let out = graph.operation(SquaredDistances, &[x, c]).unwrap();
    assert_eq!(graph.shape(out).unwrap().dims(), [70, 3]);
    let plan = Plan::new(&graph, &[out], &gpu().target()).unwrap();
    assert!(plan.to_string().contains("squared_distances"), "{plan}");
    let values = HashMap::from([(x, Value::exact(&rows)), (c, Value::exact(&centres))]);
    let found = Run::default().run(&graph, &[out], &values);
    for (i, row) in rows.chunks(5).enumerate() {
        for (j, centre) in centres.chunks(5).enumerate() {
            let expected: f32 = row.iter().zip(centre).map(|(x, c)| (x - c) * (x - c)).sum();
            assert_eq!(found[0][3 * i + j], expected);
        }
    }
    let sum = graph.sum(out, 1).unwrap();
    let sum = graph.sum(sum, 0).unwrap();
    let error = graph.gradients(sum, &[c]).unwrap_err().to_string();
    assert!(error.contains("squared_distances") && error.contains("no gradient"), "{error}");
    let error = graph.operation(SquaredDistances, &[x, out]).unwrap_err().to_string();
    assert!(error.contains("equal width"), "{error}");
}

/// An operation with this text and these figures, whose gradient has these shapes.
#[derive(Clone, Debug)]
struct Odd {
    kernel: Kernel,
    gradients: Vec<Vec<usize>>,
}

impl Operation for Odd {
    fn name(&self) -> &str {
        "odd"
    }

    fn shape(&self, operands: &[&Shape]) -> Result<Shape> {
        Ok(operands[0].clone())
    }

    fn kernel(&self, _operands: &[&Shape], _result: &Shape) -> Result<Kernel> {
        Ok(self.kernel.clone())
    }

    fn gradient(
        &self,
        graph: &mut Graph,
        _operands: &[Tensor],
        _y: Tensor,
        _dy: Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let shapes = self.gradients.iter();
        shapes.map(|shape| Ok(Some(graph.constant(1.0, shape.as_slice())?))).collect()
    }
}

/// A copy whose gradient is said to be a tensor of the graph.
#[derive(Debug)]
struct Copied {
    gradient: Tensor,
}

impl Operation for Copied {
    fn name(&self) -> &str {
        "copied"
    }

    fn shape(&self, operands: &[&Shape]) -> Result<Shape> {
        Ok(operands[0].clone())
    }

    fn kernel(&self, _operands: &[&Shape], _result: &Shape) -> Result<Kernel> {
        Ok(Kernel::new(COPY, 1))
    }

    fn gradient(
        &self,
        _graph: &mut Graph,
        _operands: &[Tensor],
        _y: Tensor,
        _dy: Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(self.gradient)])
    }
}

const COPY: &str = "@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    out[id.x] = x[id.x];
}
";

fn added(text: &str, change: impl Fn(Kernel) -> Kernel) -> (Graph, Tensor, Result<Tensor>) {
    let mut graph = Graph::new();
    let x = graph.input("x", [4]).unwrap();
    let kernel = change(Kernel::new(text.to_owned(), 1));
    let out = graph.operation(Odd { kernel, gradients: vec![vec![2]] }, &[x]);
    (graph, x, out)
}

#[test]
fn texts_are_looked_at_when_they_are_added() {
    assert!(added(COPY, |kernel| kernel).2.is_ok());
    let cases = [
        ("x[id.x];", "x[id.y] +;", "wgsl:5:"),
        ("array<f32>;\n@group(0) @binding(1)", "array<f32>;\n@group(0) @binding(0)", "invalid"),
        ("@group(0) @binding(0)", "\n@group(0)\n@binding(0)", "in the order of their numbers"),
        ("read_write> out", "read> out", "invalid"),
        ("var<storage, read> x", "var<storage, read_write> x", "x (ReadWrite)"),
        ("fn main", "fn other", "`@compute fn main`"),
        ("@workgroup_size(4)", "@workgroup_size(2, 2)", "2 × 2 × 1"),
        ("@compute @workgroup_size(4)", "@compute\n  @workgroup_size(2 + 2)", "workgroup"),
        ("@group(0) @binding(1)", "@group(1) @binding(1)", "in the order of their numbers"),
        (
            "@compute",
            "@group(0) @binding(2) var<uniform> dims: vec2<u32>;\n@compute",
            "0 words of `dims`",
        ),
    ];
    for (from, to, expected) in cases {
        let error = added(&COPY.replacen(from, to, 1), |kernel| kernel).2.unwrap_err().to_string();
        assert!(error.starts_with("odd: ") && error.contains(expected), "{to}: {error}");
    }
    let dims = "@group(0) @binding(2) var<uniform> dims: vec2<u32>;\n@compute";
    let with_dims = COPY.replacen("@compute", dims, 1);
    assert!(added(&with_dims, |kernel| kernel.dims([1, 2])).2.is_ok());
    let error = added(&with_dims, |kernel| kernel.dims([1, 2, 3])).2.unwrap_err().to_string();
    assert!(error.contains("`dims` is 8 bytes"), "{error}");
    for odd in ["vec3<u32>", "mat2x2<f32>"] {
        let text = with_dims.replacen("vec2<u32>", odd, 1);
        let words = vec![1; if odd.starts_with("vec3") { 3 } else { 4 }];
        let error = added(&text, |kernel| kernel.dims(words.clone())).2.unwrap_err().to_string();
        assert!(error.contains("sizes"), "{error}");
    }
    let in_workgroup = "var<workgroup> shared_four:\n  array<vec4<f32>, 2>;\n@compute";
    let error = added(&COPY.replacen("@compute", in_workgroup, 1), |kernel| kernel).2;
    assert!(error.unwrap_err().to_string().contains("sizes"));
    let error = added(COPY, |kernel| kernel.dims([1])).2.unwrap_err().to_string();
    assert!(error.contains("1 words of `dims`"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let (mut graph, x, out) = added(COPY, |kernel| kernel);
    let sum = graph.sum(out.unwrap(), 0).unwrap();
    let error = graph.gradients(sum, &[x]).unwrap_err().to_string();
    assert!(error.contains("the gradient of 'x' is 2, which itself is 4"), "{error}");
    let labels = graph.index_input("labels", [4]).unwrap();
    let copied = graph.operation(Copied { gradient: labels }, &[x]).unwrap();
    let sum = graph.sum(copied, 0).unwrap();
    let error = graph.gradients(sum, &[x]).unwrap_err().to_string();
    assert!(error.contains("'labels' holds U32"), "{error}");
    let odd = |gradients| Odd { kernel: Kernel::new(COPY, 1), gradients };
    let two = graph.operation(odd(vec![vec![4], vec![4]]), &[x]).unwrap();
    let sum = graph.sum(two, 0).unwrap();
    let error = graph.gradients(sum, &[x]).unwrap_err().to_string();
    assert!(error.contains("2 entries for 1 operands"), "{error}");
    let error = graph.operation(odd(vec![]), &[]).unwrap_err().to_string();
    assert!(error.contains("no operand"), "{error}");
    let other = Graph::new().input("other", [4]).unwrap();
    let error = graph.operation(odd(vec![]), &[other]).unwrap_err().to_string();
    assert!(error.contains("another graph"), "{error}");
    let none = Odd { kernel: Kernel::new(COPY, 0), gradients: vec![] };
    let error = graph.operation(none, &[x]).unwrap_err().to_string();
    assert!(error.contains("workgroups of odd is 0"), "{error}");
}

/// The step's record is a uniform; a program may call its own buffers so.
#[test]
fn an_operand_may_be_called_step() {
    let text = COPY.replace("x: array", "step: array").replace("x[id.x]", "step[id.x]");
    let (graph, x, out) = added(&text, |kernel| kernel);
    let values = HashMap::from([(x, Value::exact(&[1.0, 2.0, 3.0, 4.0]))]);
    assert_eq!(Run::default().run(&graph, &[out.unwrap()], &values)[0], [1.0, 2.0, 3.0, 4.0]);
}

/// More workgroups than a dimension holds lie in rows.
#[test]
fn many_workgroups_lie_in_rows() {
    let x: Vec<f32> = (0..64 * 11 + 3).map(|i| i as f32 / 100.0).collect();
    let mut graph = Graph::new();
    let input = graph.input("x", [x.len()]).unwrap();
    let sine = graph.operation(Wave::Sine, &[input]).unwrap();
    let values = HashMap::from([(input, Value::exact(&x))]);
    let whole = Run::default().run(&graph, &[sine], &values);
    let rows = Run { max_workgroups: Some(5), ..Run::default() }.run(&graph, &[sine], &values);
    assert_eq!(rows, whole);
    assert_abs_diff_eq!(rows[0][700], x[700].sin(), epsilon = WAVE_ERROR as f32);
}

/// What a device does not grant is refused when the plan is made.
#[test]
fn limits_are_those_of_other_operations() {
    let wide = COPY.replacen("@workgroup_size(4)", "@workgroup_size(4096)", 1);
    let many = Kernel::new(COPY, 1).loop_turns(usize::MAX);
    for kernel in [Kernel::new(wide, 1), many, Kernel::new(COPY, usize::MAX)] {
        let (graph, _, out) = added(COPY, |_| kernel.clone());
        let plan = Plan::new(&graph, &[out.unwrap()], &gpu().target());
        assert!(matches!(plan, Err(Error::Limit { .. })), "{kernel:?}: {plan:?}");
    }
}
