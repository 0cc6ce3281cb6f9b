//! Random programs: whatever is asked of a graph, it answers with a tensor or with an error; and
//! what it accepts is planned, bound and computed right, fused or not.

use std::cell::Cell;

use crate::common::twin::{self, Value, Values};
use crate::common::{Run, within_bounds};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wgrad::exec::{Executor, Step};
use wgrad::graph::{
    Binary, Count, DType, Graph, Layout, Loss, Reduction, Shape, Tensor, Unary, UpdateRule,
};
use wgrad::plan::{Place, Plan, PlanOptions, Target};
use wgrad::{Error, Gpu};

/// The same cases each time, and none kept in files.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    TestRunner::new_with_rng(config, rng)
}

/// A call of a builder's method. Numbers are taken as they come: handles count tensors of the graph
/// (and a few that it does not have), axes may not exist, shapes may be empty or endless.
#[derive(Clone, Debug)]
enum Call {
    Input(Vec<usize>),
    IndexInput(Vec<usize>),
    Parameter(Vec<usize>),
    Constant(f32, Vec<usize>),
    MatMul(Layout, usize, usize),
    BiasAdd(usize, usize),
    Binary(Binary, usize, usize),
    Scale(usize, f32),
    Unary(Unary, usize),
    Softmax(usize, usize),
    LogSoftmax(usize, usize),
    Reduce(Reduction, usize, usize, usize),
    Expand(usize, Vec<usize>, usize, usize, f32),
    Gather(usize, usize),
    Batch(usize, usize, usize),
    Reshape(usize, Vec<usize>),
    Loss(Loss, usize, usize),
    Count(Count, usize, usize),
    Gradients(usize, Vec<usize>),
    Update(UpdateRule, Option<f32>, usize, Vec<(usize, usize)>),
}

/// Mostly small; now and then a size that no memory holds.
fn extent() -> impl Strategy<Value = usize> {
    prop_oneof![
        20 => 1usize..5,
        1 => Just(0),
        1 => Just(1 << 16),
        1 => Just(1 << 33),
        1 => Just(usize::MAX),
    ]
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(extent(), 0..5)
}

fn axis() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0usize..5, 1 => Just(usize::MAX), 1 => Just(usize::MAX - 1)]
}

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        10 => -4.0f32..4.0,
        1 => Just(0.0),
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::MAX),
        1 => Just(f32::MIN_POSITIVE / 2.0),
    ]
}

fn layout() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::NN), Just(Layout::NT), Just(Layout::TN)]
}

fn binary() -> impl Strategy<Value = Binary> {
    prop::sample::select(Binary::ALL)
}

fn reduction() -> impl Strategy<Value = Reduction> {
    prop_oneof![Just(Reduction::Sum), Just(Reduction::Mean), Just(Reduction::Max)]
}

fn unary() -> impl Strategy<Value = Unary> {
    let any = prop::sample::select(Unary::ALL);
    let other = (any.clone(), number()).prop_map(|(any, number)| any.with_parameter(number));
    prop_oneof![9 => any, 1 => other]
}

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![
        Just(Loss::MeanSquaredError),
        Just(Loss::MeanAbsoluteError),
        number().prop_map(|delta| Loss::Huber { delta }),
        Just(Loss::SoftmaxCrossEntropy),
        Just(Loss::SoftmaxCrossEntropyProbabilities),
        Just(Loss::BinaryCrossEntropy),
    ]
}

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![
        Just(Count::Correct),
        Just(Count::CorrectBinary),
        Just(Count::CorrectProbabilities),
        Just(Count::AbsoluteError),
        Just(Count::SquaredError),
    ]
}

fn rule() -> impl Strategy<Value = UpdateRule> {
    let figures = prop::collection::vec(number(), 4);
    (prop::sample::select(UpdateRule::ALL), figures).prop_map(|(rule, figures)| {
        rule.hyperparameters()
            .into_iter()
            .zip(figures)
            .fold(rule, |rule, ((name, _), value)| rule.with_hyperparameter(name, value).unwrap())
    })
}

fn call() -> impl Strategy<Value = Call> {
    let handle = || 0usize..40;
    prop_oneof![
        4 => shape().prop_map(Call::Input),
        2 => shape().prop_map(Call::IndexInput),
        2 => shape().prop_map(Call::Parameter),
        1 => (number(), shape()).prop_map(|(value, shape)| Call::Constant(value, shape)),
        4 => (layout(), handle(), handle()).prop_map(|(l, a, b)| Call::MatMul(l, a, b)),
        3 => (handle(), handle()).prop_map(|(a, b)| Call::BiasAdd(a, b)),
        6 => (binary(), handle(), handle()).prop_map(|(op, a, b)| Call::Binary(op, a, b)),
        2 => (handle(), number()).prop_map(|(x, factor)| Call::Scale(x, factor)),
        3 => (unary(), handle()).prop_map(|(f, x)| Call::Unary(f, x)),
        2 => (handle(), axis()).prop_map(|(x, axis)| Call::Softmax(x, axis)),
        2 => (handle(), axis()).prop_map(|(x, axis)| Call::LogSoftmax(x, axis)),
        6 => (reduction(), handle(), axis(), axis()).prop_map(|(r, x, a, b)| Call::Reduce(r, x, a, b)),
        3 => (handle(), shape(), axis(), axis(), number())
            .prop_map(|(x, shape, a, b, scale)| Call::Expand(x, shape, a, b, scale)),
        3 => (handle(), handle()).prop_map(|(x, i)| Call::Gather(x, i)),
        3 => (handle(), handle(), extent()).prop_map(|(x, i, n)| Call::Batch(x, i, n)),
        3 => (handle(), shape()).prop_map(|(x, shape)| Call::Reshape(x, shape)),
        4 => (loss(), handle(), handle()).prop_map(|(loss, p, t)| Call::Loss(loss, p, t)),
        3 => (count(), handle(), handle()).prop_map(|(count, p, t)| Call::Count(count, p, t)),
        3 => (handle(), prop::collection::vec(handle(), 0..4))
            .prop_map(|(of, wrt)| Call::Gradients(of, wrt)),
        2 => (rule(), prop::option::of(number()), handle(), prop::collection::vec((handle(), handle()), 0..3))
            .prop_map(|(rule, clip, loss, pairs)| Call::Update(rule, clip, loss, pairs)),
    ]
}

/// Makes the call with handles that the graph gave; returns what it says.
fn make(graph: &mut Graph, call: &Call, handles: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    // Of another graph.
    let foreign = Graph::new().input("x", [1])?;
    let at = |number: &usize| match number {
        39 => foreign,
        number => handles.get(number % handles.len().max(1)).copied().unwrap_or(foreign),
    };
    let one = |result: Result<Tensor, Error>| result.map(|tensor| vec![tensor]);
    match call {
        Call::Input(shape) => one(graph.input("x", shape.as_slice())),
        Call::IndexInput(shape) => one(graph.index_input("i", shape.as_slice())),
        Call::Parameter(shape) => one(graph.parameter("w", shape.as_slice())),
        Call::Constant(value, shape) => one(graph.constant(*value, shape.as_slice())),
        Call::MatMul(layout, a, b) => one(graph.matmul_layout(*layout, at(a), at(b))),
        Call::BiasAdd(x, bias) => one(graph.bias_add(at(x), at(bias))),
        Call::Binary(op, a, b) => one(graph.binary(*op, at(a), at(b))),
        Call::Scale(x, factor) => one(graph.scale(at(x), *factor)),
        Call::Unary(f, x) => one(graph.unary(*f, at(x))),
        Call::Softmax(x, axis) => one(graph.softmax(at(x), *axis)),
        Call::LogSoftmax(x, axis) => one(graph.log_softmax(at(x), *axis)),
        Call::Reduce(kind, x, start, end) => one(graph.reduce(*kind, at(x), *start, *end)),
        Call::Expand(x, shape, start, end, scale) => {
            one(graph.expand(at(x), shape.as_slice(), *start, *end, *scale))
        }
        Call::Gather(x, indices) => one(graph.gather(at(x), at(indices))),
        Call::Batch(x, order, rows) => one(graph.batch(at(x), at(order), *rows)),
        Call::Reshape(x, shape) => one(graph.reshape(at(x), shape.as_slice())),
        Call::Loss(loss, p, t) => one(graph.loss(*loss, at(p), at(t))),
        Call::Count(count, p, t) => one(graph.count(*count, at(p), at(t))),
        Call::Gradients(of, wrt) => {
            let wrt: Vec<Tensor> = wrt.iter().map(at).collect();
            graph.gradients(at(of), &wrt)
        }
        Call::Update(rule, clip, loss, pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(w, g)| (at(w), at(g))).collect();
            graph.update(*rule, *clip, at(loss), &pairs).map(|()| Vec::new())
        }
    }
}

thread_local! {
    // Never dropped: wgpu wants thread-locals of its own then, which may be gone already.
    static NOOP: &'static Gpu = {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        Box::leak(Box::new(Gpu::from_device(&device, &queue)))
    };
}

/// No call panics; a call that is refused says so and, but for gradients, leaves the graph alone;
/// one that is not makes a tensor of at least one element. What was built can be planned, and bound
/// where it is small enough, without a panic either.
#[test]
fn no_call_panics() {
    let [accepted, refused, planned, bound] = [(); 4].map(|()| Cell::new(0));
    let one_more = |tally: &Cell<u32>| tally.set(tally.get() + 1);
    let programs = prop::collection::vec(call(), 1..40);
    runner(400)
        .run(&programs, |calls| {
            let mut graph = Graph::new();
            let mut handles = Vec::new();
            for call in &calls {
                let before = (graph.tensors().len(), graph.nodes().len());
                match make(&mut graph, call, &handles) {
                    Ok(results) => {
                        one_more(&accepted);
                        handles.extend(&results);
                        for tensor in results {
                            let shape = graph.shape(tensor).unwrap();
                            prop_assert!(shape.elements() > 0 && shape.elements() < 1 << 32);
                            prop_assert_eq!(shape.rows() * shape.columns(), shape.elements());
                        }
                    }
                    Err(error) => {
                        one_more(&refused);
                        prop_assert!(
                            matches!(error, Error::Shape { .. } | Error::Argument { .. }),
                            "{:?}",
                            error
                        );
                        prop_assert!(error.to_string().len() > 10);
                        let after = (graph.tensors().len(), graph.nodes().len());
                        prop_assert!(before == after || matches!(call, Call::Gradients(..)));
                    }
                }
            }
            // Every node comes after those it reads, and reads what it names.
            for (position, node) in graph.nodes().iter().enumerate() {
                let written_later =
                    |t: &Tensor| graph.nodes()[position..].iter().any(|n| n.output == *t);
                prop_assert!(!node.inputs.iter().any(written_later));
            }
            let computed: Vec<Tensor> = graph.nodes().iter().map(|node| node.output).collect();
            for fuse in [true, false] {
                let options =
                    PlanOptions { outputs: computed.clone(), fuse, ..PlanOptions::default() };
                let Ok(plan) = Plan::with_options(&graph, &options, &Target::default()) else {
                    continue;
                };
                one_more(&planned);
                prop_assert!(plan.to_string().contains("dispatches"));
                let bytes = |t: &Tensor| graph.shape(*t).unwrap().bytes();
                let inputs: usize = plan.inputs().iter().map(bytes).sum();
                if inputs as u64 + plan.memory().bytes() + plan.arena().bytes() < 1 << 20 {
                    one_more(&bound);
                    // A plan that trains takes no step without a learning rate.
                    let step = match plan.rule() {
                        Some(rule) => Step::training(rule, 0, 0, 1e-3),
                        None => Step::forward(0),
                    };
                    let executor = Executor::new_blocking(NOOP.with(|gpu| *gpu), plan);
                    prop_assert!(executor.is_ok(), "{:?}", executor.err());
                    let ran = executor.unwrap().run_blocking(&[step; 2]);
                    prop_assert!(ran.is_ok(), "{:?}", ran.err());
                }
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let tallies = [accepted, refused, planned, bound].map(Cell::into_inner);
    // The cases prove something only if many go through.
    let least = [1000, 1000, 400, 200];
    assert!(tallies.iter().zip(least).all(|(&n, least)| n >= least), "{tallies:?}");
}

/// A program of calls that fit: each number chooses among what is possible.
struct Grown {
    graph: Graph,
    values: Values,
    wrt: Vec<Tensor>,
    last: Tensor,
}

/// Values between -1 and 1, of a small generator of its own.
fn value(seed: &mut u64) -> f32 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*seed >> 40) as f32 / (1 << 23) as f32) - 1.0
}

impl Grown {
    fn new(dims: &[usize], mut seed: u64) -> Self {
        let mut graph = Graph::new();
        let last = graph.input("x", dims).unwrap();
        let elements = dims.iter().product();
        let held: Vec<f32> = (0..elements).map(|_| value(&mut seed)).collect();
        let values = Values::from([(last, Value::exact(&held))]);
        Self { graph, values, wrt: vec![last], last }
    }

    fn operand(&mut self, shape: &[usize], seed: &mut u64) -> Tensor {
        let tensor = self.graph.parameter("w", shape).unwrap();
        let held: Vec<f32> = (0..shape.iter().product()).map(|_| value(seed)).collect();
        self.values.insert(tensor, Value::exact(&held));
        self.wrt.push(tensor);
        tensor
    }

    /// Puts an operation on top of an earlier tensor, mostly the last.
    fn grow(&mut self, choice: u64) {
        let mut seed = choice;
        let mut pick = |n: usize| (value(&mut seed).abs() * n as f32) as usize % n.max(1);
        let (op, branch, axis, extent) = (pick(16), pick(4), pick(97), 1 + pick(6));
        let floats: Vec<Tensor> = (0..self.graph.nodes().len())
            .map(|i| self.graph.nodes()[i].output)
            .filter(|&t| self.graph.info(t).unwrap().dtype == DType::F32)
            .collect();
        let x = match floats.get(axis % floats.len().max(1)) {
            Some(&earlier) if branch == 0 => earlier,
            _ => self.last,
        };
        let dims = self.graph.shape(x).unwrap().dims().to_vec();
        let rank = dims.len();
        let g = &mut self.graph;
        let made = match op {
            0 => g.unary(if axis % 2 == 0 { Unary::Tanh } else { Unary::Sigmoid }, x),
            1 => g.dropout(x, 0.25, axis as u64),
            2 => g.unary(Unary::LeakyRelu { slope: 0.25 }, x),
            3 => g.scale(x, 0.75),
            4 | 5 if rank == 2 => {
                let w = self.operand(&[dims[1], extent], &mut seed);
                let product = self.graph.matmul(x, w).unwrap();
                let bias = self.operand(&[extent], &mut seed);
                self.graph.bias_add(product, bias)
            }
            6 if rank == 2 => {
                let w = self.operand(&[extent, dims[1]], &mut seed);
                self.graph.matmul_layout(Layout::NT, x, w)
            }
            7 if rank == 2 => {
                let w = self.operand(&[dims[0], extent], &mut seed);
                self.graph.matmul_layout(Layout::TN, x, w)
            }
            8 if rank > 0 => {
                let row = self.operand(&[dims[rank - 1]], &mut seed);
                self.graph.mul(x, row)
            }
            9 => {
                let w = self.operand(&dims, &mut seed);
                let product = self.graph.mul(x, w).unwrap();
                self.graph.sub(product, x)
            }
            10 if rank > 0 => g.softmax(x, axis % rank),
            11 if rank > 0 => g.log_softmax(x, axis % rank),
            12 if rank > 1 => g.sum(x, axis % rank),
            13 if rank > 1 => g.mean(x, axis % rank),
            14 if rank < 4 => {
                let axis = axis % (rank + 1);
                let mut shape = dims.clone();
                shape.insert(axis, extent);
                g.expand(x, shape, axis, axis + 1, 0.5)
            }
            15 if rank > 1 => {
                let mut shape = dims[2..].to_vec();
                shape.insert(0, dims[0] * dims[1]);
                g.reshape(x, shape)
            }
            _ => g.add(x, x),
        };
        self.last = made.expect("calls that fit");
    }

    /// A scalar with a gradient that differs from element to element.
    fn finish(&mut self, mut seed: u64) -> Tensor {
        let shape = self.graph.shape(self.last).unwrap().clone();
        let weights = self.operand(shape.dims(), &mut seed);
        let product = self.graph.mul(self.last, weights).unwrap();
        match shape.rank() {
            0 => product,
            rank => self.graph.reduce(Reduction::Sum, product, 0, rank).unwrap(),
        }
    }
}

/// Random graphs of operations that fit, with their gradients: on the device, fused and not, with
/// and without reuse of memory, they are what the twin computes, within its bounds.
#[test]
fn random_graphs_and_their_gradients_agree_with_the_twin() {
    let programs = (
        prop::collection::vec(1usize..6, 1..4),
        prop::collection::vec(any::<u64>(), 1..9),
        any::<u64>(),
    );
    runner(40)
        .run(&programs, |(dims, choices, seed)| {
            let mut grown = Grown::new(&dims, seed);
            choices.iter().for_each(|&choice| grown.grow(choice));
            let scalar = grown.finish(seed);
            let depends = |t: &Tensor| {
                let mut reached = vec![*t];
                for node in grown.graph.nodes() {
                    if node.inputs.iter().any(|i| reached.contains(i)) {
                        reached.push(node.output);
                    }
                }
                reached.contains(&scalar)
            };
            let wrt: Vec<Tensor> = grown.wrt.iter().copied().filter(depends).collect();
            let gradients = grown.graph.gradients(scalar, &wrt).unwrap();
            let mut outputs = vec![grown.last, scalar];
            outputs.extend(gradients);
            let all = twin::evaluate(&grown.graph, &grown.values, 0);
            for (fuse, reuse_memory) in [(true, true), (true, false), (false, true)] {
                let run = Run { fuse, reuse_memory, ..Run::default() };
                let found = run.run(&grown.graph, &outputs, &grown.values);
                for (&output, found) in outputs.iter().zip(&found) {
                    let expected = twin::value_of(&grown.graph, &all, output);
                    let ops: Vec<String> =
                        grown.graph.nodes().iter().map(|node| node.op.to_string()).collect();
                    let name = format!(
                        "'{}' of {ops:?} on {dims:?} (fuse: {fuse}, reuse: {reuse_memory})",
                        grown.graph.info(output).unwrap().name
                    );
                    within_bounds(&name, found, expected.floats());
                }
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// Places of a plan do not collide: what is alive at the same level lies apart.
#[test]
fn tensors_that_are_alive_together_lie_apart() {
    let programs =
        (prop::collection::vec(1usize..6, 1..4), prop::collection::vec(any::<u64>(), 1..20));
    runner(200)
        .run(&programs, |(dims, choices)| {
            let mut grown = Grown::new(&dims, 1);
            choices.iter().for_each(|&choice| grown.grow(choice));
            let scalar = grown.finish(1);
            let gradients = grown.graph.gradients(scalar, &grown.wrt[..1]);
            let mut outputs = vec![scalar];
            outputs.extend(gradients.unwrap_or_default());
            let plan = Plan::new(&grown.graph, &outputs, &Target::default()).unwrap();
            let slot = |t: Tensor| match plan.place(t) {
                Place::Slot(slot) => Some(slot),
                _ => None,
            };
            // For each tensor in a slot: first and last level that touches it.
            let mut lives: Vec<(Tensor, usize, usize)> = Vec::new();
            for dispatch in plan.dispatches() {
                for &tensor in dispatch.reads.iter().chain(&dispatch.writes) {
                    match lives.iter_mut().find(|(t, ..)| *t == tensor) {
                        Some((_, first, last)) => {
                            *first = (*first).min(dispatch.level);
                            *last = (*last).max(dispatch.level);
                        }
                        None => lives.push((tensor, dispatch.level, dispatch.level)),
                    }
                }
            }
            for (i, &(a, a_first, mut a_last)) in lives.iter().enumerate() {
                if outputs.contains(&a) {
                    a_last = usize::MAX;
                }
                for &(b, b_first, b_last) in &lives[i + 1..] {
                    let b_last = if outputs.contains(&b) { usize::MAX } else { b_last };
                    let meet = a_first <= b_last && b_first <= a_last;
                    let same = slot(a).is_some() && slot(a) == slot(b);
                    prop_assert!(!(meet && same), "{:?} and {:?} in\n{}", a, b, plan);
                }
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn shapes_print_as_people_write_them() {
    runner(100)
        .run(&prop::collection::vec(1usize..2000, 0..6), |dims| {
            let shape = Shape::from(dims.clone());
            let text = shape.to_string();
            let back: Vec<usize> = match text.as_str() {
                "scalar" => Vec::new(),
                text => text.split('×').map(|n| n.parse().unwrap()).collect(),
            };
            prop_assert_eq!(back, dims);
            Ok(())
        })
        .unwrap();
}
