//! Handles on tensors of one graph mean nothing to another, also if the other was built alike.

use proptest::prelude::*;
use wgrad::exec::{Executor, ExecutorOptions};
use wgrad::graph::{
    Binary, Count, DType, Graph, Layout, Loss, Reduction, Tensor, Unary, UpdateRule,
};
use wgrad::nn::Sequential;
use wgrad::plan::{Place, Plan, PlanOptions, Target};
use wgrad::{Error, Gpu};

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

/// A graph in which every operation finds operands that fit.
struct Shelf {
    graph: Graph,
    /// Parameter, 3×3.
    w: Tensor,
    /// Input, 3×3.
    x: Tensor,
    /// Input, 3.
    row: Tensor,
    /// Input of `u32`, 3.
    labels: Tensor,
    /// Computed from `w`, scalar.
    loss: Tensor,
}

fn shelf() -> Shelf {
    let mut graph = Graph::new();
    let w = graph.parameter("w", [3, 3]).unwrap();
    let x = graph.input("x", [3, 3]).unwrap();
    let row = graph.input("row", [3]).unwrap();
    let labels = graph.index_input("labels", [3]).unwrap();
    let y = graph.matmul(x, w).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, x).unwrap();
    Shelf { graph, w, x, row, labels, loss }
}

/// The operands of a call.
type Operands = [Tensor; 2];
type Suited = fn(&Shelf) -> Operands;
type Call = fn(&mut Graph, Operands) -> Result<Vec<Tensor>, Error>;

/// Every method of a graph that takes handles, how many, and which tensors suit it.
fn calls() -> Vec<(&'static str, usize, Suited, Call)> {
    macro_rules! calls {
        ($($name:literal $count:literal [$first:ident $second:ident]
            |$g:ident, $a:pat_param, $b:pat_param| $call:expr;)*) => {
            vec![$((
                $name,
                $count,
                (|shelf: &Shelf| [shelf.$first, shelf.$second]) as Suited,
                (|$g: &mut Graph, [$a, $b]: Operands| $call) as Call,
            )),*]
        };
    }
    calls! {
        "matmul" 2 [x w] |g, a, b| g.matmul(a, b).map(|t| vec![t]);
        "matmul_layout" 2 [x w] |g, a, b| g.matmul_layout(Layout::TN, a, b).map(|t| vec![t]);
        "bias_add" 2 [x row] |g, a, b| g.bias_add(a, b).map(|t| vec![t]);
        "add" 2 [x w] |g, a, b| g.add(a, b).map(|t| vec![t]);
        "sub" 2 [x row] |g, a, b| g.sub(a, b).map(|t| vec![t]);
        "mul" 2 [x loss] |g, a, b| g.mul(a, b).map(|t| vec![t]);
        "binary" 2 [x w] |g, a, b| g.binary(Binary::Mul, a, b).map(|t| vec![t]);
        "div" 2 [x row] |g, a, b| g.div(a, b).map(|t| vec![t]);
        "select" 2 [x w] |g, a, b| g.select(a, b, b).map(|t| vec![t]);
        "select, mask" 2 [x w] |g, a, b| g.select(b, a, a).map(|t| vec![t]);
        "arg_max" 1 [x x] |g, a, _| g.arg_max(a).map(|t| vec![t]);
        "arg_min" 1 [x x] |g, a, _| g.arg_min(a).map(|t| vec![t]);
        "segment_sum" 2 [x labels] |g, a, b| g.segment_sum(a, b, 2, 1).map(|t| vec![t]);
        "slice" 1 [x x] |g, a, _| g.slice(a, 1, 1, 3).map(|t| vec![t]);
        "concat" 2 [x w] |g, a, b| g.concat(&[a, b], 1).map(|t| vec![t]);
        "transpose" 1 [x x] |g, a, _| g.transpose(a).map(|t| vec![t]);
        "assign" 2 [w x] |g, a, b| g.assign(a, b).map(|()| Vec::new());
        "scale" 1 [x x] |g, a, _| g.scale(a, 2.0).map(|t| vec![t]);
        "unary" 1 [x x] |g, a, _| g.unary(Unary::Gelu, a).map(|t| vec![t]);
        "softmax" 1 [x x] |g, a, _| g.softmax(a, 1).map(|t| vec![t]);
        "log_softmax" 1 [x x] |g, a, _| g.log_softmax(a, 0).map(|t| vec![t]);
        "sum" 1 [x x] |g, a, _| g.sum(a, 0).map(|t| vec![t]);
        "mean" 1 [x x] |g, a, _| g.mean(a, 1).map(|t| vec![t]);
        "max" 1 [x x] |g, a, _| g.max(a, 1).map(|t| vec![t]);
        "reduce" 1 [x x] |g, a, _| g.reduce(Reduction::Max, a, 0, 2).map(|t| vec![t]);
        "expand" 1 [row row] |g, a, _| g.expand(a, [3, 5], 1, 2, 0.5).map(|t| vec![t]);
        "gather" 2 [x labels] |g, a, b| g.gather(a, b).map(|t| vec![t]);
        "batch" 2 [x labels] |g, a, b| g.batch(a, b, 2).map(|t| vec![t]);
        "reshape" 1 [x x] |g, a, _| g.reshape(a, [9]).map(|t| vec![t]);
        "loss" 2 [x w] |g, a, b| g.loss(Loss::Huber { delta: 1.0 }, a, b).map(|t| vec![t]);
        "loss of classes" 2 [x labels]
            |g, a, b| g.loss(Loss::SoftmaxCrossEntropy, a, b).map(|t| vec![t]);
        "count" 2 [x labels] |g, a, b| g.count(Count::Correct, a, b).map(|t| vec![t]);
        "gradients" 2 [loss w] |g, a, b| g.gradients(a, &[b]);
        "vector_jacobian" 2 [loss w] |g, a, b| {
            let one = g.constant(1.0, [])?;
            g.vector_jacobian(a, one, &[b])
        };
        "vector_jacobian, upstream" 2 [loss loss] |g, a, b| g.vector_jacobian(a, b, &[]);
        "update, loss and parameter" 2 [loss w] |g, a, b| {
            g.update(SGD, None, a, &[(b, b)]).map(|()| Vec::new())
        };
        "update, gradient" 2 [w x] |g, a, b| {
            let one = g.constant(1.0, [])?;
            g.update(SGD, None, one, &[(a, b)]).map(|()| Vec::new())
        };
        "info" 1 [x x] |g, a, _| g.info(a).map(|_| Vec::new());
        "shape" 1 [x x] |g, a, _| g.shape(a).map(|_| Vec::new());
        "plan of outputs" 2 [x loss] |g, a, b| {
            Plan::new(g, &[a, b], &Target::default()).map(|_| Vec::new())
        };
        "plan of results" 1 [loss loss] |g, a, _| {
            let options = PlanOptions { results: vec![a], ..PlanOptions::default() };
            Plan::with_options(g, &options, &Target::default()).map(|_| Vec::new())
        };
    }
}

fn refuses<T>(what: &str, result: Result<T, Error>) {
    match result {
        Ok(_) => panic!("{what} takes the handle of another graph"),
        Err(error) => {
            assert!(matches!(error, Error::Shape { .. }), "{what}: {error:?}");
            assert!(error.to_string().contains("another graph"), "{what}: {error}");
        }
    }
}

/// With handles of its own every call does; with one of an equal graph, of a larger one, or of what a
/// clone of its own added later, none does, and the graph stays as it was.
#[test]
fn a_graph_takes_its_own_handles_alone() {
    for (name, count, operands, call) in calls() {
        let own = shelf();
        let other = shelf();
        let mut older = own.graph.clone();
        let operands_of = operands(&own);
        call(&mut own.graph.clone(), operands_of).unwrap_or_else(|e| panic!("{name}: {e}"));
        call(&mut older, operands_of).unwrap_or_else(|e| panic!("{name} of a clone: {e}"));
        for mask in 1..1 << count {
            let mut mixed = operands_of;
            for (position, operand) in mixed.iter_mut().enumerate().take(count) {
                if mask >> position & 1 == 1 {
                    *operand = operands(&other)[position];
                }
            }
            let mut graph = own.graph.clone();
            refuses(&format!("{name} ({mask:b})"), call(&mut graph, mixed));
            assert_eq!(graph.nodes().len(), own.graph.nodes().len(), "{name}");
        }
    }
}

/// Calls by number, each with operands of one of several graphs.
fn program() -> impl Strategy<Value = Vec<(usize, [usize; 2])>> {
    prop::collection::vec((0..calls().len(), [0usize..4, 0usize..4]), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Four graphs of one origin that grow apart: a call succeeds only if every operand was in the graph
    /// before it was cloned, or was added to it since.
    #[test]
    fn graphs_that_grow_apart_share_what_they_have_in_common(program in program()) {
        let calls = calls();
        let trunk = shelf();
        let mut graphs: Vec<Graph> = (0..4).map(|_| trunk.graph.clone()).collect();
        // For each graph, the tensors that it added: others must not take them.
        let mut added: Vec<Vec<Tensor>> = vec![Vec::new(); graphs.len()];
        for (number, of) in program {
            let (name, count, operands, call) = calls[number];
            let suited = operands(&trunk);
            let mut mixed = suited;
            let mut foreign = false;
            for (position, &graph) in of.iter().enumerate().take(count) {
                // A tensor like the suited one, if that graph added one.
                let like = |t: &&Tensor| {
                    let (a, b) = (graphs[graph].info(**t).unwrap(), trunk.graph.info(suited[position]).unwrap());
                    a.shape == b.shape && a.dtype == b.dtype && a.dtype == DType::F32
                };
                if let Some(&tensor) = added[graph].iter().rev().find(like) {
                    mixed[position] = tensor;
                    foreign |= graph != 0;
                }
            }
            let before = (graphs[0].nodes().len(), graphs[0].update_pass().is_some());
            match call(&mut graphs[0], mixed) {
                Ok(tensors) => {
                    prop_assert!(!foreign, "{name} takes a handle of another graph");
                    added[0].extend(tensors);
                }
                Err(error) if foreign => {
                    let told = error.to_string();
                    prop_assert!(told.contains("another graph") || told.contains("already"), "{told}");
                    prop_assert_eq!(graphs[0].nodes().len(), before.0);
                }
                Err(_) => {}
            }
            // Each graph has its turn to be the one that is called.
            graphs.rotate_left(1);
            added.rotate_left(1);
        }
    }
}

/// Of a graph's clone, what was added afterwards is another tensor, though at the same position.
#[test]
fn what_a_clone_adds_is_its_own() {
    let mut graph = shelf().graph;
    let mut clone = graph.clone();
    let (mine, its) = (graph.input("mine", [2]).unwrap(), clone.input("its", [2]).unwrap());
    assert_eq!(mine.index(), its.index());
    assert_ne!(mine, its);
    refuses("a graph", graph.scale(its, 1.0));
    refuses("its clone", clone.scale(mine, 1.0));
    // A later clone has it, of course.
    assert!(graph.clone().scale(mine, 1.0).is_ok());
    // Both show it alike, as they show what is built alike.
    assert_eq!(format!("{mine:?}"), format!("{its:?}"));
}

/// Plans of graphs that were built alike are equal; the handles of one are not the other's.
#[test]
fn plans_are_equal_and_their_handles_are_not() {
    let (one, two) = (shelf(), shelf());
    let plan = |shelf: &Shelf| Plan::new(&shelf.graph, &[shelf.loss], &Target::default()).unwrap();
    let (first, second) = (plan(&one), plan(&two));
    assert_eq!(first.dispatches(), second.dispatches());
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert!(matches!(first.place(one.x), Place::Input(_)));
    assert_eq!(first.place(two.x), Place::Nowhere);
    assert!(first.info(two.x).is_none() && !first.keeps(two.x));
    let scratch = first.dispatches().iter().flat_map(|d| &d.writes).copied();
    for tensor in scratch {
        assert!(first.info(tensor).is_some());
        assert!(second.info(tensor).is_none());
    }
}

#[test]
fn executors_take_the_handles_of_their_plans_graph_alone() {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let gpu = Gpu::from_device(&device, &queue);
    let (own, other) = (shelf(), shelf());
    let plan = || Plan::new(&own.graph, &[own.loss], &gpu.target()).unwrap();
    let executor = Executor::new_blocking(&gpu, plan()).unwrap();
    executor.write(own.x, &[1.0; 9]).unwrap();
    executor.write(own.w, &[1.0; 9]).unwrap();
    refuses("write of an input", executor.write(other.x, &[1.0; 9]));
    refuses("write of a parameter", executor.write(other.w, &[1.0; 9]));
    refuses("write_indices", executor.write_indices(other.labels, &[0; 3]));
    refuses("read", executor.read_blocking(other.loss));
    refuses("read_indices", executor.read_indices_blocking(other.labels));
    refuses("buffer_of", executor.buffer_of(other.x));
    let buffer = || {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 36,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    };
    let with = |inputs: &[Tensor]| {
        let inputs = inputs.iter().map(|&t| (t, buffer())).collect();
        Executor::with_options_blocking(
            &gpu,
            plan(),
            ExecutorOptions { inputs, ..Default::default() },
        )
    };
    refuses("an input's buffer", with(&[own.x, other.x]));
    assert!(with(&[own.x]).is_ok());
    for (inputs, word) in [
        (vec![own.x, own.x], "two buffers"),
        (vec![own.row], "no input that the plan reads"),
        (vec![own.loss], "no input that the plan reads"),
        (vec![own.w], "no input that the plan reads"),
    ] {
        let error = with(&inputs).expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    }
}

/// The update moves parameters, so none of them can be the loss that it looks at.
#[test]
fn a_parameter_is_no_loss() {
    let mut graph = Graph::new();
    let w = graph.parameter("w", [1]).unwrap();
    let scalar = graph.reshape(w, []).unwrap();
    let again = graph.reshape(scalar, [1, 1]).unwrap();
    let square = graph.unary(Unary::Square, scalar).unwrap();
    let gradients = graph.gradients(square, &[w]).unwrap();
    for loss in [w, scalar, again] {
        let error = graph.update(SGD, None, loss, &[(w, gradients[0])]).expect_err("a parameter");
        assert!(error.to_string().contains("the loss is the parameter 'w'"), "{error}");
    }
    graph.update(SGD, None, square, &[(w, gradients[0])]).unwrap();
}

/// Files keep parameters by name.
#[test]
fn names_of_parameters_are_unique() {
    let mut graph = Graph::new();
    let taken = ["w", "w", "w_2", "b", "w"];
    let names = taken.map(|name| {
        let parameter = graph.parameter(name, [1]).unwrap();
        graph.info(parameter).unwrap().name.clone()
    });
    assert_eq!(names, ["w", "w_2", "w_2_2", "b", "w_3"]);

    let mut graph = Graph::new();
    let x = graph.input("x", [4, 3]).unwrap();
    let nets = [
        Sequential::new(3).dense(2).relu().dense(3),
        Sequential::new(3).relu().dense(3),
        Sequential::new(3).dense(2).relu().dense(3),
    ];
    let mut y = x;
    for net in nets {
        y = net.build(&mut graph, y).unwrap().0;
    }
    let names: Vec<&str> =
        graph.parameters().iter().map(|&p| graph.info(p).unwrap().name.as_str()).collect();
    assert_eq!(names.len(), 10);
    assert_eq!(names[..2], ["dense_0.weight", "dense_0.bias"]);
    assert_eq!(names[4..6], ["model_2.dense_1.weight", "model_2.dense_1.bias"]);
    assert_eq!(names[9], "model_3.dense_2.bias");
    assert!(names.iter().enumerate().all(|(i, name)| !names[..i].contains(name)));
}

#[test]
fn an_update_rule_out_of_range_is_refused_where_it_enters() {
    let shelf = shelf();
    let wrong = UpdateRule::ALL.iter().flat_map(|&rule| {
        let figures = rule.hyperparameters().into_iter();
        let each = figures.flat_map(|(name, _)| [-1.0, f32::INFINITY, f32::NAN].map(|v| (name, v)));
        each.map(move |(name, value)| rule.with_hyperparameter(name, value).unwrap())
    });
    for rule in wrong {
        let mut graph = shelf.graph.clone();
        let gradients = graph.gradients(shelf.loss, &[shelf.w]).unwrap();
        let result = graph.update(rule, None, shelf.loss, &[(shelf.w, gradients[0])]);
        assert!(matches!(result, Err(Error::Argument { .. })), "{rule:?}: {result:?}");
    }
}
