//! What kernels say of their loops, without long ones: that no launch takes more turns than it may,
//! whatever the shape; that what is split comes to the same values; and that no loop is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::cases::{self, Net};
use crate::common::twin::Value;
use crate::common::{Run, check_run, gpu, tilings};
use naga::{Block, Expression, Literal, Module, Statement};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use wgrad::Error;
use wgrad::graph::{Count, DType, Graph, Loss, Reduction, Role, Tensor, UpdateRule};
use wgrad::kernel::Launch;
use wgrad::kernel::reflect::source;
use wgrad::plan::{AdapterClass, MOST_TURNS, Plan, PlanOptions, Target};

/// An operation whose loops run along `n`, in a graph of its own.
struct Operation {
    name: &'static str,
    /// Its outputs over `[outer, n, inner]`; and below what the indices among its inputs must be.
    build: Build,
    /// Whether it may be refused for its length: where one workgroup must see all of a line.
    may_be_refused: bool,
}

const OPERATIONS: [Operation; 13] = [
    reduction("sum", |graph, shape| reduce(graph, shape, Reduction::Sum)),
    reduction("mean", |graph, shape| reduce(graph, shape, Reduction::Mean)),
    reduction("max", |graph, shape| reduce(graph, shape, Reduction::Max)),
    along_lines("gradient of a maximum", |graph, shape| {
        let x = graph.input("x", shape)?;
        let y = graph.max(x, 1)?;
        gradients(graph, y, &[x])
    }),
    along_lines("softmax", |graph, shape| {
        let x = graph.input("x", shape)?;
        let y = graph.softmax(x, 1)?;
        gradients(graph, y, &[x])
    }),
    along_lines("log_softmax", |graph, shape| {
        let x = graph.input("x", shape)?;
        let y = graph.log_softmax(x, 1)?;
        gradients(graph, y, &[x])
    }),
    along_lines("cross-entropy", |graph, shape| loss(graph, shape, Loss::SoftmaxCrossEntropy)),
    along_lines("cross-entropy of probabilities", |graph, shape| {
        loss(graph, shape, Loss::SoftmaxCrossEntropyProbabilities)
    }),
    along_lines("correct classes", |graph, shape| count(graph, shape, Count::Correct)),
    along_lines("correct probabilities", |graph, shape| {
        count(graph, shape, Count::CorrectProbabilities)
    }),
    reduction("squared error", |graph, shape| loss(graph, shape, Loss::MeanSquaredError)),
    reduction("gradient of gathered rows", |graph, [outer, n, inner]| {
        let (x, indices) = (graph.input("x", [outer, inner])?, graph.index_input("indices", [n])?);
        let y = graph.gather(x, indices)?;
        let (outputs, _) = gradients(graph, y, &[x])?;
        Ok((outputs, outer))
    }),
    reduction("dense layer", |graph, [outer, n, inner]| {
        let (x, w) = (graph.input("x", [n, outer])?, graph.input("w", [outer, inner])?);
        let bias = graph.input("bias", [inner])?;
        let product = graph.matmul(x, w)?;
        let y = graph.bias_add(product, bias)?;
        gradients(graph, y, &[w, bias, x])
    }),
];

/// What is read, and the bound of indices.
type Outputs = Result<(Vec<Tensor>, usize), Error>;
type Build = fn(&mut Graph, [usize; 3]) -> Outputs;

const fn reduction(name: &'static str, build: Build) -> Operation {
    Operation { name, build, may_be_refused: false }
}

const fn along_lines(name: &'static str, build: Build) -> Operation {
    Operation { name, build, may_be_refused: true }
}

fn reduce(graph: &mut Graph, shape: [usize; 3], reduction: Reduction) -> Outputs {
    let x = graph.input("x", shape)?;
    Ok((vec![graph.reduce(reduction, x, 1, 2)?], 1))
}

/// `y`, and its gradients times what another input holds.
fn gradients(graph: &mut Graph, y: Tensor, wrt: &[Tensor]) -> Outputs {
    let dy = graph.input("dy", graph.shape(y)?.clone())?;
    let mut outputs = graph.vector_jacobian(y, dy, wrt)?;
    outputs.push(y);
    Ok((outputs, 1))
}

/// Predictions in rows of `n`, and targets.
fn rows(
    graph: &mut Graph,
    [outer, n, inner]: [usize; 3],
    classes: bool,
) -> Result<[Tensor; 2], Error> {
    let predictions = graph.input("p", [outer, inner, n])?;
    let targets = match classes {
        true => graph.index_input("labels", [outer, inner])?,
        false => graph.input("t", [outer, inner, n])?,
    };
    Ok([predictions, targets])
}

fn loss(graph: &mut Graph, shape: [usize; 3], loss: Loss) -> Outputs {
    let [p, t] = rows(graph, shape, loss.takes_classes())?;
    let value = graph.loss(loss, p, t)?;
    let gradient = graph.gradients(value, &[p])?.remove(0);
    Ok((vec![value, gradient], shape[1]))
}

fn count(graph: &mut Graph, shape: [usize; 3], count: Count) -> Outputs {
    let [p, t] = rows(graph, shape, count == Count::Correct)?;
    Ok((vec![graph.count(count, p, t)?], shape[1]))
}

/// Whether a plan was refused for the turns of its loops.
fn too_long(error: &Error) -> bool {
    matches!(error, Error::Limit { unit: "turns of its loops", .. })
}

fn longest(plan: &Plan) -> u64 {
    plan.dispatches().iter().map(|dispatch| dispatch.launch.turns.most()).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        rng_seed: RngSeed::Fixed(4),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// With a few turns instead of thousands: on the device, against the twin.
    #[test]
    fn what_is_split_comes_to_the_same(
        operation in 0..OPERATIONS.len(),
        n in 1usize..3000,
        (outer, inner) in (1usize..4, prop_oneof![1usize..5, 17usize..35]),
        most_turns in 40u64..250,
        fuse: bool,
        seed: u64,
    ) {
        let Operation { name, build, may_be_refused } = &OPERATIONS[operation];
        let mut net = Net::new(seed);
        let (outputs, below) = build(&mut net.graph, [outer, n, inner]).unwrap();
        for (at, info) in net.graph.tensors().iter().enumerate() {
            let elements = info.shape.elements();
            let value = match (info.role, info.dtype) {
                (Role::Input, DType::F32) => {
                    let values = net.random.many(elements, |r| r.uniform(-0.5, 1.5));
                    Value::exact(&values)
                }
                (Role::Input, DType::U32) => {
                    Value::U((0..elements).map(|_| net.random.below(below) as u32).collect())
                }
                _ => continue,
            };
            net.values.insert(tensor(&net.graph, at), value);
        }
        // The parts of a product are at least 16 terms long.
        let most_turns = if *name == "dense layer" { most_turns.max(200) } else { most_turns };
        let run = Run { most_turns: Some(most_turns), fuse, ..Run::default() };
        match run.try_plan(&net.graph, &outputs) {
            Err(error) => prop_assert!(*may_be_refused && too_long(&error), "{name}: {error}"),
            Ok(plan) => {
                prop_assert!(longest(&plan) <= most_turns, "{plan}");
                let name = format!("{name} {:?}, {most_turns} turns", [outer, n, inner]);
                check_run(&run, &name, &net.graph, &outputs, &net.values);
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// As long as 32 bits count: either no loop is too long, or the plan is refused.
    #[test]
    fn no_loop_is_too_long(
        operation in 0..OPERATIONS.len(),
        bits in prop::array::uniform3(0f64..32.0),
        gpu: bool,
        fuse: bool,
    ) {
        let Operation { name, build, may_be_refused } = &OPERATIONS[operation];
        let shape = bits.map(|bits| bits.exp2() as usize);
        let mut graph = Graph::new();
        // A tensor that 32 bits do not count.
        let Ok((outputs, _)) = build(&mut graph, shape) else { return Ok(()) };
        let class = if gpu { AdapterClass::Gpu } else { AdapterClass::Software };
        match plan(&graph, &outputs, &Target { class, ..roomy() }, fuse) {
            Ok(plan) => prop_assert!(longest(&plan) <= MOST_TURNS, "{name} {shape:?}: {plan}"),
            Err(error) => prop_assert!(*may_be_refused && too_long(&error), "{name} {shape:?}: {error}"),
        }
    }
}

/// A device on which any tensor fits.
fn roomy() -> Target {
    let any = u64::MAX;
    Target { max_binding_bytes: any, max_buffer_bytes: any, ..Target::default() }
}

fn plan(graph: &Graph, outputs: &[Tensor], target: &Target, fuse: bool) -> Result<Plan, Error> {
    let options = PlanOptions { outputs: outputs.to_vec(), fuse, ..PlanOptions::default() };
    Plan::with_options(graph, &options, target)
}

/// The tensor of this number.
fn tensor(graph: &Graph, at: usize) -> Tensor {
    let node = |t: &Tensor| t.index() == at;
    let all = graph.nodes().iter().flat_map(|node| node.inputs.iter().chain([&node.output]));
    *all.into_iter().find(|t| node(t)).expect("a tensor that is used")
}

/// The norm of all gradients is a sum over the parameters.
#[test]
fn norms_of_many_gradients() {
    for elements in [100, 1 << 20, u32::MAX as usize] {
        let plan = clipped(elements, &roomy()).unwrap();
        assert!(longest(&plan) <= MOST_TURNS, "{plan}");
        assert!(plan.dispatches().iter().any(|d| d.launch.name == "norm_partials"));
    }
}

/// A plan that trains so many parameters, with clipping.
fn clipped(elements: usize, target: &Target) -> Result<Plan, Error> {
    let mut graph = Graph::new();
    let w = graph.parameter("w", [elements])?;
    let loss = graph.sum(w, 0)?;
    let gradient = graph.gradients(loss, &[w])?.remove(0);
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    graph.update(rule, Some(1.0), loss, &[(w, gradient)])?;
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    Plan::with_options(&graph, &options, target)
}

/// Every loop in the WGSL of a launch is among those whose turns it says: a loop more, and this fails.
#[test]
fn no_loop_is_forgotten() {
    let mut seen = BTreeSet::new();
    let mut known = BTreeMap::new();
    let mut check = |plan: Plan| {
        for dispatch in plan.dispatches() {
            let launch = &dispatch.launch;
            let parts: Vec<&str> = launch.parts.iter().map(|part| part.name).collect();
            let loops = *known.entry(parts).or_insert_with(|| loops_of(launch));
            assert_eq!(launch.turns.loops(), loops, "{}", launch.name);
            seen.insert(launch.name.clone());
        }
    };
    let mut targets: Vec<Target> = tilings()
        .into_iter()
        .map(|tiling| Target { tiling: Some(tiling), ..gpu().target() })
        .collect();
    targets.extend([40, 200].map(|most_turns| Target { most_turns, ..gpu().target() }));
    for target in &targets {
        for Operation { build, .. } in &OPERATIONS {
            for shape in [[3, 7, 5], [2, 3000, 17], [4000, 3, 9]] {
                let mut graph = Graph::new();
                let (outputs, _) = build(&mut graph, shape).unwrap();
                for fuse in [false, true] {
                    match plan(&graph, &outputs, target, fuse) {
                        Ok(plan) => check(plan),
                        Err(error) => assert!(too_long(&error), "{error}"),
                    }
                }
            }
        }
        check(clipped(100_000, target).unwrap());
    }
    for mut case in cases::all() {
        let outputs = case.graph.gradients(case.of, &case.wrt).unwrap();
        for fuse in [false, true] {
            check(plan(&case.graph, &outputs, &gpu().target(), fuse).unwrap());
        }
    }
    for name in
        ["max_grad", "join parts", "sum in ", "max in ", "sum_partials", "norm_partials", "gather"]
    {
        assert!(seen.iter().any(|seen| seen.starts_with(name)), "{name} is not among {seen:?}");
    }
}

fn loops_of(launch: &Launch) -> u64 {
    let text = source(&launch.parts);
    let module = naga::front::wgsl::parse_str(&text).unwrap();
    let main = &module.entry_points[0].function;
    loops_in(&module, main, &main.body)
}

/// Loops in the code, those of a function as often as it is called.
fn loops_in(module: &Module, function: &naga::Function, block: &Block) -> u64 {
    let inside = |block| loops_in(module, function, block);
    block
        .iter()
        .map(|statement| match statement {
            Statement::Block(block) => inside(block),
            Statement::If { condition, accept, reject } => {
                match constant(module, &function.expressions[*condition]) {
                    Some(true) => inside(accept),
                    Some(false) => inside(reject),
                    None => inside(accept) + inside(reject),
                }
            }
            Statement::Switch { cases, .. } => cases.iter().map(|case| inside(&case.body)).sum(),
            Statement::Loop { body, continuing, .. } => 1 + inside(body) + inside(continuing),
            Statement::Call { function, .. } => {
                let called = &module.functions[*function];
                loops_in(module, called, &called.body)
            }
            _ => 0,
        })
        .sum()
}

/// The value of a condition that a compiler knows.
fn constant(module: &Module, condition: &Expression) -> Option<bool> {
    match condition {
        Expression::Literal(Literal::Bool(value)) => Some(*value),
        Expression::Constant(constant) => {
            let init = module.constants[*constant].init;
            match module.global_expressions[init] {
                Expression::Literal(Literal::Bool(value)) => Some(value),
                _ => None,
            }
        }
        _ => None,
    }
}
