//! Gradients that are products in parts, which the update joins: the bits are those of gradients that are joined
//! beforehand.

use crate::common::gpu;
use crate::common::random::Random;
use crate::support::bits;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Loss, Tensor, Unary, UpdateRule};
use wgrad::plan::{Plan, PlanOptions, PlanScope, Target};

const ADAM: UpdateRule = UpdateRule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.01,
    decoupled: false,
};

/// A net on `rows` rows, with its update; and what the host writes and may read.
struct Net {
    graph: Graph,
    input: Tensor,
    target: Tensor,
    loss: Tensor,
    /// Of the parameters that are trained.
    gradients: Vec<Tensor>,
    /// All parameters' numbers of elements.
    sizes: Vec<usize>,
}

/// Layers of `widths`, of which those whose number is in `frozen` are not trained.
fn net(rows: usize, widths: &[usize], frozen: &[usize], clip: Option<f32>, l1: f32) -> Net {
    let mut graph = Graph::new();
    let input = graph.input("x", [rows, widths[0]]).unwrap();
    let (mut y, mut trained, mut sizes) = (input, Vec::new(), Vec::new());
    for (layer, pair) in widths.windows(2).enumerate() {
        let w = graph.parameter(&format!("w{layer}"), [pair[0], pair[1]]).unwrap();
        let b = graph.parameter(&format!("b{layer}"), [pair[1]]).unwrap();
        sizes.extend([pair[0] * pair[1], pair[1]]);
        let z = graph.matmul(y, w).unwrap();
        let z = graph.bias_add(z, b).unwrap();
        y = graph.unary(Unary::Tanh, z).unwrap();
        if !frozen.contains(&layer) {
            trained.extend([w, b]);
        }
    }
    let target = graph.input("t", [rows, widths[widths.len() - 1]]).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, target).unwrap();
    let gradients = graph.gradients(loss, &trained).unwrap();
    let pairs: Vec<_> = trained.into_iter().zip(gradients.clone()).collect();
    graph.update(ADAM, clip, loss, &pairs).unwrap();
    graph.l1_penalty(l1).unwrap();
    Net { graph, input, target, loss, gradients, sizes }
}

/// A GPU that takes many parts to fill.
fn large_gpu() -> Target {
    gpu().planned_as_gpu(32).filled_by(1 << 16).target()
}

/// Names of the dispatches.
fn names(plan: &Plan) -> Vec<String> {
    plan.dispatches().iter().map(|dispatch| dispatch.launch.name.clone()).collect()
}

fn joins(plan: &Plan) -> usize {
    names(plan).iter().filter(|name| name.starts_with("join parts")).count()
}

/// The executor of `plan`, with values for all.
fn started(net: &Net, plan: Plan) -> Executor {
    let elements = |tensor| plan.info(tensor).unwrap().shape.elements();
    let (inputs, targets) = (elements(net.input), elements(net.target));
    let executor = Executor::new_blocking(&gpu(), plan).unwrap();
    let mut random = Random::new(1);
    let mut values = |count| -> Vec<f32> { (0..count).map(|_| random.off_zero()).collect() };
    executor.write(net.input, &values(inputs)).unwrap();
    executor.write(net.target, &values(targets)).unwrap();
    for (number, &size) in net.sizes.iter().enumerate() {
        executor.parameters().write(number, &values(size)).unwrap();
    }
    executor
}

fn steps() -> Vec<Step> {
    (0..3).map(|n| Step::training(ADAM, n, 0, 0.01)).collect()
}

/// The parameters after three steps, and the gradients of the last.
fn trained(net: &Net, plan: Plan) -> Vec<Vec<u32>> {
    let mut executor = started(net, plan);
    executor.run_blocking(&steps()).unwrap();
    let mut found = pollster::block_on(executor.parameters().read_all()).unwrap();
    found.extend(net.gradients.iter().map(|&g| executor.read_blocking(g).unwrap()));
    found.iter().map(|values| bits(values)).collect()
}

/// `options` as they are, and with all gradients among the outputs, which the update then leaves alone.
fn both(net: &Net, target: &Target) -> [Plan; 2] {
    let results = vec![net.loss];
    let own = PlanOptions { results, ..PlanOptions::default() };
    let kept = PlanOptions { outputs: net.gradients.clone(), ..own.clone() };
    [own, kept].map(|options| Plan::with_options(&net.graph, &options, target).unwrap())
}

/// Which dispatches are saved, and that nothing else differs.
#[test]
fn the_bits_are_those_of_joined_gradients() {
    for (name, rows, widths, frozen, l1) in [
        // Numbers of elements that no four divide, and single ones.
        ("odd", 1100, &[7, 9, 5, 1][..], &[][..], 0.0),
        // The update has two runs of parameters.
        ("frozen", 1100, &[8, 12, 8, 12, 3], &[1], 0.0),
        ("l1", 1060, &[16, 8, 4], &[], 0.01),
        // More gradients than one update joins.
        ("deep", 1030, &[4; 19], &[], 0.0),
    ] {
        let net = net(rows, widths, frozen, None, l1);
        let [own, kept] = both(&net, &large_gpu());
        let layers = widths.len() - 1 - frozen.len();
        assert_eq!(joins(&kept), layers, "{name}: {kept}");
        assert_eq!(joins(&own), layers.saturating_sub(16), "{name}: {own}");
        let saved = kept.dispatches().len() - own.dispatches().len();
        assert_eq!(saved, layers.min(16), "{name}: {own}");
        assert!(
            names(&own).iter().any(|name| name.starts_with("update adam + join parts")),
            "{own}"
        );
        let (own, kept) = (trained(&net, own), trained(&net, kept));
        for (number, (own, kept)) in own.iter().zip(&kept).enumerate() {
            assert_eq!(own, kept, "{name}: values {number}");
        }
    }
}

/// In chunks, which an update each moves.
#[test]
fn parameters_in_chunks_are_updated_by_parts() {
    let net = net(1100, &[160; 9], &[], None, 0.0);
    let target = Target { max_binding_bytes: 720_000, ..large_gpu() };
    let [own, kept] = both(&net, &target);
    let updates =
        |plan: &Plan| names(plan).iter().filter(|name| name.starts_with("update")).count();
    assert!(updates(&own) > 1, "{own}");
    // One buffer has the parts that the update joins, and not all of them have room. Nor do loops run for ever.
    let short = Target { most_turns: 40, ..large_gpu() };
    let [few, _] = both(&net, &short);
    assert!((1..8).contains(&joins(&few)), "{few}");
    assert!((1..8).contains(&joins(&own)), "{own}");
    assert_eq!(trained(&net, own), trained(&net, kept));
}

/// The loss of many elements, which the update adds up: the same bits as of a loss that is an output, too, and so is
/// added up before.
#[test]
fn the_loss_is_that_of_sum_partials() {
    let net = net(2100, &[8, 16], &[], None, 0.0);
    let losses = |outputs: Vec<Tensor>, sums: usize| {
        let options = PlanOptions { results: vec![net.loss], outputs, ..PlanOptions::default() };
        let plan = Plan::with_options(&net.graph, &options, &large_gpu()).unwrap();
        let found = names(&plan).iter().filter(|name| *name == "sum_partials").count();
        assert_eq!(found, sums, "{plan}");
        let mut executor = started(&net, plan);
        let table = executor.run_blocking(&steps()).unwrap();
        table.iter().map(|row| bits(row)).collect::<Vec<_>>()
    };
    let own = losses(Vec::new(), 0);
    assert_eq!(own, losses(vec![net.loss], 1));
    assert_eq!(own.len(), 3);
    assert_ne!(own[0], own[1], "training goes on");
}

/// Where the norm of all gradients is wanted, or gradients without an update, they are joined before.
#[test]
fn what_else_reads_gradients_has_them_joined() {
    let clipped = net(1100, &[8, 8, 4], &[], Some(1.0), 0.0);
    let [own, _] = both(&clipped, &large_gpu());
    assert_eq!(joins(&own), 2, "{own}");
    let net = net(1100, &[8, 8, 4], &[], None, 0.0);
    let options = PlanOptions { portion: PlanScope::Gradients, ..PlanOptions::default() };
    let plan = Plan::with_options(&net.graph, &options, &large_gpu()).unwrap();
    assert_eq!(joins(&plan), 2, "{plan}");
    let options = PlanOptions { fuse: false, ..PlanOptions::default() };
    let plan = Plan::with_options(&net.graph, &options, &large_gpu()).unwrap();
    assert!(!names(&plan).iter().any(|name| name.contains("+ join parts")), "{plan}");
}
