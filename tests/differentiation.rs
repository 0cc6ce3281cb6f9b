//! Gradients by the rules of `src/graph/grad.rs`, evaluated in f64, against finite differences. No
//! GPU is involved: what fails here is a rule.

use crate::common;
use crate::common::cases::{self, Case, Net};
use crate::common::num::{Num, erfc};
use crate::common::twin::{self, Value};
use approx::abs_diff_eq;
use wgrad::Error;
use wgrad::graph::{Count, Graph, Loss, Reduction, Tensor, Unary};

/// Gradients of `case` by the rules.
fn by_rules(case: &Case) -> Vec<Vec<f64>> {
    let mut graph = case.graph.clone();
    let gradients = graph.gradients(case.of, &case.wrt).expect(&case.name);
    let all = twin::evaluate(&graph, &case.values, 0);
    case.wrt
        .iter()
        .zip(gradients)
        .map(|(&tensor, gradient)| {
            assert_eq!(
                graph.shape(gradient).unwrap(),
                graph.shape(tensor).unwrap(),
                "{}",
                case.name
            );
            plain(&twin::value_of(&graph, &all, gradient))
        })
        .collect()
}

fn plain(value: &Value) -> Vec<f64> {
    value.floats().iter().map(|x| x.value).collect()
}

#[test]
fn rules_agree_with_finite_differences() {
    for case in cases::all() {
        for (&tensor, rule) in case.wrt.iter().zip(by_rules(&case)) {
            let name = format!("{}, by '{}'", case.name, case.graph.info(tensor).unwrap().name);
            let differences = common::finite_differences(&case, tensor);
            let scale = rms(&rule);
            assert!(scale > 1e-4, "{name}: a gradient of {scale} tests nothing");
            for (i, (&rule, &difference)) in rule.iter().zip(&differences).enumerate() {
                let tolerance = 1e-6 * rule.abs().max(0.01 * scale);
                assert!(
                    abs_diff_eq!(rule, difference, epsilon = tolerance),
                    "{name}, element {i}: the rule says {rule}, finite differences {difference}"
                );
            }
        }
    }
}

fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

/// Where a function has a corner, finite differences say nothing; the documentation does.
#[test]
fn gradients_at_corners_are_as_documented() {
    let corners = [
        (Unary::Relu, 0.0),
        (Unary::Abs, 0.0),
        (Unary::LeakyRelu { slope: 0.125 }, 0.125),
        (Unary::GeluTanh, 0.5),
        (Unary::Gelu, 0.5),
        (Unary::Sigmoid, 0.25),
        (Unary::Tanh, 1.0),
    ];
    for (function, slope) in corners {
        let mut net = Net::new(1);
        let x = net.holding([2], &[0.0, -0.0]);
        net.wrt.push(x);
        let y = net.graph.unary(function, x).unwrap();
        let weights = net.holding([2], &[3.0, -2.0]);
        let product = net.graph.mul(y, weights).unwrap();
        let of = net.graph.sum(product, 0).unwrap();
        let gradient = by_rules(&net.end(function.name(), of));
        assert_eq!(gradient[0], [3.0 * slope, -2.0 * slope], "{}", function.name());
    }
    // No error at all, and an error of exactly δ.
    for (loss, expected) in [
        (Loss::MeanAbsoluteError, [0.0, 0.25, -0.25, 0.25]),
        (Loss::Huber { delta: 0.5 }, [0.0, 0.125, -0.125, 0.125]),
    ] {
        let mut net = Net::new(1);
        let predictions = net.holding([4], &[1.0, 1.5, 0.5, 3.0]);
        let targets = net.holding([4], &[1.0, 1.0, 1.0, 1.0]);
        net.wrt.extend([predictions, targets]);
        let of = net.graph.loss(loss, predictions, targets).unwrap();
        let gradients = by_rules(&net.end(loss.name(), of));
        assert_eq!(gradients[0], expected, "{}", loss.name());
        assert_eq!(gradients[1], expected.map(|x| -x), "{}", loss.name());
    }
}

#[test]
fn equal_maxima_share_the_gradient() {
    let mut net = Net::new(1);
    let x = net.holding([2, 4], &[1.0, 3.0, 3.0, 0.0, -1.0, -1.0, -1.0, -1.0]);
    net.wrt.push(x);
    let y = net.graph.max(x, 1).unwrap();
    let weights = net.holding([2], &[5.0, -8.0]);
    let product = net.graph.mul(y, weights).unwrap();
    let of = net.graph.sum(product, 0).unwrap();
    let gradient = by_rules(&net.end("max", of));
    assert_eq!(gradient[0], [0.0, 2.5, 2.5, 0.0, -2.0, -2.0, -2.0, -2.0]);
}

#[test]
fn a_scalar_has_gradient_one_by_itself() {
    let mut net = Net::new(1);
    let x = net.holding([1, 1], &[4.0]);
    net.wrt.extend([x, x]);
    assert_eq!(by_rules(&net.end("itself", x)), [[1.0], [1.0]]);
}

/// Two losses in one graph: the backward pass of the second does not run through the first's.
#[test]
fn two_backward_passes_in_one_graph() {
    let mut net = Net::new(7);
    let x = net.before([3]);
    let y = net.graph.unary(Unary::Tanh, x).unwrap();
    let (first, second) = (net.weighted_sum(y), net.weighted_sum(x));
    let mut both = net.graph.clone();
    let together: Vec<Vec<f64>> = {
        let gradients = [first, second].map(|of| both.gradients(of, &[x]).unwrap()[0]);
        let all = twin::evaluate(&both, &net.values, 0);
        gradients.iter().map(|&g| plain(&twin::value_of(&both, &all, g))).collect()
    };
    for (of, gradient) in [first, second].into_iter().zip(together) {
        let mut alone = net.graph.clone();
        let only = alone.gradients(of, &[x]).unwrap()[0];
        let all = twin::evaluate(&alone, &net.values, 0);
        assert_eq!(plain(&twin::value_of(&alone, &all, only)), gradient);
    }
}

/// The message of a refused differentiation.
fn refusal(graph: &mut Graph, of: Tensor, wrt: &[Tensor]) -> String {
    match graph.gradients(of, wrt) {
        Err(error @ Error::Shape { .. }) => error.to_string(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn refuses_what_has_no_gradient() -> Result<(), Error> {
    let mut graph = Graph::new();
    let x = graph.parameter("weights", [3, 4])?;
    let unrelated = graph.parameter("unrelated", [2])?;
    let labels = graph.index_input("labels", [3])?;

    let message = refusal(&mut graph, x, &[x]);
    assert!(message.contains("'weights' is 3×4, not a scalar"), "{message}");

    let loss = graph.loss(Loss::SoftmaxCrossEntropy, x, labels)?;
    let message = refusal(&mut graph, loss, &[x, unrelated]);
    assert!(message.contains("does not depend on 'unrelated'"), "{message}");

    let message = refusal(&mut graph, loss, &[labels]);
    assert!(message.contains("labels"), "{message}");

    // A tensor that comes after the scalar.
    let later = graph.scale(x, 2.0)?;
    let message = refusal(&mut graph, loss, &[later]);
    assert!(message.contains("does not depend on"), "{message}");

    // A count stands between.
    let count = graph.count(Count::Correct, x, labels)?;
    let sum = graph.add(count, loss)?;
    let message = refusal(&mut graph, sum, &[x]);
    assert!(message.contains("count") && message.contains("no gradient"), "{message}");

    // Batches are drawn from data, not from parameters.
    let order = graph.index_input("order", [3])?;
    let batch = graph.batch(x, order, 2)?;
    let sum = graph.reduce(Reduction::Sum, batch, 0, 2)?;
    let message = refusal(&mut graph, sum, &[x]);
    assert!(message.contains("batch") && message.contains("no gradient"), "{message}");

    // Cross entropy by its targets.
    let (p, t) = (graph.parameter("p", [2, 3])?, graph.parameter("t", [2, 3])?);
    for loss in [Loss::SoftmaxCrossEntropyProbabilities, Loss::BinaryCrossEntropy] {
        let of = graph.loss(loss, p, t)?;
        let message = refusal(&mut graph, of, &[t]);
        assert!(message.contains("no gradient"), "{message}");
        assert!(graph.gradients(of, &[p]).is_ok());
    }

    // A gradient's gradient.
    let y = graph.unary(Unary::Tanh, p)?;
    let of = graph.reduce(Reduction::Sum, y, 0, 2)?;
    let first = graph.gradients(of, &[p])?[0];
    let of = graph.reduce(Reduction::Sum, first, 0, 2)?;
    let message = refusal(&mut graph, of, &[p]);
    assert!(message.contains("no gradient"), "{message}");

    // A handle of another graph.
    let mut small = Graph::new();
    let scalar = small.parameter("scalar", [1])?;
    assert!(small.gradients(scalar, &[p]).is_err());
    assert!(small.gradients(p, &[scalar]).is_err());
    Ok(())
}

/// A refused differentiation must not leave the graph unusable.
#[test]
fn a_refusal_leaves_the_graph_usable() -> Result<(), Error> {
    let mut graph = Graph::new();
    let x = graph.parameter("x", [2, 3])?;
    let unrelated = graph.parameter("unrelated", [2])?;
    let of = graph.reduce(Reduction::Sum, x, 0, 2)?;
    assert!(graph.gradients(of, &[x, unrelated]).is_err());
    let gradient = graph.gradients(of, &[x])?[0];
    let all = twin::evaluate(&graph, &[(x, Value::exact(&[2.0; 6]))].into(), 0);
    assert_eq!(plain(&twin::value_of(&graph, &all, gradient)), [1.0; 6]);
    Ok(())
}

/// The twin's own special function, against values of mpmath.
#[test]
fn the_twin_knows_the_error_function() {
    for (x, expected) in [
        (0.0, 1.0),
        (0.5, 0.479_500_122_186_953_5),
        (1.0, 0.157_299_207_050_285_13),
        (1.99, 0.004_888_586_800_383_003),
        (2.0, 0.004_677_734_981_047_266),
        (3.0, 2.209_049_699_858_544e-5),
        (5.0, 1.537_459_794_428_035e-12),
        (-1.0, 1.842_700_792_949_715),
        (-30.0, 2.0),
    ] {
        let relative: f64 = (erfc(x) - expected) / expected;
        assert!(relative.abs() < 1e-13, "erfc({x}) = {}, not {expected}", erfc(x));
    }
}

/// A bound must see what it is to catch: a wrong factor or a lost term is far outside.
#[test]
fn bounds_are_tight() {
    let terms: Vec<Num> = (0..100).map(|i| Num::exact(f64::from(i) - 30.0)).collect();
    let sum = Num::sum(terms.iter().map(|&x| x * x));
    assert!(sum.error < 2e-5 * sum.value, "{sum:?}");
    let x = Num::exact(0.7);
    for y in [x.exp(), x.tanh(), x.sqrt(), x.normal_cdf(), x / Num::exact(3.0)] {
        assert!(y.error < 4e-6 * y.value, "{y:?}");
    }
}
