//! Mixed precision in plans: what is stored in 16 bits, against the twin, which rounds it too, and bit by bit.

use half::f16;

use crate::common;
use crate::common::cases::Net;
use crate::common::random::Random;
use crate::common::twin_half::InHalf;
use crate::common::{Run, gpu, write_raw};
use wgrad::exec::{Executor, Step};
use wgrad::graph::{DType, Graph, Layout, Loss, Pass, Tensor, Unary, UpdateRule};
use wgrad::plan::{Plan, PlanOptions, Precision, Target};

fn mixed() -> Run {
    Run { precision: Precision::mixed(), ..Run::default() }
}

/// Numbers as they come back from 16 bits: `x` is drawn into a batch of rows of `width`, one in each, which a product
/// with the identity reads.
fn through_half(width: usize, x: &[f32]) -> Vec<f32> {
    let rows = x.len();
    let mut graph = Graph::new();
    let all = graph.input("x", [rows, width]).unwrap();
    let order = graph.index_input("order", [rows]).unwrap();
    let identity = graph.input("identity", [width, width]).unwrap();
    let batch = graph.batch(all, order, rows).unwrap();
    let y = graph.matmul(batch, identity).unwrap();
    let plan = mixed().plan(&graph, &[y]);
    assert_eq!(plan.info(batch).unwrap().dtype, DType::F16, "{plan}");
    let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
    let mut values = vec![0.0; rows * width];
    for (row, &x) in x.iter().enumerate() {
        values[row * width + row % width] = x;
    }
    write_raw(&executor, all, &values);
    executor.write_indices(order, &(0..rows as u32).collect::<Vec<_>>()).unwrap();
    let one = |i: usize| if i.is_multiple_of(width + 1) { 1.0 } else { 0.0 };
    executor.write(identity, &(0..width * width).map(one).collect::<Vec<_>>()).unwrap();
    executor.run_blocking(&[Step::forward(0)]).unwrap();
    let y = executor.read_blocking(y).unwrap();
    (0..rows).map(|row| y[row * width + row % width]).collect()
}

/// All numbers of 16 bits, those in the middle of two, and the next ones in 32 bits to either side of these.
#[test]
fn numbers_are_rounded_to_the_nearest_and_ties_to_even() {
    let mut all: Vec<f32> = (0..=u16::MAX).map(|bits| f16::from_bits(bits).to_f32()).collect();
    for bits in 0..f16::INFINITY.to_bits() {
        let [low, high] = [bits, bits + 1].map(|bits| f16::from_bits(bits).to_f32());
        // Beyond the largest comes what would be the next.
        let high = if high.is_infinite() { 65_536.0 } else { high };
        let middle = (low + high) / 2.0;
        all.extend([middle, middle.next_down(), middle.next_up(), -middle, -middle.next_up()]);
    }
    all.extend([1e10, -f32::MAX, f32::MIN_POSITIVE, 1e-40, 65_519.996, 65_520.0]);
    for width in [4, 8] {
        let found = through_half(width, &all);
        for (&x, &found) in all.iter().zip(&found) {
            let expected = f16::from_f32(x);
            // A driver may load what is below the normal numbers as 0.
            let flushed = !expected.is_normal() && found == 0.0 && expected.to_f32().abs() < 6.2e-5;
            let same = found == expected.to_f32() || expected.is_nan() && found.is_nan();
            assert!(same || flushed, "{x:e} ({:08x}) came back as {found:e}", x.to_bits());
        }
    }
}

/// A net of dense layers on a drawn batch, with its loss, and the gradients by its parameters.
fn net(random: u64, rows: usize, widths: &[usize], activation: Unary) -> (Net, Vec<Tensor>) {
    let mut net = Net::new(random);
    let all = net.drawn([rows + 3, widths[0]], Random::unit);
    let order = net.graph.index_input("order", [rows + 3]).unwrap();
    let places = (0..rows + 3).map(|i| ((i * 7 + 3) % (rows + 3)) as u32).collect();
    net.values.insert(order, common::twin::Value::U(places));
    let mut y = net.graph.batch(all, order, rows).unwrap();
    let mut parameters = Vec::new();
    for pair in widths.windows(2) {
        let (w, b) = (net.parameter([pair[0], pair[1]]), net.parameter([pair[1]]));
        parameters.extend([w, b]);
        // So that what is summed stays of one size.
        let scaled = net.graph.scale(w, 1.0 / (pair[0] as f32).sqrt()).unwrap();
        // The product reads the parameter itself, whose copy there is.
        let plain = if parameters.len() > 2 { w } else { scaled };
        let product = net.graph.matmul(y, plain).unwrap();
        let sum = net.graph.bias_add(product, b).unwrap();
        y = if parameters.len() == 2 * (widths.len() - 1) {
            sum
        } else {
            net.graph.unary(activation, sum).unwrap()
        };
    }
    let targets = net.drawn([rows, widths[widths.len() - 1]], Random::unit);
    let loss = net.graph.loss(Loss::MeanSquaredError, y, targets).unwrap();
    let mut outputs = vec![loss];
    outputs.extend(net.graph.gradients(loss, &parameters).unwrap());
    (net, outputs)
}

/// Forward and backward, in each tiling, with rows that can be stored in 16 bits and some that cannot, and sums in
/// parts; each element within what rounding may do.
#[test]
fn nets_agree_with_the_twin_in_every_tiling() {
    let nets = [
        (5, vec![8, 12, 16, 4], Unary::Relu),
        (33, vec![12, 7, 8, 3], Unary::Tanh),
        (70, vec![36, 20, 24, 1], Unary::LeakyRelu { slope: 0.25 }),
        (17, vec![5, 64, 8, 8], Unary::Gelu),
        (130, vec![16, 40, 4, 4], Unary::Sigmoid),
    ];
    let (mut tensors, mut copies) = (0, 0);
    for (number, tiling) in common::tilings().into_iter().enumerate() {
        let (rows, widths, activation) = &nets[number % nets.len()];
        let (net, outputs) = net(number as u64, *rows, widths, *activation);
        // Sums in parts in every second one; there is an odd number of nets.
        let busy = (number % 2 == 1).then_some(64);
        let run = Run { tiling: Some(tiling), busy, ..mixed() };
        let [in_half, copied] = InHalf::of(&net.graph, &run.plan(&net.graph, &outputs)).counts();
        (tensors, copies) = (tensors + in_half, copies + copied);
        let name = format!("{rows} rows of {widths:?}, {tiling}");
        common::check_run(&run, &name, &net.graph, &outputs, &net.values);
    }
    let count = common::tilings().len();
    assert!(
        tensors > 3 * count && copies > count,
        "{tensors} tensors and {copies} copies in 16 bits"
    );
}

/// Other operations between two products read and write 32 bits, and what they do not touch stays in 16.
#[test]
fn other_operations_are_as_they_were() {
    type Between = fn(&mut Graph, Tensor) -> Tensor;
    let between: [(&str, Between); 11] = [
        ("tanh read twice", |graph, y| {
            let function = graph.unary(Unary::Tanh, y).unwrap();
            graph.mul(function, y).unwrap()
        }),
        ("gelu", |graph, y| graph.unary(Unary::Gelu, y).unwrap()),
        ("scale", |graph, y| graph.scale(y, 0.5).unwrap()),
        ("softmax", |graph, y| graph.softmax(y, 1).unwrap()),
        ("log_softmax", |graph, y| graph.log_softmax(y, 1).unwrap()),
        ("mean", |graph, y| {
            let mean = graph.mean(y, 1).unwrap();
            let column = graph.reshape(mean, [12, 1]).unwrap();
            graph.sub(y, column).unwrap()
        }),
        ("transpose", |graph, y| {
            let turned = graph.transpose(y).unwrap();
            graph.matmul(y, turned).unwrap()
        }),
        ("slice", |graph, y| graph.slice(y, 0, 2, 8).unwrap()),
        ("concat", |graph, y| graph.concat(&[y, y], 0).unwrap()),
        ("view", |graph, y| graph.reshape(y, [8, 12]).unwrap()),
        ("product alone", |_, y| y),
    ];
    for (name, between) in between {
        let mut net = Net::new(9);
        let (x, w) = (net.drawn([12, 8], Random::unit), net.parameter([8, 8]));
        let hidden = net.graph.matmul(x, w).unwrap();
        let small = net.graph.unary(Unary::Sigmoid, hidden).unwrap();
        let y = between(&mut net.graph, small);
        let width = net.graph.shape(y).unwrap().columns();
        let last = net.parameter([width, 4]);
        let z = net.graph.matmul(y, last).unwrap();
        let of = net.weighted_sum(z);
        let mut outputs = vec![z];
        outputs.extend(net.graph.gradients(of, &[w, last, x]).unwrap());
        let plan = mixed().plan(&net.graph, &outputs);
        let [_, copies] = InHalf::of(&net.graph, &plan).counts();
        assert_eq!(copies, 2, "{name}: {plan}");
        common::check_run(&mixed(), name, &net.graph, &outputs, &net.values);
    }
}

/// A training step of a net of three layers.
fn step(rows: usize, widths: &[usize], rule: UpdateRule, precision: Precision) -> Plan {
    clipped_step(rows, widths, rule, None, precision)
}

fn clipped_step(
    rows: usize,
    widths: &[usize],
    rule: UpdateRule,
    clip: Option<f32>,
    precision: Precision,
) -> Plan {
    let mut graph = Graph::new();
    let all = graph.input("x", [rows, widths[0]]).unwrap();
    let order = graph.index_input("order", [rows]).unwrap();
    let mut y = graph.batch(all, order, rows).unwrap();
    let mut parameters = Vec::new();
    for pair in widths.windows(2) {
        let name = |what: &str, at: usize| format!("{what}{at}");
        let w = graph.parameter(&name("w", parameters.len()), [pair[0], pair[1]]).unwrap();
        let b = graph.parameter(&name("b", parameters.len()), [pair[1]]).unwrap();
        parameters.extend([w, b]);
        let product = graph.matmul(y, w).unwrap();
        y = graph.bias_add(product, b).unwrap();
        if parameters.len() < 2 * (widths.len() - 1) {
            y = graph.unary(Unary::Relu, y).unwrap();
        }
    }
    let targets = graph.input("targets", [rows, widths[widths.len() - 1]]).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, targets).unwrap();
    let gradients = graph.gradients(loss, &parameters).unwrap();
    let pairs: Vec<_> = parameters.into_iter().zip(gradients).collect();
    graph.update(rule, clip, loss, &pairs).unwrap();
    let options = PlanOptions { results: vec![loss], precision, ..PlanOptions::default() };
    Plan::with_options(&graph, &options, &Target::default()).unwrap()
}

/// What products read and write takes half of the bytes, to the byte; everything else as many as before, and not one
/// dispatch more.
#[test]
fn half_of_the_bytes() {
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    let (rows, widths) = (64, [784, 512, 256, 10]);
    let [full, half] =
        [Precision::F32, Precision::mixed()].map(|precision| step(rows, &widths, rule, precision));
    assert_eq!(full.dispatches().len(), half.dispatches().len(), "{full}\n{half}");
    let bytes = |plan: &Plan, kernel: &str| -> u64 {
        let of = plan.dispatches().iter().filter(|d| d.launch.name.starts_with(kernel));
        of.map(|d| plan.bytes(d)).sum()
    };
    let numbers = |shapes: &[[usize; 2]]| -> u64 {
        shapes.iter().map(|[rows, columns]| (rows * columns) as u64).sum()
    };
    // Of the three forward products: the batch, what two layers give, and two layers' weights; not the last one's, with
    // rows of 10.
    let saved = 2 * numbers(&[
        [64, 784],
        [784, 512],
        [64, 512],
        [64, 512],
        [512, 256],
        [64, 256],
        [64, 256],
    ]);
    assert_eq!(bytes(&half, "matmul_nn"), bytes(&full, "matmul_nn") - saved, "{half}");
    // Of the two backwards: the second layer's weights and its gradient, the mask and what comes of it; the mask and
    // what comes of it where the last layer's weights are.
    let saved = 2 * numbers(&[[512, 256], [64, 256], [64, 512], [64, 512], [64, 256], [64, 256]]);
    assert_eq!(bytes(&half, "matmul_nt"), bytes(&full, "matmul_nt") - saved, "{half}");
    let saved = 2 * numbers(&[[64, 784], [64, 512], [64, 512], [64, 256], [64, 256]]);
    let of_gradients = |plan: &Plan| bytes(plan, "matmul_tn");
    assert_eq!(of_gradients(&half), of_gradients(&full) - saved, "{half}");
    // The update writes the copies besides.
    assert_eq!(bytes(&half, "update"), bytes(&full, "update") + half.arena().bytes() / 2);
    // What lies between kernels, each in memory of its own: the batch, two activations and their gradients.
    let saved = 2 * numbers(&[[64, 784], [64, 512], [64, 256], [64, 512], [64, 256]]);
    let [without_reuse, halved] = [&full, &half].map(|plan| plan.memory().bytes_without_reuse);
    assert_eq!(halved, without_reuse - saved, "{half}");
    let others = |plan: &Plan| {
        let small = plan.tensors().iter().filter(|info| info.shape.dims() == [64, 10]);
        small.map(|info| info.bytes()).sum::<u64>()
    };
    assert_eq!(others(&full), others(&half));
    let text = half.to_string();
    assert!(text.contains("64×784 f16, 784×512 f16"), "{text}");
    assert!(text.contains("f16: stored in 16 bits, gradients of activations times 1024"), "{text}");
}

/// Gradients of activations are stored times the loss scale, all else as it is.
#[test]
fn gradients_are_stored_by_the_loss_scale() {
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    for loss_scale in [1.0, 256.0] {
        let plan = step(8, &[16, 12, 8, 4], rule, Precision::Mixed { loss_scale });
        let mut written = 0;
        for dispatch in plan.dispatches() {
            let scale = if dispatch.pass == Pass::Backward { f64::from(loss_scale) } else { 1.0 };
            for &(name, value) in &dispatch.launch.constants {
                if let "OUT_FACTOR" | "X_OUT_FACTOR" = name {
                    assert_eq!(value, scale, "{}", dispatch.launch.name);
                    written += 1;
                }
            }
        }
        assert_eq!(written, 5, "a batch, two activations and their gradients:\n{plan}");
    }
}

/// With every rule the update fits the buffers that WebGPU guarantees, which each plan is held against; where it cannot
/// have the loss in parts too, another dispatch adds those up.
#[test]
fn every_rule_fits_the_default_limits() {
    let mut by_another = 0;
    for &rule in UpdateRule::ALL {
        for rows in [4, 4096] {
            let plan = step(rows, &[16, 64, 64, 4], rule, Precision::mixed());
            let names: Vec<&str> = plan.dispatches().iter().map(|d| &*d.launch.name).collect();
            assert!(names.last().unwrap().ends_with(" + copies"), "{plan}");
            by_another += usize::from(names.contains(&"sum_partials"));
            let clipped = clipped_step(rows, &[16, 64, 64, 4], rule, Some(0.5), Precision::mixed());
            assert!(clipped.to_string().contains(" + clip + copies"), "{clipped}");
        }
    }
    assert!(by_another > 0);
}

/// Where a parameter is the left operand, or lies beside a product that is masked by it, behind another one that
/// moves it off the device's alignment.
#[test]
fn parameters_are_read_where_they_are_in_every_tiling() {
    for tiling in common::tilings() {
        let mut net = Net::new(4);
        let (first, w, x) = (net.parameter([4]), net.parameter([8, 12]), net.input([12, 16]));
        let y = net.graph.matmul(w, x).unwrap();
        // The slope of its square needs the parameter itself.
        let squares = net.graph.unary(Unary::Square, w).unwrap();
        let z = net.graph.matmul(squares, x).unwrap();
        let sums = [first, y, z].map(|tensor| net.weighted_sum(tensor));
        let of = net.graph.add(sums[0], sums[1]).unwrap();
        let of = net.graph.add(of, sums[2]).unwrap();
        let mut outputs = vec![y, z];
        outputs.extend(net.graph.gradients(of, &[w, x]).unwrap());
        let run = Run { tiling: Some(tiling), ..mixed() };
        let plan = run.plan(&net.graph, &outputs);
        assert_eq!(InHalf::of(&net.graph, &plan).counts()[1], 1, "{plan}");
        common::check_run(&run, &tiling.to_string(), &net.graph, &outputs, &net.values);
    }
}

/// Copies in several chunks.
#[test]
fn parameters_in_chunks_have_copies() {
    let mut net = Net::new(4);
    let x = net.input([16, 16]);
    let parameters = [(); 4].map(|()| net.parameter([16, 16]));
    let outputs = parameters.map(|w| net.graph.matmul(x, w).unwrap());
    for (bytes, chunks) in [(1024, 4), (2048, 2), (3000, 2)] {
        let run = Run { max_binding_bytes: Some(bytes), ..mixed() };
        let plan = run.plan(&net.graph, &outputs);
        assert_eq!(plan.arena().chunks.len(), chunks, "{plan}");
        assert_eq!(InHalf::of(&net.graph, &plan).counts(), [0, 4], "{plan}");
        common::check_run(&run, &format!("{bytes} bytes"), &net.graph, &outputs, &net.values);
    }
}

/// Stacks of matrices, which products before them wrote as one.
#[test]
fn views_are_in_16_bits_in_every_tiling() {
    let mut net = Net::new(5);
    let (x, first) = (net.input([24, 8]), net.parameter([4]));
    let (wq, wk) = (net.parameter([8, 8]), net.parameter([8, 8]));
    let of_stack = |net: &mut Net, w| {
        let product = net.graph.matmul(x, w).unwrap();
        net.graph.reshape(product, [4, 6, 8]).unwrap()
    };
    let (q, k) = (of_stack(&mut net, wq), of_stack(&mut net, wk));
    let y = net.graph.matmul_layout(Layout::TN, q, k).unwrap();
    let sums = [first, y].map(|tensor| net.weighted_sum(tensor));
    let of = net.graph.add(sums[0], sums[1]).unwrap();
    let mut outputs = vec![y];
    outputs.extend(net.graph.gradients(of, &[wq, wk]).unwrap());
    for tiling in common::tilings() {
        let run = Run { tiling: Some(tiling), ..mixed() };
        let plan = run.plan(&net.graph, &outputs);
        assert_eq!(plan.info(q).unwrap().dtype, DType::F16, "{plan}");
        common::check_run(&run, &tiling.to_string(), &net.graph, &outputs, &net.values);
    }
}

/// What the host reads stays in 32 bits, beside what its product reads in 16.
#[test]
fn what_is_wanted_stays_as_it_is_in_every_tiling() {
    for tiling in common::tilings() {
        let mut net = Net::new(6);
        let (x, w) = (net.input([9, 8]), [(); 3].map(|()| net.parameter([8, 8])));
        let product = net.graph.matmul(x, w[0]).unwrap();
        let h = net.graph.unary(Unary::Tanh, product).unwrap();
        let product = net.graph.matmul(h, w[1]).unwrap();
        let y = net.graph.unary(Unary::Tanh, product).unwrap();
        let z = net.graph.matmul(y, w[2]).unwrap();
        let of = net.weighted_sum(z);
        // By what comes before the second function: a product with the function's slope.
        let outputs = net.graph.gradients(of, &[product, w[0], w[1]]).unwrap();
        let run = Run { tiling: Some(tiling), ..mixed() };
        let plan = run.plan(&net.graph, &outputs);
        let dtypes = [h, y, outputs[0]].map(|tensor| plan.info(tensor).unwrap().dtype);
        assert_eq!(dtypes, [DType::F16, DType::F16, DType::F32], "{plan}");
        common::check_run(&run, &tiling.to_string(), &net.graph, &outputs, &net.values);
    }
}
