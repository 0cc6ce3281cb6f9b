//! Two weight gradients of the same sizes in one dispatch: which run so, and that the bits are those of two dispatches.

use std::collections::BTreeMap;

use crate::common::gpu;
use crate::common::random::Random;
use crate::support::bits;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{DType, Graph, Loss, Tensor, Unary, UpdateRule};
use wgrad::kernel::grid;
use wgrad::nn::Optimizer;
use wgrad::plan::{LaunchLimits, Place, Plan, PlanOptions, PlanScope, Precision, Target, Tiling};

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.01 };

fn adam() -> UpdateRule {
    Optimizer::adam(0.01).rule()
}

/// A layer: its number of units, whether it has a bias, and whether it is trained.
#[derive(Clone, Copy, Debug)]
struct Layer {
    units: usize,
    bias: bool,
    trained: bool,
}

/// Layers with a bias that are trained.
fn dense<const N: usize>(units: [usize; N]) -> Vec<Layer> {
    units.map(|units| Layer { units, bias: true, trained: true }).to_vec()
}

struct Net {
    graph: Graph,
    inputs: Vec<Tensor>,
    loss: Tensor,
    rule: UpdateRule,
    /// Of the parameters that are trained.
    gradients: Vec<Tensor>,
    /// All parameters' numbers of elements.
    sizes: Vec<usize>,
    /// Pairs that there should be: one for each two trained weights of the same sizes.
    pairs: usize,
}

fn net(rule: UpdateRule, rows: usize, inputs: usize, layers: &[Layer]) -> Net {
    let mut graph = Graph::new();
    let input = graph.input("x", [rows, inputs]).unwrap();
    let (mut y, mut trained, mut sizes) = (input, Vec::new(), Vec::new());
    let (mut width, mut alike) = (inputs, BTreeMap::<_, usize>::new());
    for (number, layer) in layers.iter().enumerate() {
        let w = graph.parameter(&format!("w{number}"), [width, layer.units]).unwrap();
        let mut z = graph.matmul(y, w).unwrap();
        sizes.push(width * layer.units);
        let mut own = vec![w];
        if layer.bias {
            let b = graph.parameter(&format!("b{number}"), [layer.units]).unwrap();
            sizes.push(layer.units);
            z = graph.bias_add(z, b).unwrap();
            own.push(b);
        }
        y = if number + 1 < layers.len() { graph.unary(Unary::Tanh, z).unwrap() } else { z };
        if layer.trained {
            trained.extend(own);
            *alike.entry((width, layer.units, layer.bias)).or_default() += 1;
        }
        width = layer.units;
    }
    let target = graph.input("t", [rows, width]).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, target).unwrap();
    let gradients = graph.gradients(loss, &trained).unwrap();
    let all: Vec<_> = trained.into_iter().zip(gradients.clone()).collect();
    graph.update(rule, None, loss, &all).unwrap();
    let pairs = alike.values().map(|count| count / 2).sum();
    Net { graph, inputs: vec![input, target], loss, rule, gradients, sizes, pairs }
}

/// A GPU that so many invocations fill.
fn filled_by(invocations: usize) -> Target {
    gpu().planned_as_gpu(32).filled_by(invocations).target()
}

/// The same, on which a pair has not the buffers that it needs, but all else has.
fn without_pairs(target: &Target, storage_buffers: u32) -> Target {
    let launch = LaunchLimits { storage_buffers, ..target.launch };
    Target { launch, ..target.clone() }
}

/// What a pair of products needs less one, with column sums and without: 8 and 6 storage buffers.
const WITH_SUMS: u32 = 7;
const WITHOUT_SUMS: u32 = 5;

fn plan(net: &Net, options: &PlanOptions, target: &Target) -> Plan {
    let options = PlanOptions { results: vec![net.loss], ..options.clone() };
    Plan::with_options(&net.graph, &options, target).unwrap()
}

fn pairs(plan: &Plan) -> usize {
    plan.dispatches().iter().filter(|d| d.launch.name.starts_with("2 × matmul_tn")).count()
}

fn started(net: &Net, plan: Plan) -> Executor {
    let of_inputs: Vec<usize> =
        net.inputs.iter().map(|&t| plan.info(t).unwrap().shape.elements()).collect();
    let executor = Executor::new_blocking(&gpu(), plan).unwrap();
    let mut random = Random::new(7);
    for (&input, elements) in net.inputs.iter().zip(of_inputs) {
        executor.write(input, &random.many(elements, Random::off_zero)).unwrap();
    }
    for (number, &size) in net.sizes.iter().enumerate() {
        let values = random.many(size, |random| 0.3 * random.off_zero());
        executor.parameters().write(number, &values).unwrap();
    }
    executor
}

/// The losses of three steps and the parameters after them; and of the last step the `outputs`.
fn trained(net: &Net, plan: Plan, outputs: &[Tensor]) -> Vec<Vec<u32>> {
    let mut executor = started(net, plan);
    let steps: Vec<Step> = (0..3).map(|n| Step::training(net.rule, n, 0, 0.01)).collect();
    let mut found = executor.run_blocking(&steps).unwrap();
    found.extend(pollster::block_on(executor.parameters().read_all()).unwrap());
    found.extend(outputs.iter().map(|&g| executor.read_blocking(g).unwrap()));
    assert!(found.iter().flatten().all(|x| x.is_finite()));
    found.iter().map(|values| bits(values)).collect()
}

/// That `net` has the pairs that it should on `target`, and comes to the bits of a plan without, for a device with so
/// many storage buffers: with gradients that the update alone reads, and with gradients that the host reads, too.
fn agrees(name: &str, net: &Net, precision: Precision, target: &Target, storage_buffers: u32) {
    for outputs in [Vec::new(), net.gradients.clone()] {
        let options = PlanOptions { outputs, precision, ..PlanOptions::default() };
        let own = plan(net, &options, target);
        let apart = plan(net, &options, &without_pairs(target, storage_buffers));
        assert_eq!((pairs(&own), pairs(&apart)), (net.pairs, 0), "{name}: {own}");
        // With few buffers the loss may be added up by itself.
        let products =
            |plan: &Plan| plan.dispatches().iter().filter(|d| d.launch.multiply_adds > 0).count();
        assert_eq!(products(&own) + net.pairs, products(&apart), "{name}: {own}");
        assert_eq!(own.multiply_adds(), apart.multiply_adds(), "{name}");
        let [own, apart] = [own, apart].map(|plan| trained(net, plan, &options.outputs));
        assert_ne!(own[0], own[2], "{name}: nothing is trained");
        for (number, (own, apart)) in own.iter().zip(&apart).enumerate() {
            assert_eq!(own, apart, "{name}: values {number}");
        }
    }
}

/// The step of the net that `docs/performance.md` has figures of: 16 dispatches, with the drawing of the
/// batch, which this graph has not.
#[test]
fn a_deep_net_has_a_dispatch_less() {
    for rule in [SGD, adam()] {
        let net = net(rule, 4096, 32, &dense([64, 64, 64, 64, 16]));
        let target = Target::default();
        let own = plan(&net, &PlanOptions::default(), &target);
        let apart = plan(&net, &PlanOptions::default(), &without_pairs(&target, WITH_SUMS));
        assert_eq!((pairs(&own), pairs(&apart)), (1, 0), "{own}");
        let name = "2 × matmul_tn + column sums, 32×32 in quarters in 16 parts";
        let pair = own.dispatches().iter().find(|d| d.launch.name == name).expect(name);
        let of_two = 2 * 4096 * 64 * 64;
        assert_eq!(pair.launch.multiply_adds, of_two, "{own}");
        assert_eq!(own.dispatches().len(), 15, "{own}");
        let without_sum = |plan: &Plan| {
            plan.dispatches().iter().filter(|d| d.launch.name != "sum_partials").count()
        };
        assert_eq!(without_sum(&own) + 1, without_sum(&apart), "{apart}");
    }
}

#[test]
fn the_bits_are_those_of_two_dispatches() {
    let precision = Precision::F32;
    for (name, rows, inputs, layers) in [
        ("three alike", 300, 20, dense([20, 20, 20])),
        ("sums in parts", 1100, 8, dense([12, 12, 12, 12])),
        ("rows that no four divide", 1030, 7, dense([7, 7, 9, 7, 9])),
        ("tiles that end early", 70, 36, dense([36, 36])),
        ("one number", 130, 1, dense([1, 1])),
    ] {
        for invocations in [1 << 11, 1 << 16] {
            let net = net(adam(), rows, inputs, &layers);
            agrees(name, &net, precision, &filled_by(invocations), WITH_SUMS);
        }
    }
    let bare = |units| Layer { units, bias: false, trained: true };
    let frozen = |units| Layer { units, bias: true, trained: false };
    let [with, bare, frozen] = [dense([16])[0], bare(16), frozen(16)];
    for (name, layers) in [
        ("no bias", vec![bare, bare, bare]),
        ("some with a bias", vec![bare, with, bare, with]),
        ("frozen", vec![with, frozen, with, frozen, with, with, frozen]),
    ] {
        let net = net(SGD, 1100, 16, &layers);
        agrees(name, &net, precision, &filled_by(1 << 15), WITHOUT_SUMS);
    }
}

/// In each tiling through workgroup memory; and with so few workgroups in a dimension that there is a surplus.
#[test]
fn every_tiling_pairs() {
    for tiling in [Tiling::Shared { side: 8 }, Tiling::Shared { side: 16 }, Tiling::Quarters] {
        for (inputs, layers) in [(40, dense([40, 40])), (39, dense([39, 39]))] {
            let net = net(SGD, 200, inputs, &layers);
            let target = Target { tiling: Some(tiling), ..filled_by(1 << 14) };
            agrees(&format!("{tiling}"), &net, Precision::F32, &target, WITH_SUMS);
            agrees(&format!("{tiling}, f16"), &net, Precision::mixed(), &target, WITH_SUMS);
        }
    }
    let net = net(SGD, 60, 150, &dense([150, 150]));
    let tiling = Some(Tiling::Quarters);
    let target = Target { tiling, max_workgroups: 16, ..filled_by(1 << 12) };
    let own = plan(&net, &PlanOptions::default(), &target);
    let pair = own.dispatches().iter().find(|d| d.launch.name.starts_with("2 ×")).unwrap();
    // 2 × 25 tiles on 4 × 13 places: two are left over.
    assert_eq!(pair.launch.workgroups, 50, "{own}");
    assert_eq!(grid(50, 16), [13, 4]);
    agrees("surplus", &net, Precision::F32, &target, WITH_SUMS);
}

/// Operands in 16 bits: both, or those of one of the two products.
#[test]
fn pairs_read_16_bits() {
    let mixed = Precision::mixed();
    for rows in [90, 1100] {
        // The first reads the input, which is in 32 bits.
        let net = net(SGD, rows, 24, &dense([24, 24, 24, 24]));
        assert_eq!(net.pairs, 2);
        let target = filled_by(1 << 15);
        let options = PlanOptions { precision: mixed, ..PlanOptions::default() };
        let own = plan(&net, &options, &target);
        let kinds = |d: &wgrad::plan::Dispatch| {
            let of =
                |dtype| d.reads.iter().filter(|&&t| own.info(t).unwrap().dtype == dtype).count();
            [of(DType::F32), of(DType::F16)]
        };
        let of_pairs = own.dispatches().iter().filter(|d| d.launch.name.starts_with("2 ×"));
        let mut found: Vec<_> = of_pairs.map(kinds).collect();
        found.sort_unstable();
        // The gradient of the loss is in 32 bits, too.
        assert_eq!(found, [[1, 3], [1, 3]], "{own}");
        agrees("mixed", &net, mixed, &target, WITH_SUMS);
        let tiled = Target { tiling: Some(Tiling::Shared { side: 8 }), ..target };
        agrees("mixed, 64×32", &net, mixed, &tiled, WITH_SUMS);
    }
}

/// Operands that are copies of parameters, which begin where those do.
#[test]
fn pairs_read_copies_of_parameters() {
    let (n, rows) = (20, 40);
    let mut graph = Graph::new();
    // Copies lie at half the offsets, and after this one v's at such as no binding may have.
    let mut parameters = vec![graph.parameter("first", [1]).unwrap()];
    let (mut inputs, mut sum, mut sizes) = (Vec::new(), None, vec![1]);
    for branch in 0..4 {
        let x = graph.input(&format!("x{branch}"), [rows, n]).unwrap();
        let v = graph.parameter(&format!("v{branch}"), [n, n]).unwrap();
        let w = graph.parameter(&format!("w{branch}"), [n, n + branch / 2]).unwrap();
        sizes.extend([n * n, n * (n + branch / 2)]);
        let vw = graph.matmul(v, w).unwrap();
        let y = graph.matmul(x, vw).unwrap();
        let y = graph.unary(Unary::Tanh, y).unwrap();
        let total = graph.sum(y, 0).unwrap();
        let total = graph.sum(total, 0).unwrap();
        sum = Some(match sum {
            None => total,
            Some(sum) => graph.add(sum, total).unwrap(),
        });
        inputs.push(x);
        parameters.extend([v, w]);
    }
    let loss = sum.unwrap();
    let trained = &parameters[1..];
    let gradients = graph.gradients(loss, trained).unwrap();
    let all: Vec<_> = trained.iter().copied().zip(gradients.clone()).collect();
    graph.update(SGD, None, loss, &all).unwrap();
    // Of each two branches, the gradients by w, vᵀ times that by v·w.
    let net = Net { graph, inputs, loss, rule: SGD, gradients, sizes, pairs: 2 };
    let precision = Precision::mixed();
    let own = plan(&net, &PlanOptions { precision, ..PlanOptions::default() }, &filled_by(1 << 15));
    let of_pairs = own.dispatches().iter().filter(|d| d.launch.name.starts_with("2 ×"));
    let copies = of_pairs
        .map(|d| d.reads.iter().filter(|&&t| matches!(own.place(t), Place::Copy(_))).count());
    assert_eq!(copies.collect::<Vec<_>>(), [2, 2], "{own}");
    agrees("copies", &net, precision, &filled_by(1 << 15), WITHOUT_SUMS);
}

#[test]
fn random_nets_come_to_the_bits_of_two_dispatches() {
    for seed in 0..24 {
        let mut random = Random::new(900 + seed);
        let widths = [1 + random.below(20), 4 * (1 + random.below(10))];
        let mixed = seed % 3 == 2;
        let depth = 3 + random.below(5);
        let layers: Vec<Layer> = (0..depth)
            .map(|number| Layer {
                units: widths[random.below(4) / 3],
                bias: mixed || random.below(3) > 0,
                trained: number == 0 || random.below(4) > 0,
            })
            .collect();
        let rows = 1 + random.below(1500);
        let net = net(SGD, rows, widths[0], &layers);
        let target = filled_by(1 << (11 + random.below(6)));
        let (precision, buffers) =
            if mixed { (Precision::mixed(), WITH_SUMS) } else { (Precision::F32, WITHOUT_SUMS) };
        let name = format!("{seed}: {rows} rows, {} inputs, {layers:?}", widths[0]);
        agrees(&name, &net, precision, &target, buffers);
    }
}

/// Where there is no pair: without fusion, on the processor, with large products, and where gradients are to leave as
/// soon as they are there.
#[test]
fn others_run_alone() {
    let alike = net(SGD, 300, 20, &dense([20, 20, 20]));
    let target = filled_by(1 << 15);
    let portion = PlanScope::Gradients;
    for options in [
        PlanOptions { fuse: false, ..PlanOptions::default() },
        PlanOptions { portion, ..PlanOptions::default() },
    ] {
        assert_eq!(pairs(&plan(&alike, &options, &target)), 0);
    }
    let software = Target { class: wgrad::plan::AdapterClass::Software, ..target.clone() };
    let shared = Target { tiling: Some(Tiling::Quarters), ..software.clone() };
    for target in [software, shared] {
        assert_eq!(pairs(&plan(&alike, &PlanOptions::default(), &target)), 0);
    }
    // 2¹⁵ multiply-adds for each invocation, and one row more.
    for (rows, expected) in [(1 << 13, 1), ((1 << 13) + 1, 0)] {
        let wide = net(SGD, rows, 1024, &dense([1024, 1024]));
        let roomy =
            Target { max_binding_bytes: 1 << 31, max_buffer_bytes: 1 << 31, ..target.clone() };
        let target = Target { filled_by: 1 << 18, ..roomy };
        assert_eq!(pairs(&plan(&wide, &PlanOptions::default(), &target)), expected);
    }
}

/// A product of the backward pass that reads a gradient of the same sizes comes after it, not with it.
#[test]
fn no_product_waits_for_itself() {
    let n = 16;
    let mut graph = Graph::new();
    let x = graph.input("x", [n, n]).unwrap();
    let target = graph.input("t", [n, n]).unwrap();
    let [v, w, c] = ["v", "w", "c"].map(|name| graph.parameter(name, [n, n]).unwrap());
    let z = graph.matmul(x, v).unwrap();
    let h = graph.unary(Unary::Tanh, z).unwrap();
    let y = graph.matmul(h, w).unwrap();
    let first = graph.loss(Loss::MeanSquaredError, y, target).unwrap();
    let of_v_and_w = graph.gradients(first, &[v, w]).unwrap();
    // Its gradient by c is a product that reads the gradient of v.
    let u = graph.matmul(of_v_and_w[0], c).unwrap();
    let second = graph.loss(Loss::MeanSquaredError, u, target).unwrap();
    let of_c = graph.gradients(second, &[c]).unwrap();
    // What the forward pass reads belongs to it.
    let read = graph.unary(Unary::Tanh, of_v_and_w[0]).unwrap();
    let [by_v, by_w, by_c] = [of_v_and_w[0], of_v_and_w[1], of_c[0]];
    let run = |fuse: bool, outputs: &[Tensor]| {
        let outputs = outputs.to_vec();
        let options = PlanOptions { fuse, outputs: outputs.clone(), ..PlanOptions::default() };
        let plan = Plan::with_options(&graph, &options, &filled_by(1 << 15)).unwrap();
        let found = pairs(&plan);
        let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
        let mut random = Random::new(3);
        for input in [x, target] {
            executor.write(input, &random.many(n * n, Random::off_zero)).unwrap();
        }
        for number in 0..3 {
            executor.parameters().write(number, &random.many(n * n, Random::off_zero)).unwrap();
        }
        executor.run_blocking(&[Step::forward(0)]).unwrap();
        let read = |&t: &Tensor| bits(&executor.read_blocking(t).unwrap());
        (found, outputs.iter().map(read).collect::<Vec<_>>())
    };
    // That by w may run with that by c.
    for (outputs, expected) in [
        (vec![by_v, by_c], 0),
        (vec![by_v, by_w, by_c], 1),
        (vec![read, by_v, by_w], 0),
        (vec![by_v, by_w], 1),
    ] {
        let (found, own) = run(true, &outputs);
        assert_eq!(found, expected);
        let (found, apart) = run(false, &outputs);
        assert_eq!(found, 0);
        assert_eq!(own, apart);
    }
}
