//! Assignment: a parameter takes the value of a tensor at the end of a step.

use approx::assert_abs_diff_eq;
use wgrad::Error;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Binary, Graph, Loss, Tensor, UpdateRule};
use wgrad::plan::{Plan, PlanOptions, PlanScope, Target};

use crate::common::gpu;

fn executor(graph: &Graph, outputs: &[Tensor]) -> Executor {
    let gpu = gpu();
    let plan = Plan::new(graph, outputs, &gpu.target()).unwrap();
    Executor::new_blocking(&gpu, plan).unwrap()
}

/// Each step sees what the one before assigned, and what it computes besides has the value from before.
#[test]
fn a_step_goes_on_from_the_last() {
    let mut graph = Graph::new();
    // Three, so that the counted one does not begin where its chunk does.
    let before = graph.parameter("before", [3]).unwrap();
    let counter = graph.parameter("counter", [5]).unwrap();
    let behind = graph.parameter("behind", [2]).unwrap();
    let one = graph.constant(1.0, []).unwrap();
    let more = graph.add(counter, one).unwrap();
    graph.assign(counter, more).unwrap();
    let mut executor = executor(&graph, &[more]);
    executor.write(before, &[7.0; 3]).unwrap();
    executor.write(behind, &[8.0; 2]).unwrap();
    executor.run_blocking(&[Step::forward(0); 100]).unwrap();
    assert_eq!(executor.read_blocking(counter).unwrap(), [100.0; 5]);
    assert_eq!(executor.read_blocking(more).unwrap(), [100.0; 5]);
    assert_eq!(executor.read_blocking(before).unwrap(), [7.0; 3]);
    assert_eq!(executor.read_blocking(behind).unwrap(), [8.0; 2]);
}

/// The power iteration: v = A·v / ‖A·v‖ tends to the direction that A stretches most.
#[test]
fn powers_of_a_matrix_find_its_first_direction() {
    let mut graph = Graph::new();
    let a = graph.input("a", [3, 3]).unwrap();
    let v = graph.parameter("v", [3, 1]).unwrap();
    let y = graph.matmul(a, v).unwrap();
    let squares = graph.mul(y, y).unwrap();
    let sum = graph.sum(squares, 0).unwrap();
    let half = graph.constant(0.5, []).unwrap();
    let norm = graph.binary(Binary::Pow, sum, half).unwrap();
    let next = graph.div(y, norm).unwrap();
    graph.assign(v, next).unwrap();
    // A plan without outputs holds the assignment, too.
    let mut executor = executor(&graph, &[]);
    // Eigenvalues 4, 2 and 1, the first for (1, 1, 0)/√2.
    executor.write(a, &[3.0, 1.0, 0.0, 1.0, 3.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
    executor.write(v, &[1.0, 0.0, 0.5]).unwrap();
    executor.run_blocking(&[Step::forward(0); 40]).unwrap();
    let found = executor.read_blocking(v).unwrap();
    let root = std::f32::consts::FRAC_1_SQRT_2;
    for (found, expected) in found.iter().zip([root, root, 0.0]) {
        assert_abs_diff_eq!(*found, expected, epsilon = 1e-5);
    }
}

/// Two parameters may change their values for each other: both are read before either moves.
#[test]
fn all_is_read_before_anything_moves() {
    let mut graph = Graph::new();
    let (a, b) = (graph.parameter("a", [70]).unwrap(), graph.parameter("b", [70]).unwrap());
    let (of_a, of_b) = (graph.scale(a, 1.0).unwrap(), graph.scale(b, 1.0).unwrap());
    graph.assign(a, of_b).unwrap();
    graph.assign(b, of_a).unwrap();
    let mut executor = executor(&graph, &[]);
    executor.write(a, &[1.0; 70]).unwrap();
    executor.write(b, &[2.0; 70]).unwrap();
    executor.run_blocking(&[Step::forward(0); 3]).unwrap();
    assert_eq!(executor.read_blocking(a).unwrap(), [2.0; 70]);
    assert_eq!(executor.read_blocking(b).unwrap(), [1.0; 70]);
}

/// Beside an update whose weight decay moves all that lies with it; also where clipping makes it wait.
#[test]
fn an_update_leaves_what_is_assigned() {
    for clip in [None, Some(1e6)] {
        let mut graph = Graph::new();
        let (w, mean) = (graph.parameter("w", [4]).unwrap(), graph.parameter("mean", [4]).unwrap());
        let x = graph.input("x", [4]).unwrap();
        let loss = graph.loss(Loss::MeanSquaredError, w, x).unwrap();
        let gradients = graph.gradients(loss, &[w]).unwrap();
        let rule = UpdateRule::Sgd { weight_decay: 0.5 };
        graph.update(rule, clip, loss, &[(w, gradients[0])]).unwrap();
        let sum = graph.add(mean, x).unwrap();
        graph.assign(mean, sum).unwrap();
        let mut executor = executor(&graph, &[]);
        executor.write(x, &[1.0, 2.0, 3.0, 4.0]).unwrap();
        let steps: Vec<Step> = (0..3).map(|n| Step::training(rule, n, 0, 0.1)).collect();
        executor.run_blocking(&steps).unwrap();
        assert_eq!(executor.read_blocking(mean).unwrap(), [3.0, 6.0, 9.0, 12.0]);
        assert!(executor.read_blocking(w).unwrap().iter().all(|&w| w > 0.0));
    }
}

/// An element that would not be finite stays, and is an error of the step; from then on nothing moves.
#[test]
fn what_is_not_finite_is_not_assigned() {
    let mut graph = Graph::new();
    let (x, p) = (graph.input("x", [3]).unwrap(), graph.parameter("p", [3]).unwrap());
    let inverse = graph.div(x, p).unwrap();
    graph.assign(p, inverse).unwrap();
    let mut executor = executor(&graph, &[]);
    executor.write(x, &[1.0, f32::MAX, 4.0]).unwrap();
    executor.write(p, &[1.0, 0.25, 2.0]).unwrap();
    let mut step = Step::forward(0);
    step.number = 5;
    let error = executor.run_blocking(&[step]).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 5, loss: None, .. }), "{error:?}");
    assert_eq!(executor.read_blocking(p).unwrap(), [1.0, 0.25, 2.0]);
    executor.write(x, &[3.0, 3.0, 3.0]).unwrap();
    let again = executor.run_blocking(&[Step::forward(0)]).unwrap_err();
    assert!(matches!(again, Error::NotFinite { step: 5, .. }), "{again:?}");
    assert_eq!(executor.read_blocking(p).unwrap(), [1.0, 0.25, 2.0]);
    executor.parameters().clear_status().unwrap();
    executor.run_blocking(&[Step::forward(0)]).unwrap();
    assert_eq!(executor.read_blocking(p).unwrap(), [3.0, 12.0, 1.5]);
}

/// A row with NaN keeps what is assigned in the same step, and an update, from moving.
#[test]
fn a_row_with_nan_moves_nothing() {
    let mut graph = Graph::new();
    let (x, w) = (graph.input("x", [2, 2]).unwrap(), graph.parameter("w", [2]).unwrap());
    let p = graph.parameter("p", [2]).unwrap();
    let top = graph.arg_max(x).unwrap();
    let ones = graph.constant(1.0, [2]).unwrap();
    graph.assign(p, ones).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, w, ones).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    graph.update(rule, None, loss, &[(w, gradients[0])]).unwrap();
    let mut executor = executor(&graph, &[top]);
    let gpu = gpu();
    let (buffer, offset) = executor.buffer_of(x).unwrap();
    let bad = [1.0f32, 2.0, f32::NAN, 0.0].map(f32::to_le_bytes);
    gpu.queue().write_buffer(buffer, offset, bad.as_flattened());
    let step = Step::training(rule, 9, 0, 0.5);
    let error = executor.run_blocking(&[step]).unwrap_err();
    assert!(matches!(error, Error::NotANumber { step: 9 }), "{error:?}");
    for parameter in [w, p] {
        assert_eq!(executor.read_blocking(parameter).unwrap(), [0.0; 2]);
    }
    // Nothing moves until it is said that it may.
    executor.write(x, &[1.0; 4]).unwrap();
    assert!(matches!(executor.run_blocking(&[step]), Err(Error::NotANumber { step: 9 })));
    executor.parameters().clear_status().unwrap();
    executor.run_blocking(&[step]).unwrap();
    assert_eq!(executor.read_blocking(p).unwrap(), [1.0; 2]);
}

#[test]
fn what_cannot_be_assigned_is_refused() {
    let mut graph = Graph::new();
    let (x, p) = (graph.input("x", [2]).unwrap(), graph.parameter("p", [2]).unwrap());
    let (q, wide) = (graph.parameter("q", [2]).unwrap(), graph.input("wide", [3]).unwrap());
    let reshaped = graph.reshape(q, [2, 1]).unwrap();
    let reshaped = graph.reshape(reshaped, [2]).unwrap();
    let refused = |graph: &mut Graph, [parameter, value]: [Tensor; 2], part: &str| {
        let error = graph.assign(parameter, value).unwrap_err().to_string();
        assert!(error.contains(part), "'{part}' is not in: {error}");
    };
    refused(&mut graph, [x, p], "'x' is not a parameter");
    refused(&mut graph, [p, wide], "equal shapes");
    refused(&mut graph, [p, p], "the parameter 'p' itself");
    refused(&mut graph, [p, reshaped], "the parameter 'q' itself");
    graph.assign(p, x).unwrap();
    refused(&mut graph, [p, x], "assigned to twice");
    let loss = graph.loss(Loss::MeanSquaredError, p, x).unwrap();
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    let error = graph.update(rule, None, loss, &[(p, x)]).unwrap_err().to_string();
    assert!(error.contains("'p' is assigned to"), "{error}");
    graph.update(rule, None, loss, &[(q, x)]).unwrap();
    refused(&mut graph, [q, x], "the update moves 'q'");
    // Assignments are of whole steps.
    let options = PlanOptions { portion: PlanScope::Gradients, ..PlanOptions::default() };
    let error = Plan::with_options(&graph, &options, &Target::default()).unwrap_err().to_string();
    assert!(error.contains("PlanScope::Step"), "{error}");
}
