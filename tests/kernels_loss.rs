//! Losses, their gradients and counts against the twin.

use crate::common;
use crate::common::cases::{LOSSES, Net, probabilities};
use crate::common::random::Random;
use crate::common::{Run, check_run, gpu, step_from, twin, write};
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Count, Graph, Loss, Tensor};
use wgrad::plan::{Plan, PlanOptions};

/// Rows that one invocation reads alone, and rows that several share. The last ones are enough for
/// several workgroups, whose sums are added in a second dispatch.
const SHAPES: [&[usize]; 18] = [
    &[1],
    &[5],
    &[257],
    &[1, 1],
    &[4, 1],
    &[1, 10],
    &[3, 7],
    &[31, 33],
    &[33, 32],
    &[65, 2],
    &[127, 13],
    &[2, 3, 4],
    &[257, 31],
    &[5, 16],
    &[3, 257],
    &[5, 1000],
    &[2, 5003],
    &[1000, 33],
];

const ALL: [Loss; 6] =
    [LOSSES[0], LOSSES[1], LOSSES[2], LOSSES[3], LOSSES[4], Loss::SoftmaxCrossEntropy];

/// Random targets of the kind that `loss` takes.
fn targets(net: &mut Net, loss: Loss, shape: &[usize]) -> Tensor {
    let elements: usize = shape.iter().product();
    let classes = shape[shape.len() - 1];
    let rows = elements / classes;
    match loss {
        Loss::SoftmaxCrossEntropy => {
            let labels: Vec<u32> = (0..rows)
                .map(|row| match row {
                    0 => classes as u32 - 1,
                    1 => 0,
                    _ => net.random.below(classes) as u32,
                })
                .collect();
            net.indices(&shape[..shape.len() - 1], &labels)
        }
        Loss::SoftmaxCrossEntropyProbabilities => {
            let values = probabilities(&mut net.random, rows, classes);
            net.holding(shape, &values)
        }
        Loss::BinaryCrossEntropy => net.drawn(shape, Random::unit),
        _ => net.input(shape),
    }
}

/// The numbers over and over, `n` of them: elements are looked at in fours where their number allows it.
fn over_and_over(values: &[f32], n: usize) -> Vec<f32> {
    values.iter().copied().cycle().take(n).collect()
}

/// [`common::check`] as the device is, and without integers of 64 bits if it has them.
fn check(name: &str, graph: &Graph, outputs: &[Tensor], values: &twin::Values) {
    for words in [None, Some(false)] {
        if words.is_none() || gpu().target().words {
            let name = format!("{name}, words {words:?}");
            check_run(&Run { words, ..Run::default() }, &name, graph, outputs, values);
        }
    }
}

fn check_loss(name: &str, net: &mut Net, loss: Loss, predictions: Tensor, targets: Tensor) {
    let value = net.graph.loss(loss, predictions, targets).unwrap();
    check_value(name, net, value, predictions);
}

/// The loss alone; with its gradient, in one dispatch; with a gradient whose upstream is computed;
/// the gradient alone.
fn check_value(name: &str, net: &mut Net, value: Tensor, predictions: Tensor) {
    check(&format!("{name}, alone"), &net.graph, &[value], &net.values);

    let mut direct = net.graph.clone();
    let gradient = direct.gradients(value, &[predictions]).unwrap()[0];
    check(&format!("{name}, with gradient"), &direct, &[value, gradient], &net.values);
    check(&format!("{name}, gradient alone"), &direct, &[gradient], &net.values);

    let factor = net.holding([1], &[-1.75]);
    let scaled = net.graph.mul(value, factor).unwrap();
    let gradient = net.graph.gradients(scaled, &[predictions]).unwrap()[0];
    check(&format!("{name}, scaled"), &net.graph, &[scaled, gradient], &net.values);
}

#[test]
fn losses() {
    for (number, loss) in ALL.into_iter().enumerate() {
        for (i, shape) in SHAPES.into_iter().enumerate() {
            let softmax =
                matches!(loss, Loss::SoftmaxCrossEntropy | Loss::SoftmaxCrossEntropyProbabilities);
            if softmax && shape[shape.len() - 1] == 1 {
                continue; // see `one_class`
            }
            let mut net = Net::new((100 * number + i) as u64);
            let predictions = net.drawn(shape, |r| r.uniform(-2.0, 2.0));
            let targets = targets(&mut net, loss, shape);
            check_loss(&format!("{} {shape:?}", loss.name()), &mut net, loss, predictions, targets);
        }
    }
}

/// Rows that do not count, that count once, and that count more or less than that.
#[test]
fn rows_with_weights() {
    let shapes: [&[usize]; 8] =
        [&[1, 2], &[5, 3], &[4, 4], &[7, 4], &[2, 3, 4], &[31, 33], &[3, 257], &[300, 33]];
    for (number, loss) in ALL.into_iter().enumerate() {
        for (i, shape) in shapes.into_iter().enumerate() {
            let mut net = Net::new((100 * number + i) as u64);
            let predictions = net.drawn(shape, |r| r.uniform(-2.0, 2.0));
            let targets = targets(&mut net, loss, shape);
            let weight = |r: &mut Random| [0.0, 1.0, r.uniform(0.0, 4.0)][r.below(3)];
            let weights = net.drawn(&shape[..shape.len() - 1], weight);
            let value = net.graph.weighted_loss(loss, predictions, targets, weights).unwrap();
            check_value(
                &format!("weighted {} {shape:?}", loss.name()),
                &mut net,
                value,
                predictions,
            );
        }
    }
}

/// Beside each other, each with the gradient of its own.
#[test]
fn weighted_and_not_weighted() {
    for loss in [Loss::MeanSquaredError, Loss::BinaryCrossEntropy] {
        let mut net = Net::new(7);
        let p = net.drawn([9, 2], |r| r.uniform(-2.0, 2.0));
        let t = net.drawn([9, 2], Random::unit);
        let weights = net.drawn([9], Random::unit);
        let plain = net.graph.loss(loss, p, t).unwrap();
        let weighted = net.graph.weighted_loss(loss, p, t, weights).unwrap();
        let of_weighted = net.graph.gradients(weighted, &[p]).unwrap()[0];
        let of_plain = net.graph.gradients(plain, &[p]).unwrap()[0];
        let outputs = [plain, weighted, of_weighted, of_plain];
        check(loss.name(), &net.graph, &outputs, &net.values);
    }
}

#[test]
fn weights_that_do_not_fit() {
    let mut net = Net::new(1);
    let (p, t) = (net.input([6, 2]), net.input([6, 2]));
    for shape in [&[6, 2][..], &[2], &[5], &[6, 1]] {
        let weights = net.input(shape);
        let error = net.graph.weighted_loss(Loss::MeanSquaredError, p, t, weights).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("with a weight for each row"), "{error}");
    }
    // Weights are given, not learned.
    let weights = net.input([6]);
    let loss = net.graph.weighted_loss(Loss::MeanSquaredError, p, t, weights).unwrap();
    let error = net.graph.gradients(loss, &[weights]).unwrap_err().to_string();
    assert!(error.contains("has no gradient that way"), "{error}");
}

/// With a single class there is nothing to learn: no loss, no gradient, and no NaN.
#[test]
fn one_class() {
    for loss in [Loss::SoftmaxCrossEntropy, Loss::SoftmaxCrossEntropyProbabilities] {
        let mut net = Net::new(1);
        let predictions = net.drawn([5, 1], |r| r.uniform(-9.0, 9.0));
        let targets = match loss {
            Loss::SoftmaxCrossEntropy => net.indices([5], &[0; 5]),
            _ => net.holding([5, 1], &[1.0; 5]),
        };
        let value = net.graph.loss(loss, predictions, targets).unwrap();
        let gradient = net.graph.gradients(value, &[predictions]).unwrap()[0];
        let found = common::run(&net.graph, &[value, gradient], &net.values);
        assert_eq!(found, [vec![0.0], vec![0.0; 5]], "{}", loss.name());
    }
}

/// Logits where exponentials overflow, where they all vanish but one, and where all are equal; the
/// label at the first and the last class, at the largest and at the smallest logit.
#[test]
fn extreme_logits() {
    let rows: [[f32; 3]; 8] = [
        [0.0, 0.0, 0.0],
        [1e4, 0.0, -1e4],
        [-1e4, 0.0, 1e4],
        [1e4, 1e4, 1e4],
        [-1e4, -1e4, -1e4],
        [1e4, -1e4, -1e4],
        [20.0, -1.0, 3.0],
        [0.5, -0.25, 1.5],
    ];
    let logits: Vec<f32> = rows.iter().flatten().copied().collect();
    for label in 0..3 {
        let mut net = Net::new(1);
        let predictions = net.holding([8, 3], &logits);
        let labels = net.indices([8], &[label; 8]);
        let name = format!("label {label}");
        check_loss(&name, &mut net, Loss::SoftmaxCrossEntropy, predictions, labels);

        let mut net = Net::new(1);
        let predictions = net.holding([8, 3], &logits);
        let one_hot: Vec<f32> = (0..24).map(|i| if i % 3 == label { 1.0 } else { 0.0 }).collect();
        let targets = net.holding([8, 3], &one_hot);
        let loss = Loss::SoftmaxCrossEntropyProbabilities;
        check_loss(&name, &mut net, loss, predictions, targets);
    }
    for (target, n) in [0.0, 0.25, 1.0].into_iter().flat_map(|target| [(target, 10), (target, 20)])
    {
        let mut net = Net::new(1);
        let logits = [0.0, -0.0, 1e4, -1e4, 88.0, -88.0, 30.0, -30.0, 0.5, -2.0];
        let predictions = net.holding([n], &over_and_over(&logits, n));
        let targets = net.holding([n], &vec![target; n]);
        let name = format!("target {target}, {n}");
        check_loss(&name, &mut net, Loss::BinaryCrossEntropy, predictions, targets);
    }
}

/// Where the right answer is certain, losses are far below 1 ulp of 1, but not 0.
#[test]
fn small_losses_keep_their_digits() {
    for gap in [5.0, 10.0, 20.0, 60.0] {
        let mut net = Net::new(1);
        let logits = net.holding([2, 2], &[gap, 0.0, gap + 1.0, 0.5]);
        let labels = net.indices([2], &[0, 0]);
        let value = net.graph.loss(Loss::SoftmaxCrossEntropy, logits, labels).unwrap();
        check(&format!("softmax, {gap} ahead"), &net.graph, &[value], &net.values);
        for n in [2, 4] {
            let z = net.holding([n], &vec![gap; n]);
            let t = net.holding([n], &vec![1.0; n]);
            let value = net.graph.loss(Loss::BinaryCrossEntropy, z, t).unwrap();
            check(&format!("binary, {n}, {gap} ahead"), &net.graph, &[value], &net.values);
        }
    }
}

/// Targets that do not sum to one, such as class weights.
#[test]
fn weighted_targets() {
    let mut net = Net::new(1);
    let predictions = net.drawn([9, 5], |r| r.uniform(-2.0, 2.0));
    let targets = net.drawn([9, 5], |r| r.uniform(0.0, 3.0));
    let loss = Loss::SoftmaxCrossEntropyProbabilities;
    check_loss("weighted", &mut net, loss, predictions, targets);
}

/// No error, an error of exactly δ, and one just past it.
#[test]
fn corners() {
    for loss in [
        Loss::MeanAbsoluteError,
        Loss::Huber { delta: 0.5 },
        Loss::Huber { delta: 1.0 },
        Loss::Huber { delta: 1e-3 },
    ] {
        let errors = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 0.500_000_1, -1.000_000_1, 1e-3, 40.0];
        for n in [10, 20] {
            let mut net = Net::new(1);
            let predictions = net.holding([n], &over_and_over(&errors, n));
            let targets = net.holding([n], &vec![0.0; n]);
            check_loss(&format!("{loss:?}, {n}"), &mut net, loss, predictions, targets);
        }
    }
    for n in [3, 8] {
        let mut net = Net::new(1);
        let predictions = net.holding([n], &vec![2.0; n]);
        let value = net.graph.loss(Loss::MeanAbsoluteError, predictions, predictions).unwrap();
        let gradient = net.graph.gradients(value, &[predictions]).unwrap()[0];
        let found = common::run(&net.graph, &[value, gradient], &net.values);
        assert_eq!(found, [vec![0.0], vec![0.0; n]]);
    }
}

/// Both sides of a symmetric loss are differentiated.
#[test]
fn gradients_by_targets() {
    for loss in &LOSSES[..3] {
        let mut net = Net::new(1);
        let (p, t) = (net.input([7, 3]), net.input([7, 3]));
        let value = net.graph.loss(*loss, p, t).unwrap();
        let gradients = net.graph.gradients(value, &[t, p]).unwrap();
        check(loss.name(), &net.graph, &gradients, &net.values);
    }
}

/// Millions of items: 256 workgroups for the sum, and more than 65,535 for the gradient.
#[test]
fn many_items() {
    for n in [65_535 * 64 + 1, 65_535 * 64 + 4] {
        let mut net = Net::new(1);
        let (p, t) = (net.input([n]), net.input([n]));
        let value = net.graph.loss(Loss::MeanSquaredError, p, t).unwrap();
        let factor = net.holding([1], &[2.5]);
        let scaled = net.graph.mul(value, factor).unwrap();
        let gradient = net.graph.gradients(scaled, &[p]).unwrap()[0];
        let name = format!("mean_squared_error of {n}");
        common::check(&name, &net.graph, &[value, gradient], &net.values);
    }

    let mut net = Net::new(2);
    let logits = net.drawn([300_007, 3], |r| r.uniform(-2.0, 2.0));
    let labels = targets(&mut net, Loss::SoftmaxCrossEntropy, &[300_007, 3]);
    let value = net.graph.loss(Loss::SoftmaxCrossEntropy, logits, labels).unwrap();
    let gradient = net.graph.gradients(value, &[logits]).unwrap()[0];
    let count = net.graph.count(Count::Correct, logits, labels).unwrap();
    common::check("softmax_cross_entropy", &net.graph, &[value, gradient, count], &net.values);
}

/// More than 65,535 workgroups of 256 items, too many for the twin: the gradients are signs.
#[test]
fn more_workgroups_than_one_dimension_holds() {
    let n = 65_535 * 256 + 1;
    let mut graph = Graph::new();
    let p = graph.input("p", [n]).unwrap();
    let t = graph.constant(0.0, [n]).unwrap();
    let factor = graph.input("factor", [1]).unwrap();
    let value = graph.loss(Loss::MeanAbsoluteError, p, t).unwrap();
    let scaled = graph.mul(value, factor).unwrap();
    let gradient = graph.gradients(scaled, &[p]).unwrap()[0];
    let plan = Plan::new(&graph, &[gradient], &gpu().target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
    let sign = |i: usize| (i % 3) as f32 - 1.0;
    executor.write(p, &(0..n).map(|i| 0.5 * sign(i)).collect::<Vec<_>>()).unwrap();
    executor.write(factor, &[n as f32]).unwrap();
    executor.run_blocking(&[Step::forward(0)]).unwrap();
    let found = executor.read_blocking(gradient).unwrap();
    let wrong = (0..n).find(|&i| (found[i] - sign(i)).abs() > 1e-5);
    assert_eq!((found.len(), wrong), (n, None));
}

#[test]
fn counts() {
    for (i, shape) in SHAPES.into_iter().enumerate() {
        let mut net = Net::new(i as u64);
        // Few different values, so there are ties; the first of them wins.
        let predictions = net.drawn(shape, |r| 0.5 * r.below(5) as f32 - 1.0);
        let labels = targets(&mut net, Loss::SoftmaxCrossEntropy, shape);
        let others = net.drawn(shape, |r| 0.25 * r.below(5) as f32);
        let mut outputs = vec![net.graph.count(Count::Correct, predictions, labels).unwrap()];
        for count in [
            Count::CorrectBinary,
            Count::CorrectProbabilities,
            Count::AbsoluteError,
            Count::SquaredError,
        ] {
            outputs.push(net.graph.count(count, predictions, others).unwrap());
        }
        check(&format!("counts {shape:?}"), &net.graph, &outputs, &net.values);
        for output in outputs {
            check(&format!("one count {shape:?}"), &net.graph, &[output], &net.values);
        }
    }
}

/// A logit of 0 is not on the side of 1, and a target of ½ is not either.
#[test]
fn counts_at_the_threshold() {
    for (n, right) in [(6, 4.0), (12, 8.0)] {
        let mut net = Net::new(1);
        let z = net.holding([n], &over_and_over(&[0.0, 0.0, 1.0, 1.0, -1.0, -0.0], n));
        let t = net.holding([n], &over_and_over(&[0.5, 1.0, 0.5, 0.51, 0.49, 0.0], n));
        let count = net.graph.count(Count::CorrectBinary, z, t).unwrap();
        assert_eq!(common::run(&net.graph, &[count], &net.values), [[right]]);
    }
}

/// Losses and counts as results: a row per step, in the order that was asked for.
#[test]
fn results_of_every_step() {
    for shape in [&[4, 3][..], &[400, 33]] {
        let mut net = Net::new(1);
        let n = 2 * shape[0];
        let logits = net.drawn([n, shape[1]], |r| r.uniform(-2.0, 2.0));
        let labels = targets(&mut net, Loss::SoftmaxCrossEntropy, &[n, shape[1]]);
        let order = net.random.permutation(n);
        let order = net.indices([n], &order);
        let batch = net.graph.batch(logits, order, shape[0]).unwrap();
        let batch_labels = net.graph.batch(labels, order, shape[0]).unwrap();
        let loss = net.graph.loss(Loss::SoftmaxCrossEntropy, batch, batch_labels).unwrap();
        let count = net.graph.count(Count::Correct, batch, batch_labels).unwrap();
        let twice = net.graph.scale(loss, 2.0).unwrap();
        let gradient = net.graph.gradients(loss, &[batch]).unwrap()[0];
        let results = vec![count, loss, twice];
        let starts: Vec<usize> = (0..70).map(|step| step % (n - shape[0] + 1)).collect();
        for fuse in [true, false] {
            let options = PlanOptions {
                outputs: vec![gradient],
                results: results.clone(),
                fuse,
                ..Default::default()
            };
            let plan = Plan::with_options(&net.graph, &options, &gpu().target()).unwrap();
            let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
            write(&executor, &net.values);
            let steps: Vec<Step> = starts.iter().map(|&start| step_from(start)).collect();
            let rows = executor.run_blocking(&steps).unwrap();
            assert_eq!(rows.len(), steps.len());
            for (row, &start) in rows.iter().zip(&starts) {
                let all = twin::evaluate(&net.graph, &net.values, start);
                for (&tensor, &found) in results.iter().zip(row) {
                    let name = format!("{:?} from {start}", net.graph.info(tensor).unwrap().name);
                    common::compare(&name, &[found], &all[&tensor]);
                }
            }
        }
    }
}

/// Partial sums are added in the same order every time.
#[test]
fn losses_are_deterministic() {
    let mut net = Net::new(1);
    let (p, t) = (net.input([1000, 33]), net.input([1000, 33]));
    let value = net.graph.loss(Loss::MeanSquaredError, p, t).unwrap();
    let gradient = net.graph.gradients(value, &[p]).unwrap()[0];
    let run = Run { steps: vec![Step::forward(0); 3], ..Run::default() };
    let bits = || {
        let found = run.run(&net.graph, &[value, gradient], &net.values);
        found.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(bits(), bits());
}
