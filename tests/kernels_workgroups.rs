//! Every kernel whose dispatches can need a second dimension does need it here: with two workgroups in
//! a dimension it must come to the bits that it comes to with 65,535, as `check_run` sees to. The
//! updates' are in `kernels_update.rs`.

use crate::common::cases::Net;
use crate::common::random::Random;
use crate::common::{Run, check_run};
use wgrad::graph::{Layout, Loss, Reduction, Tensor, Unary};

/// Checks `outputs`, fused and not, and that each of `kernels` had an odd number of workgroups above
/// two in one of the plans: then two in a dimension leave a surplus.
fn covers(name: &str, net: &Net, outputs: &[Tensor], kernels: &[&str]) {
    let mut odd = Vec::new();
    for fuse in [true, false] {
        // Whatever the number of processors, sums over many terms are split.
        let run = Run { fuse, busy: Some(16), ..Run::default() };
        let plan = run.plan(&net.graph, outputs);
        let launches = plan.dispatches().iter().map(|dispatch| &dispatch.launch);
        let surplus = launches.filter(|l| l.workgroups > 2 && !l.workgroups.is_multiple_of(2));
        odd.extend(surplus.filter_map(|launch| Some(launch.parts.last()?.name)));
        check_run(&run, &format!("{name}, fuse: {fuse}"), &net.graph, outputs, &net.values);
    }
    for kernel in kernels {
        assert!(odd.contains(kernel), "{name}: no {kernel} with a surplus among {odd:?}");
    }
}

#[test]
fn element_by_element() {
    let mut net = Net::new(1);
    // 33 workgroups of 64.
    let (x, bias) = (net.before([700, 3]), net.before([3]));
    let y = net.graph.bias_add(x, bias).unwrap();
    let y = net.graph.scale(y, 0.75).unwrap();
    let y = net.graph.unary(Unary::Tanh, y).unwrap();
    let y = net.graph.mul(y, x).unwrap();
    let of = net.weighted_sum(y);
    let mut outputs = vec![y];
    outputs.extend(net.graph.gradients(of, &[x, bias]).unwrap());
    covers(
        "elements",
        &net,
        &outputs,
        &[
            "elementwise/bias_add",
            "elementwise/scale",
            "elementwise/unary",
            "elementwise/unary_grad",
            "elementwise/binary",
        ],
    );
}

#[test]
fn along_lines() {
    let mut net = Net::new(2);
    // 701 lines: 3 workgroups of 256, or one each.
    let x = net.before([701, 3]);
    let (softmax, log) = (net.graph.softmax(x, 1).unwrap(), net.graph.log_softmax(x, 1).unwrap());
    let (largest, mean) = (net.graph.max(x, 1).unwrap(), net.graph.mean(x, 1).unwrap());
    let sums = [softmax, log, largest, mean].map(|y| net.weighted_sum(y));
    let all = sums.into_iter().reduce(|a, b| net.graph.add(a, b).unwrap()).unwrap();
    let mut outputs = vec![softmax, log, largest, mean];
    outputs.extend(net.graph.gradients(all, &[x]).unwrap());
    let kernels = [
        "softmax/softmax",
        "softmax/softmax_grad",
        "softmax/log_softmax",
        "softmax/log_softmax_grad",
        "reduce/each",
        "reduce/max_grad",
        "reduce/expand",
    ];
    covers("lines", &net, &outputs, &kernels);
    // A workgroup for 32 sums of a hundred terms each.
    let mut net = Net::new(3);
    let x = net.before([100, 90]);
    let sum = net.graph.reduce(Reduction::Sum, x, 0, 1).unwrap();
    covers("columns", &net, &[sum], &["reduce/tree"]);
}

#[test]
fn rows() {
    let mut net = Net::new(4);
    let (x, t) = (net.before([700, 3]), net.input([700, 1]));
    let order = net.random.permutation(700);
    let order = net.indices([700], &order);
    let labels: Vec<u32> = (0..700).map(|row| row * 3 % 700).collect();
    let labels = net.indices([700], &labels);
    let gathered = net.graph.gather(x, labels).unwrap();
    let of = net.weighted_sum(gathered);
    let mut outputs = vec![gathered];
    outputs.extend(net.graph.gradients(of, &[x]).unwrap());
    covers("rows/gather", &net, &outputs, &["rows/gather", "rows/gather_grad"]);
    // 190 rows of 3 are 9 workgroups, with the one of 1 beside it 12: with 171 rows they are odd.
    for rows in [171, 190] {
        let mut net = Net { graph: net.graph.clone(), values: net.values.clone(), ..Net::new(5) };
        let batches = [x, t].map(|data| net.graph.batch(data, order, rows).unwrap());
        let kernel = if rows == 171 { "rows/batch_pair" } else { "rows/batch" };
        covers("batch", &net, &batches, &[kernel]);
    }
}

#[test]
fn losses() {
    // 21,003 elements one by one: 3 sums, and 83 workgroups of 256 for the gradient alone; 21,000 in
    // fours: 21 workgroups.
    for (loss, rows) in [Loss::MeanSquaredError, Loss::BinaryCrossEntropy]
        .into_iter()
        .flat_map(|loss| [(loss, 7001), (loss, 7000)])
    {
        let mut net = Net::new(6);
        let (p, t) = (net.before([rows, 3]), net.drawn([rows, 3], Random::unit));
        let value = net.graph.loss(loss, p, t).unwrap();
        let twice = net.graph.scale(value, 2.0).unwrap();
        let gradient = net.graph.gradients(value, &[p]).unwrap();
        covers(loss.name(), &net, &[value, gradient[0]], &["loss/value_and_gradient"]);
        let gradient = net.graph.gradients(twice, &[p]).unwrap();
        covers(loss.name(), &net, &[value, gradient[0]], &["loss/value", "loss/gradient"]);
    }
}

#[test]
fn products() {
    let mut net = Net::new(7);
    // Without a sign, so that the sums outgrow their error bounds. Those of 1100 terms are split on any device, and their 11·13 elements and 13 column sums joined again.
    let (x, dy) = (net.drawn([1100, 11], Random::unit), net.drawn([1100, 13], Random::unit));
    let product = net.graph.matmul_layout(Layout::TN, x, dy).unwrap();
    let sums = net.graph.sum(dy, 0).unwrap();
    let join = net.graph.matmul_layout(Layout::TN, dy, x).unwrap();
    covers("parts", &net, &[product, sums, join], &["matmul/join"]);
}
