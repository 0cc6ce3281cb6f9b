//! Explanations against what they must be by definition: of linear nets, by differences, by their sums.

use approx::assert_abs_diff_eq;

use crate::common::gpu;
use crate::common::random::Random;
use crate::support::{f32s, golden, json, numbers};
use wgrad::data::{Dataset, Source, Standardizer, permutation};
use wgrad::explain::{
    Explainer, Quadrature, Score, Window, partial_dependence_blocking,
    partial_dependence_source_blocking, permutation_importance_blocking,
};
use wgrad::graph::{Graph, Unary};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{Model, TrainingConfig};

fn compiled(net: Sequential) -> Model {
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
    net.compile_blocking(&gpu(), how.metric(Metric::RSquared)).unwrap()
}

fn explainer(net: Sequential) -> Explainer {
    Explainer::of_model_blocking(&compiled(net)).unwrap()
}

/// Some rows of random numbers; more than a batch holds.
fn rows(count: usize, width: usize) -> Vec<f32> {
    Random::new(9).many(count * width, |r| r.uniform(-1.5, 1.5))
}

fn of(values: &[f32], row: usize, width: usize) -> &[f32] {
    &values[row * width..][..width]
}

/// A linear net's outputs are sums of what its inputs add, and every method says what.
#[test]
fn linear_nets_are_explained_exactly() {
    let (width, outputs) = (5, 3);
    let mut model = compiled(Sequential::new(width).dense(outputs).seed(4));
    let weights: Vec<f32> = Random::new(1).many(width * outputs, |r| r.uniform(-2.0, 2.0));
    model.set_weights(&[weights.clone(), vec![0.5, -0.25, 1.0]]).unwrap();
    let mut explainer = Explainer::of_model_blocking(&model).unwrap();
    let x = rows(300, width);
    let targets: Vec<usize> = (0..300).map(|row| row % outputs).collect();
    let slope = |row: usize, feature: usize| weights[feature * outputs + targets[row]];
    let gradients = explainer.gradients_blocking(&x, &targets).unwrap();
    let sizes = explainer.saliency_blocking(&x, &targets).unwrap();
    let times = explainer.gradient_times_input_blocking(&x, &targets).unwrap();
    let smooth = explainer.smooth_grad_blocking(&x, &targets, 7, 0.3, 5).unwrap();
    let baseline = [0.25, -1.0, 0.0, 2.0, 0.5];
    let along = |explainer: &mut Explainer, rule| {
        explainer.integrated_gradients_blocking(&x, &targets, &baseline, rule).unwrap()
    };
    let window = Window { row: &[width], size: &[1], step: &[1] };
    let covered = explainer.occlusion_blocking(&x, &targets, window, 0.75).unwrap();
    for rule in [Quadrature::Midpoint(1), Quadrature::Trapezoid(3), Quadrature::GaussLegendre(5)] {
        let found = along(&mut explainer, rule);
        for (i, found) in found.attributions.iter().enumerate() {
            let (row, feature) = (i / width, i % width);
            let expected = slope(row, feature) * (x[i] - baseline[feature]);
            assert_abs_diff_eq!(*found, expected, epsilon = 4.0 * f32::EPSILON * expected.abs());
        }
        assert!(found.gaps.iter().all(|gap| gap.abs() < 1e-5), "{rule:?}: {:?}", found.gaps);
    }
    for (i, &value) in x.iter().enumerate() {
        let slope = slope(i / width, i % width);
        assert_eq!((gradients[i], sizes[i], times[i]), (slope, slope.abs(), slope * value));
        assert_abs_diff_eq!(smooth[i], slope, epsilon = 2.0 * f32::EPSILON * slope.abs());
        // A difference of two outputs.
        assert_abs_diff_eq!(covered[i], slope * (value - 0.75), epsilon = 3e-6);
    }
}

/// Of smooth nets the attributions add up to what the output differs by.
#[test]
fn integrated_gradients_are_complete() {
    let nets: [fn(Sequential) -> Sequential; 2] = [|net| net.tanh(), |net| net.gelu()];
    for (number, activation) in nets.into_iter().enumerate() {
        let net = activation(Sequential::new(6).dense(24));
        let net = activation(net.dense(16)).dense(3).seed(number as u64);
        let mut explainer = explainer(net);
        let (x, baseline) = (rows(9, 6), vec![0.0; 6]);
        let (outputs, base) = (
            explainer.outputs_blocking(&x).unwrap(),
            explainer.outputs_blocking(&baseline).unwrap(),
        );
        for (target, &base) in base.iter().enumerate() {
            for rule in [
                Quadrature::Midpoint(512),
                Quadrature::Trapezoid(512),
                Quadrature::GaussLegendre(512),
                Quadrature::GaussLegendre(24),
            ] {
                let found = explainer
                    .integrated_gradients_blocking(&x, &[target], &baseline, rule)
                    .unwrap();
                for row in 0..9 {
                    let difference = f64::from(of(&outputs, row, 3)[target] - base);
                    let sum: f64 =
                        of(&found.attributions, row, 6).iter().map(|&a| f64::from(a)).sum();
                    let gap = sum - difference;
                    // Outputs and gradients are f32; the bar is 1e-5 of the difference.
                    let tolerance = 1e-5 * difference.abs().max(0.3);
                    assert!(gap.abs() <= tolerance, "{rule:?}, row {row}: {gap} of {difference}");
                    assert_abs_diff_eq!(found.gaps[row], gap, epsilon = 2e-6);
                }
            }
        }
    }
}

/// Gradients are slopes: by differences of outputs, for each row its own target.
#[test]
fn gradients_are_slopes() {
    let mut explainer = explainer(Sequential::new(4).dense(8).tanh().dense(2).seed(3));
    let x = rows(5, 4);
    let targets = [0, 1, 1, 0, 1];
    let gradients = explainer.gradients_blocking(&x, &targets).unwrap();
    let step = 1e-2;
    for i in 0..x.len() {
        let mut at = |offset: f32| {
            let mut moved = x.clone();
            moved[i] += offset;
            let outputs = explainer.outputs_blocking(&moved).unwrap();
            outputs[i / 4 * 2 + targets[i / 4]]
        };
        let slope =
            (8.0 * (at(step) - at(-step)) - (at(2.0 * step) - at(-2.0 * step))) / (12.0 * step);
        assert_abs_diff_eq!(gradients[i], slope, epsilon = 2e-4);
    }
}

/// From one row of background, expected gradients are integrated gradients by chance; from several they add up to the
/// difference from the mean of those that were drawn. The seed decides, and how rows are batched does not.
#[test]
fn expected_gradients_add_up() {
    let mut explainer = explainer(Sequential::new(3).dense(12).tanh().dense(2).seed(6));
    let x = rows(4, 3);
    let background = rows(20, 3);
    let one = of(&background, 7, 3);
    let call = |explainer: &mut Explainer, x: &[f32], background: &[f32], samples, seed| {
        explainer.expected_gradients_blocking(x, &[1], background, samples, seed).unwrap()
    };
    let found = call(&mut explainer, &x, one, 400, 1);
    let rule = Quadrature::GaussLegendre(40);
    let exact = explainer.integrated_gradients_blocking(&x, &[1], one, rule).unwrap();
    for (found, exact) in found.attributions.iter().zip(&exact.attributions) {
        assert_abs_diff_eq!(found, exact, epsilon = 1e-3);
    }
    let many = call(&mut explainer, &x, &background, 1000, 2);
    assert!(many.gaps.iter().all(|gap| gap.abs() < 0.05), "{:?}", many.gaps);
    assert_eq!(many, call(&mut explainer, &x, &background, 1000, 2));
    assert_ne!(many, call(&mut explainer, &x, &background, 1000, 3));
    // A row is explained alike whatever comes after it.
    let smooth = |explainer: &mut Explainer, x: &[f32]| {
        explainer.smooth_grad_blocking(x, &[0], 90, 0.2, 8).unwrap()
    };
    let (all, first) = (smooth(&mut explainer, &x), smooth(&mut explainer, &x[..3]));
    assert_eq!(all[..3], first);
    // Without deviation it is the gradient.
    let still = explainer.smooth_grad_blocking(&x, &[0], 3, 0.0, 1).unwrap();
    assert_eq!(still, explainer.gradients_blocking(&x, &[0]).unwrap());
}

/// Windows of images: each number has the mean of what the windows over it lose, and 0 without.
#[test]
fn windows_cover_images() {
    let mut model = compiled(Sequential::new(12).dense(1));
    let weights: Vec<f32> = (1..=12).map(|i| i as f32).collect();
    model.set_weights(&[weights, vec![0.0]]).unwrap();
    let mut explainer = Explainer::of_model_blocking(&model).unwrap();
    let window = Window { row: &[3, 4], size: &[2, 2], step: &[1, 3] };
    // Places: columns 0 and 1, since 3 does not fit; of rows 0 and 1.
    let lost = explainer.occlusion_blocking(&[1.0; 12], &[0], window, 0.0).unwrap();
    let (above, below) = (1.0 + 2.0 + 5.0 + 6.0, 5.0 + 6.0 + 9.0 + 10.0);
    let middle = (above + below) / 2.0;
    assert_eq!(lost, [above, above, 0.0, 0.0, middle, middle, 0.0, 0.0, below, below, 0.0, 0.0]);
}

/// Of a graph of one's own, whose rows have two axes; and how far it has come.
#[test]
fn graphs_are_explained() {
    let mut graph = Graph::new();
    let x = graph.input("x", [4, 2, 3]).unwrap();
    let squares = graph.unary(Unary::Square, x).unwrap();
    let sums = graph.sum(squares, 2).unwrap();
    let mut explainer = Explainer::of_graph_blocking(&gpu(), graph, x, sums, None).unwrap();
    let (told, seen) = std::sync::mpsc::channel();
    explainer.on_progress(move |done, of| told.send((done, of)).unwrap());
    let x = rows(10, 6);
    let gradients = explainer.gradients_blocking(&x, &[1]).unwrap();
    for (i, (gradient, x)) in gradients.iter().zip(&x).enumerate() {
        assert_eq!(*gradient, if i % 6 < 3 { 0.0 } else { 2.0 * x });
    }
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(4, 10), (8, 10), (10, 10)]);
    // No row of one axis less, and none that has no gradient.
    let mut graph = Graph::new();
    let x = graph.input("x", [4, 3]).unwrap();
    let column = graph.sum(x, 0).unwrap();
    let error = Explainer::of_graph_blocking(&gpu(), graph.clone(), x, column, None).unwrap_err();
    assert!(error.to_string().contains("along their first axis"), "{error}");
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let mut model = compiled(Sequential::new(3).dense(2));
    let mut explainer = Explainer::of_model_blocking(&model).unwrap();
    let x = [1.0; 6];
    let rule = Quadrature::Midpoint(4);
    let refusals = [
        (explainer.saliency_blocking(&[], &[0]), "a positive multiple of the 3"),
        (explainer.saliency_blocking(&x[..4], &[0]), "a positive multiple of the 3"),
        (explainer.saliency_blocking(&[1.0, f32::NAN, 1.0], &[0]), "number 1 of row 0"),
        (explainer.saliency_blocking(&x, &[2]), "below 2"),
        (explainer.saliency_blocking(&x, &[]), "1, or one for each of 2 rows"),
        (explainer.saliency_blocking(&x, &[0; 3]), "1, or one for each of 2 rows"),
        (explainer.smooth_grad_blocking(&x, &[0], 0, 1.0, 0), "samples"),
        (explainer.smooth_grad_blocking(&x, &[0], 1, -1.0, 0), "deviation"),
        (explainer.smooth_grad_blocking(&x, &[0], usize::MAX, 1.0, 0), "points"),
        (
            explainer.integrated_gradients_blocking(&x, &[0], &x, rule).map(|i| i.attributions),
            "one row",
        ),
        (
            explainer
                .integrated_gradients_blocking(&x, &[0], &x[..3], Quadrature::Trapezoid(0))
                .map(|i| i.attributions),
            "points of the quadrature is 0; it must be at least 1",
        ),
        (
            explainer
                .integrated_gradients_blocking(&x, &[0], &x[..3], Quadrature::GaussLegendre(10_001))
                .map(|i| i.attributions),
            "points of the quadrature is 10001; it must be at most 10000",
        ),
        (
            explainer
                .integrated_gradients_blocking(&x, &[0], &x[..3], Quadrature::Midpoint(usize::MAX))
                .map(|i| i.attributions),
            "it must be at most 10000",
        ),
        (
            explainer.expected_gradients_blocking(&x, &[0], &[], 3, 0).map(|i| i.attributions),
            "a positive multiple",
        ),
    ];
    for (refused, part) in refusals {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
    for (row, size, step, part) in [
        (&[2, 2][..], &[1, 1][..], &[1, 1][..], "product is 3"),
        (&[3], &[4], &[1], "extents of the window"),
        (&[3], &[1, 1], &[1], "extents of the window"),
        (&[3], &[1], &[0], "steps of the window"),
    ] {
        let window = Window { row, size, step };
        let error = explainer.occlusion_blocking(&x, &[0], window, 0.0).unwrap_err().to_string();
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
    let data = Dataset::regression(x.to_vec(), 3, vec![1.0; 4], 2).unwrap();
    for (orders, score, part) in [
        (vec![], Score::Loss, "number of permutations"),
        (vec![vec![0, 0]], Score::Loss, "each of the 2 rows once"),
        (vec![vec![0, 1]], Score::Metric(Metric::MeanAbsoluteError), "metric"),
    ] {
        let error = permutation_importance_blocking(&model, &data, score, &orders).unwrap_err();
        assert!(error.to_string().contains(part), "'{part}' is not in: {error}");
    }
    let error = partial_dependence_blocking(&mut model, &x, 3, &[0.0]).unwrap_err().to_string();
    assert!(error.contains("below 3"), "{error}");
}

/// Of a net with a bend, what captum says in f64.
#[test]
fn attributions_are_captums() {
    let file = json(&golden("captum/attributions.json"));
    let of = |key: &str| f32s(&numbers(&file[key]));
    let mut model = compiled(Sequential::new(6).dense(8).tanh().dense(3));
    let weights: Vec<Vec<f32>> = (0..4).map(|i| f32s(&numbers(&file["weights"][i]))).collect();
    model.set_weights(&weights).unwrap();
    let mut explainer = Explainer::of_model_blocking(&model).unwrap();
    let (x, baseline) = (of("rows"), of("baseline"));
    let targets: Vec<usize> = numbers(&file["targets"]).iter().map(|&t| t as usize).collect();
    let check = |name: &str, found: &[f32]| {
        let expected = numbers(&file[name]);
        assert_eq!(found.len(), expected.len(), "{name}");
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let apart = (f64::from(*found) - expected).abs();
            assert!(apart <= 2e-5 * (1.0 + expected.abs()), "{name}[{i}]: {found} {expected}");
        }
    };
    check("saliency", &explainer.saliency_blocking(&x, &targets).unwrap());
    let times = explainer.gradient_times_input_blocking(&x, &targets).unwrap();
    check("gradient_times_input", &times);
    let window = Window { row: &[6], size: &[2], step: &[1] };
    check("occlusion", &explainer.occlusion_blocking(&x, &targets, window, 0.75).unwrap());
    for (name, rule) in [
        ("integrated_gradients_gausslegendre_20", Quadrature::GaussLegendre(20)),
        ("integrated_gradients_riemann_middle_40", Quadrature::Midpoint(40)),
    ] {
        let found = explainer.integrated_gradients_blocking(&x, &targets, &baseline, rule);
        check(name, &found.unwrap().attributions);
    }
}

/// The same drops as scikit-learn's scores, with the same permutations.
#[test]
fn permutations_cost_what_they_cost_scikit_learn() {
    let file = json(&golden("sklearn/importance.json"));
    let of = |key: &str| f32s(&numbers(&file[key]));
    let mut model = compiled(Sequential::new(4).dense(1));
    model.set_weights(&[of("weights"), of("bias")]).unwrap();
    let data = Dataset::regression(of("x"), 4, of("y"), 1).unwrap();
    let orders: Vec<Vec<u32>> = numbers(&file["orders"])
        .chunks(40)
        .map(|order| order.iter().map(|&row| row as u32).collect())
        .collect();
    let score = Score::Metric(Metric::RSquared);
    let found = permutation_importance_blocking(&model, &data, score, &orders).unwrap();
    let drops: Vec<f64> = found.iter().flat_map(|feature| feature.drops.clone()).collect();
    for (found, expected) in drops.iter().zip(numbers(&file["drops"])) {
        assert_abs_diff_eq!(*found, expected, epsilon = 1e-5);
    }
    let means: Vec<f64> = found.iter().map(|feature| feature.mean()).collect();
    assert!(means[0] > means[1] && means[1] > means[2] && means[2] > means[3], "{means:?}");
    assert!(found[0].deviation() > 0.0);
}

/// The mean of the outputs with a feature set; of a linear model a line.
#[test]
fn dependence_of_a_linear_model_is_a_line() {
    let mut model = compiled(Sequential::new(2).dense(1));
    model.set_weights(&[vec![2.0, -3.0], vec![1.0]]).unwrap();
    let x = [1.0, 0.5, 3.0, -1.5];
    let found = partial_dependence_blocking(&mut model, &x, 0, &[-1.0, 0.0, 2.0]).unwrap();
    // The mean of the other feature is -0.5.
    assert_eq!(found, [0.5, 2.5, 6.5]);
}

/// Rows of a source are explained as the same rows in memory.
#[test]
fn sources_are_explained_as_rows_in_memory() {
    let (width, count) = (3, 90);
    let mut model = compiled(Sequential::new(width).dense(4).tanh().dense(1).seed(8));
    let mut x = rows(count, width);
    let y: Vec<f32> = x.chunks(width).map(|row| row[0] * row[1] - row[2]).collect();
    let source = Source::dataset(Dataset::regression(x.clone(), width, y.clone(), 1).unwrap());
    let source = source.unwrap().block_rows(7).unwrap();
    // Shifted and scaled, which the values of a feature that are dealt anew must be too.
    let standardizer = Standardizer::fit(&x, width).unwrap();
    standardizer.apply(&mut x).unwrap();
    let source = source.standardized(&standardizer).unwrap();
    let data = Dataset::regression(x.clone(), width, y, 1).unwrap();
    let orders = [permutation(count, 1), permutation(count, 2)];
    for score in [Score::Loss, Score::Metric(Metric::RSquared)] {
        let expected = permutation_importance_blocking(&model, &data, score, &orders).unwrap();
        let found = permutation_importance_blocking(&model, &source, score, &orders).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            for (found, expected) in found.drops.iter().zip(&expected.drops) {
                assert_abs_diff_eq!(*found, *expected, epsilon = 1e-5);
            }
        }
    }
    let grid = [-1.0, 0.5];
    for feature in 0..width {
        let expected = partial_dependence_blocking(&mut model, &x, feature, &grid).unwrap();
        let found = partial_dependence_source_blocking(&mut model, &source, feature, &grid);
        assert_eq!(found.unwrap(), expected);
    }
    let mut explainer = Explainer::of_model_blocking(&model).unwrap();
    let expected = explainer.saliency_blocking(&x, &[0]).unwrap();
    let batches = source.feature_batches(13).unwrap();
    let found = batches.flat_map(|some| explainer.saliency_blocking(&some.unwrap(), &[0]).unwrap());
    assert_eq!(found.collect::<Vec<f32>>(), expected);
    let background = source.rows_at(&[80, 0, 41]).unwrap();
    assert_eq!(background, [of(&x, 80, 3), of(&x, 0, 3), of(&x, 41, 3)].concat());
    assert!(source.rows_at(&[count]).unwrap_err().to_string().contains("90"));
    // One that has other rows than the model.
    let narrow = Source::dataset(Dataset::regression(vec![1.0; 4], 2, vec![1.0; 2], 1).unwrap());
    let error = partial_dependence_source_blocking(&mut model, &narrow.unwrap(), 0, &grid);
    assert!(error.unwrap_err().to_string().contains("give rows of 3"));
}
