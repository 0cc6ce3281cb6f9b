//! What is wrong is said: which operation, which shapes, which value, and what it must be. Nothing
//! here panics, and nothing needs a GPU but the list of adapters.

use wgrad::data::{DataError, Dataset};
use wgrad::graph::{Count, Graph, Layout, Loss, Reduction, Shape, Tensor, Unary, UpdateRule};
use wgrad::nn::{LearningRateSchedule, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, Model, Residency, TrainingConfig};
use wgrad::{AdapterChoice, Error, Gpu};

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu::from_device(&device, &queue)
}

/// The error's text must hold every word.
fn says<T>(what: &str, result: Result<T, impl Into<Error>>, words: &[&str]) -> Error {
    let error: Error = match result {
        Ok(_) => panic!("{what} is accepted"),
        Err(error) => error.into(),
    };
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{what}: '{text}' does not say '{word}'");
    }
    error
}

fn shape_error<T>(what: &str, result: Result<T, Error>, words: &[&str]) {
    let error = says(what, result, words);
    assert!(matches!(error, Error::Shape { .. }), "{what}: {error:?}");
}

fn argument_error<T>(what: &str, result: Result<T, Error>, words: &[&str]) {
    let error = says(what, result, words);
    assert!(matches!(error, Error::Argument { .. }), "{what}: {error:?}");
}

/// A graph with tensors of some shapes.
struct Shelf {
    g: Graph,
    /// 2×3.
    m: Tensor,
    /// 4×5.
    wide: Tensor,
    /// 3.
    row: Tensor,
    /// scalar.
    scalar: Tensor,
    /// 2, of u32.
    labels: Tensor,
}

fn shelf() -> Shelf {
    let mut g = Graph::new();
    let m = g.input("m", [2, 3]).unwrap();
    let wide = g.input("wide", [4, 5]).unwrap();
    let row = g.input("row", [3]).unwrap();
    let scalar = g.input("scalar", []).unwrap();
    let labels = g.index_input("labels", [2]).unwrap();
    Shelf { g, m, wide, row, scalar, labels }
}

#[test]
fn tensors_are_neither_empty_nor_endless() {
    let mut g = Graph::new();
    shape_error("an extent of 0", g.input("nothing", [3, 0]), &["nothing", "3×0", "empty"]);
    shape_error("an empty parameter", g.parameter("w", [0]), &["w", "0", "empty"]);
    shape_error("empty indices", g.index_input("i", [0]), &["i", "empty"]);
    shape_error("an empty constant", g.constant(1.5, [0, 2]), &["1.5", "0×2"]);
    let huge = [1 << 20, 1 << 20];
    shape_error("2⁴⁰ elements", g.input("huge", huge), &["huge", "1048576×1048576", "32 bits"]);
    shape_error("overflow", g.input("max", [usize::MAX, usize::MAX]), &["max", "32 bits"]);
    shape_error("2³² elements", g.input("edge", [1 << 32]), &["edge", "4294967296"]);
    assert!(g.input("last", [(1 << 32) - 1]).is_ok());
    assert_eq!(g.tensors().len(), 1, "what is refused leaves nothing behind");
}

#[test]
fn products_name_both_shapes_and_the_rule() {
    let Shelf { mut g, m, wide, row, .. } = shelf();
    for (layout, rule) in
        [(Layout::NN, "m×k · k×n"), (Layout::NT, "(n×k)ᵀ"), (Layout::TN, "(k×m)ᵀ")]
    {
        let result = g.matmul_layout(layout, m, wide);
        shape_error("2×3 by 4×5", result, &["matmul", "'m' 2×3", "'wide' 4×5", rule]);
        shape_error("a vector", g.matmul_layout(layout, m, row), &["matmul", "'row' 3"]);
    }
    shape_error("a bias of 3 on 5", g.bias_add(wide, row), &["bias_add", "4×5", "'row' 3"]);
    shape_error("a bias that is a matrix", g.bias_add(m, m), &["bias_add", "2×3"]);
}

#[test]
fn element_wise_operations_name_both_shapes() {
    let Shelf { mut g, m, wide, row, scalar, labels } = shelf();
    for (name, result) in
        [("add", g.add(m, wide)), ("sub", g.sub(m, wide)), ("mul", g.mul(m, wide))]
    {
        shape_error(name, result, &[name, "'m' 2×3", "'wide' 4×5", "scalar"]);
    }
    shape_error("the other way round", g.add(row, m), &["add", "'row' 3", "'m' 2×3"]);
    shape_error("a scalar plus a row", g.add(scalar, row), &["add", "'scalar' scalar"]);
    shape_error("integers", g.add(m, labels), &["add", "'labels'", "U32", "F32"]);
    shape_error("integers", g.scale(labels, 2.0), &["scale", "'labels'", "U32"]);
    shape_error("integers", g.unary(Unary::Relu, labels), &["relu", "'labels'", "U32"]);
    for slope in [0.0, -0.5, f32::NAN, f32::INFINITY] {
        let result = g.unary(Unary::LeakyRelu { slope }, m);
        argument_error("a slope", result, &["leaky_relu slope", &slope.to_string(), "positive"]);
        let result = g.unary(Unary::Elu { alpha: slope }, m);
        argument_error("an alpha", result, &["elu alpha", &slope.to_string(), "positive"]);
    }
}

#[test]
fn axes_out_of_range_are_named() {
    let Shelf { mut g, m, scalar, .. } = shelf();
    for axis in [2, 7, usize::MAX] {
        let name = &axis.to_string();
        shape_error("softmax", g.softmax(m, axis), &["softmax", name, "2×3", "2 axes"]);
        shape_error("log_softmax", g.log_softmax(m, axis), &["log_softmax", name]);
        shape_error("sum", g.sum(m, axis), &["sum", name, "'m'"]);
        shape_error("mean", g.mean(m, axis), &["mean", name]);
        shape_error("max", g.max(m, axis), &["max", name]);
    }
    shape_error("axes of a scalar", g.sum(scalar, 0), &["sum", "scalar", "0 axes"]);
    for (start, end) in [(1, 1), (2, 1), (0, 3), (usize::MAX, 0)] {
        let result = g.reduce(Reduction::Sum, m, start, end);
        shape_error("a range of axes", result, &[&format!("{start}..{end}"), "2×3"]);
        let result = g.expand(m, [2, 3, 4], start, end, 1.0);
        shape_error("expand", result, &["expand", &format!("{start}..{end}"), "2×3×4", "'m' 2×3"]);
    }
    shape_error("expand to other extents", g.expand(m, [5, 7, 3], 1, 2, 1.0), &["5×7×3", "2×3"]);
    shape_error("reshape", g.reshape(m, [4]), &["reshape", "'m' 2×3", "4"]);
    shape_error("reshape to nothing", g.reshape(m, [0]), &["reshape", "0"]);
}

#[test]
fn rows_are_named_by_integers() {
    let Shelf { mut g, m, row, scalar, labels, .. } = shelf();
    shape_error("indices of f32", g.gather(m, row), &["gather", "'row'", "F32", "U32"]);
    shape_error("rows of a scalar", g.gather(scalar, labels), &["gather", "scalar"]);
    let matrix = g.index_input("matrix", [2, 2]).unwrap();
    shape_error("a matrix of indices", g.gather(m, matrix), &["gather", "'matrix' 2×2"]);
    shape_error("order of f32", g.batch(m, row, 1), &["batch", "'row'", "U32"]);
    shape_error("more rows than there are", g.batch(m, labels, 3), &["batch", "at least 3"]);
    shape_error("no rows", g.batch(m, labels, 0), &["batch", "empty"]);
    let order = g.index_input("order", [5]).unwrap();
    shape_error("an order of 5 for 2", g.batch(m, order, 1), &["batch", "'m' 2×3", "'order' 5"]);
}

#[test]
fn losses_name_predictions_and_targets() {
    let Shelf { mut g, m, wide, row, scalar, labels } = shelf();
    let floats = [
        Loss::MeanSquaredError,
        Loss::MeanAbsoluteError,
        Loss::Huber { delta: 1.0 },
        Loss::SoftmaxCrossEntropyProbabilities,
        Loss::BinaryCrossEntropy,
    ];
    for loss in floats {
        shape_error("other shapes", g.loss(loss, m, wide), &[loss.name(), "2×3", "4×5", "equal"]);
        shape_error("labels", g.loss(loss, m, labels), &[loss.name(), "'labels'", "U32"]);
    }
    let loss = Loss::SoftmaxCrossEntropy;
    shape_error("values", g.loss(loss, m, row), &[loss.name(), "'row'", "F32", "U32"]);
    let many = g.index_input("many", [4]).unwrap();
    shape_error("4 labels for 2", g.loss(loss, m, many), &["'m' 2×3", "'many' 4", "classes"]);
    shape_error("a scalar's classes", g.loss(loss, scalar, labels), &["'scalar' scalar"]);
    for delta in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let result = g.loss(Loss::Huber { delta }, m, m);
        argument_error("δ", result, &["huber delta", &delta.to_string(), "positive"]);
    }
    shape_error("hits of values", g.count(Count::Correct, m, row), &["count", "U32"]);
    shape_error("errors of labels", g.count(Count::SquaredError, m, labels), &["count", "F32"]);
}

#[test]
fn gradients_name_what_has_none() {
    let Shelf { mut g, m, wide, labels, .. } = shelf();
    let sum = g.reduce(Reduction::Sum, m, 0, 2).unwrap();
    shape_error("of a matrix", g.gradients(m, &[m]), &["gradients", "'m'", "2×3", "scalar"]);
    shape_error("by a stranger", g.gradients(sum, &[wide]), &["does not depend", "'wide'"]);
    let hits = g.count(Count::Correct, m, labels).unwrap();
    shape_error("of hits", g.gradients(hits, &[m]), &["count", "no gradient"]);
    let loss = g.loss(Loss::SoftmaxCrossEntropy, m, labels).unwrap();
    shape_error("by labels", g.gradients(loss, &[labels]), &["no gradient"]);
    // Nothing before was harmed.
    assert_eq!(g.gradients(sum, &[m]).unwrap().len(), 1);
}

#[test]
fn updates_name_the_parameter() {
    let mut g = Graph::new();
    let w = g.parameter("w", [2, 3]).unwrap();
    let v = g.parameter("v", [3]).unwrap();
    let x = g.input("x", [2, 3]).unwrap();
    let product = g.mul(w, x).unwrap();
    let product = g.bias_add(product, v).unwrap();
    let loss = g.reduce(Reduction::Sum, product, 0, 2).unwrap();
    let gradients = g.gradients(loss, &[w, v]).unwrap();
    let (dw, dv) = (gradients[0], gradients[1]);
    shape_error("not a scalar", g.update(SGD, None, product, &[(w, dw)]), &["update", "2×3"]);
    shape_error("not a parameter", g.update(SGD, None, loss, &[(x, dw)]), &["'x'", "parameter"]);
    shape_error("twice", g.update(SGD, None, loss, &[(w, dw), (w, dw)]), &["'w'", "twice"]);
    shape_error("of another shape", g.update(SGD, None, loss, &[(w, dv)]), &["'w' 2×3", "3"]);
    for norm in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let result = g.update(SGD, Some(norm), loss, &[(w, dw)]);
        argument_error("a norm", result, &["clip_norm", &norm.to_string(), "positive"]);
    }
    g.update(SGD, None, loss, &[(w, dw), (v, dv)]).unwrap();
    shape_error("a second", g.update(SGD, None, loss, &[(w, dw)]), &["update pass already"]);
}

/// Every method that takes a handle.
#[test]
fn handles_of_another_graph_are_refused() {
    let mut other = Graph::new();
    for i in 0..100 {
        other.input(&format!("x{i}"), [2]).unwrap();
    }
    let foreign = other.input("foreign", [2, 3]).unwrap();
    let name = &format!("#{}", foreign.index());
    let Shelf { mut g, m, scalar, labels, .. } = shelf();
    let before = g.tensors().len();
    let results = [
        g.matmul(foreign, m),
        g.matmul(m, foreign),
        g.bias_add(m, foreign),
        g.add(foreign, m),
        g.sub(m, foreign),
        g.mul(m, foreign),
        g.scale(foreign, 1.0),
        g.unary(Unary::Exp, foreign),
        g.softmax(foreign, 0),
        g.log_softmax(foreign, 0),
        g.sum(foreign, 0),
        g.mean(foreign, 0),
        g.max(foreign, 0),
        g.reduce(Reduction::Sum, foreign, 0, 1),
        g.expand(foreign, [2, 3, 4], 2, 3, 1.0),
        g.gather(foreign, labels),
        g.gather(m, foreign),
        g.batch(foreign, labels, 1),
        g.batch(m, foreign, 1),
        g.reshape(foreign, [6]),
        g.loss(Loss::MeanSquaredError, foreign, m),
        g.loss(Loss::MeanSquaredError, m, foreign),
        g.count(Count::AbsoluteError, m, foreign),
    ];
    for (i, result) in results.into_iter().enumerate() {
        shape_error(&format!("call {i}"), result, &[name, "another graph"]);
    }
    shape_error("gradients of", g.gradients(foreign, &[m]), &[name, "another graph"]);
    shape_error("gradients by", g.gradients(scalar, &[foreign]), &[name, "another graph"]);
    shape_error("update", g.update(SGD, None, foreign, &[]), &[name, "another graph"]);
    let update = g.update(SGD, None, scalar, &[(foreign, m)]);
    shape_error("update of", update, &[name, "another graph"]);
    assert_eq!(g.tensors().len(), before, "what is refused leaves nothing behind");
}

fn compile(net: Sequential, compile: TrainingConfig) -> Result<Model, Error> {
    net.compile_blocking(&noop(), compile)
}

fn mse() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1))
}

#[test]
fn layers_out_of_range_are_named() {
    argument_error("no inputs", compile(Sequential::new(0).dense(1), mse()), &["input width", "0"]);
    let result = compile(Sequential::new(3).dense(4).relu().dense(0), mse());
    argument_error("no units", result, &["units", "layer 2", "0"]);
    for net in [Sequential::new(3), Sequential::new(3).relu(), Sequential::new(3).softmax()] {
        argument_error("nothing to train", compile(net, mse()), &["layers", "dense"]);
    }
    let result = compile(Sequential::new(3).dense(1).leaky_relu(0.0), mse());
    argument_error("a slope of 0", result, &["slope", "0"]);
    let mut g = Graph::new();
    let x = g.input("x", [2, 5]).unwrap();
    let result = Sequential::new(3).dense(1).build(&mut g, x);
    shape_error("inputs of 5 for 3", result, &["'x' is 2×5", "rows of 3"]);
}

#[test]
fn losses_metrics_and_outputs_must_agree() {
    let optimizer = || Optimizer::sgd(0.1);
    for loss in [Loss::SoftmaxCrossEntropy, Loss::SoftmaxCrossEntropyProbabilities] {
        let result =
            compile(Sequential::new(3).dense(2).softmax(), TrainingConfig::new(loss, optimizer()));
        shape_error("softmax twice", result, &[loss.name(), "logits", "predict_probabilities"]);
    }
    let wrong = [
        (Metric::Accuracy, Loss::MeanSquaredError),
        (Metric::Accuracy, Loss::Huber { delta: 1.0 }),
        (Metric::RSquared, Loss::SoftmaxCrossEntropy),
        (Metric::MeanAbsoluteError, Loss::BinaryCrossEntropy),
        (Metric::RSquared, Loss::SoftmaxCrossEntropyProbabilities),
    ];
    for (metric, loss) in wrong {
        let result = compile(
            Sequential::new(3).dense(2),
            TrainingConfig::new(loss, optimizer()).metric(metric),
        );
        argument_error("a metric", result, &["metric", metric.name(), loss.name()]);
    }
    let delta = TrainingConfig::new(Loss::Huber { delta: -1.0 }, optimizer());
    let model = compile(Sequential::new(1).dense(1), delta);
    // The loss is looked at when there is data, at the latest.
    let data = Dataset::regression(vec![1.0], 1, vec![1.0], 1).unwrap();
    let result =
        model.and_then(|mut model| model.fit_blocking(&data, FitOptions::new(1)).map(drop));
    argument_error("δ", result, &["huber delta", "-1"]);
}

#[test]
fn hyperparameters_out_of_range_are_named() {
    let adam = |beta1, beta2, epsilon| {
        let rule = UpdateRule::Adam { beta1, beta2, epsilon, weight_decay: 0.0, decoupled: false };
        Optimizer::new(rule, 0.1)
    };
    let wrong = [
        (Optimizer::sgd(0.0), "learning rate", "0"),
        (Optimizer::sgd(-0.5), "learning rate", "-0.5"),
        (Optimizer::sgd(f32::NAN), "learning rate", "NaN"),
        (Optimizer::sgd(f32::INFINITY), "learning rate", "inf"),
        (Optimizer::momentum(0.1, 1.0), "momentum", "1"),
        (Optimizer::nesterov(0.1, -0.25), "momentum", "-0.25"),
        (adam(1.0, 0.9, 1e-8), "beta1", "1"),
        (adam(0.9, f32::NAN, 1e-8), "beta2", "NaN"),
        (adam(0.9, 0.9, 0.0), "epsilon", "0"),
        (Optimizer::sgd(0.1).weight_decay(-1.5), "weight decay", "-1.5"),
        (Optimizer::adamw(0.1, f32::INFINITY), "weight decay", "inf"),
        (Optimizer::rmsprop(0.1).weight_decay(-0.5), "weight decay", "-0.5"),
        (Optimizer::adam(0.1).clip_norm(-2.0), "clip_norm", "-2"),
        (Optimizer::adam(0.1).clip_norm(f32::NAN), "clip_norm", "NaN"),
        (Optimizer::sgd(0.1).schedule(LearningRateSchedule::step(0, 0.5)), "every", "0"),
        (Optimizer::sgd(0.1).schedule(LearningRateSchedule::step(5, 1.5)), "factor", "1.5"),
        (Optimizer::sgd(0.1).schedule(LearningRateSchedule::step(5, f64::NAN)), "factor", "NaN"),
        (Optimizer::sgd(0.1).schedule(LearningRateSchedule::cosine(0, 0.0)), "steps", "0"),
        (Optimizer::sgd(0.1).schedule(LearningRateSchedule::cosine(5, -0.5)), "floor", "-0.5"),
        (Optimizer::sgd(0.1).schedule(LearningRateSchedule::Constant.warm_up(0)), "warm-up", "0"),
        (
            Optimizer::sgd(0.1).schedule(LearningRateSchedule::cosine(0, 0.0).warm_up(5)),
            "steps",
            "0",
        ),
    ];
    for (optimizer, name, value) in wrong {
        let what = format!("{optimizer:?}");
        let result = compile(
            Sequential::new(3).dense(1),
            TrainingConfig::new(Loss::MeanSquaredError, optimizer),
        );
        argument_error(&what, result, &[name, &format!("is {value};")]);
    }
}

#[test]
fn data_that_does_not_fit_is_named() {
    let gpu = noop();
    let data = |width: usize, targets: usize| {
        Dataset::regression(vec![0.5; 4 * width], width, vec![0.5; 4 * targets], targets).unwrap()
    };
    let classes = |n| Dataset::classification(vec![0.5; 12], 3, vec![0, 1, 0, 1], n).unwrap();
    let model = |loss| {
        let compile = TrainingConfig::new(loss, Optimizer::sgd(0.1));
        Sequential::new(3).dense(2).compile_blocking(&gpu, compile).unwrap()
    };
    let mut values = model(Loss::MeanSquaredError);
    let mut labels = model(Loss::SoftmaxCrossEntropy);
    let fit = || FitOptions::new(1);
    let result = values.fit_blocking(&data(5, 2), fit());
    shape_error("5 features for 3", result, &["5 features", "3"]);
    let result = values.fit_blocking(&data(3, 1), fit());
    shape_error("1 target for 2", result, &["1 targets", "2 outputs"]);
    let result = values.fit_blocking(&classes(2), fit());
    shape_error("labels for values", result, &["class labels", "mean_squared_error"]);
    let result = labels.fit_blocking(&data(3, 2), fit());
    shape_error("values for labels", result, &["values", "softmax_cross_entropy"]);
    let result = labels.fit_blocking(&classes(3), fit());
    shape_error("3 classes for 2", result, &["3 classes", "2 outputs"]);
    // The same of data to validate and to evaluate on.
    let (good, bad) = (data(3, 2), data(5, 2));
    let result = values.fit_blocking(&good, fit().validation(&bad));
    shape_error("validation data", result, &["5 features"]);
    shape_error("evaluation", values.evaluate_blocking(&bad), &["5 features"]);
    assert_eq!(values.steps(), 0, "a call that is refused trains nothing");
    assert!(values.fit_blocking(&good, fit()).is_ok());
}

#[test]
fn arguments_of_fit_are_named() {
    let data = Dataset::regression(vec![0.5; 12], 3, vec![0.5; 4], 1).unwrap();
    let mut model = compile(Sequential::new(3).dense(1), mse()).unwrap();
    argument_error("no epochs", model.fit_blocking(&data, FitOptions::new(0)), &["epochs", "0"]);
    let result = model.fit_blocking(&data, FitOptions::new(1).batch_size(0));
    argument_error("batches of 0", result, &["batch size", "0"]);
    for fraction in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
        let result = model.fit_blocking(&data, FitOptions::new(1).validation_split(fraction));
        argument_error("a split", result, &["validation split", &fraction.to_string()]);
    }
    // A fraction that leaves one side without rows.
    for fraction in [0.01, 0.99] {
        let result = model.fit_blocking(&data, FitOptions::new(1).validation_split(fraction));
        let error = says("a side without rows", result, &["4", "0"]);
        assert!(matches!(error, Error::Data(DataError::EmptySide { .. })), "{error:?}");
    }
}

#[test]
fn arguments_of_predict_are_named() {
    let model = compile(Sequential::new(3).dense(1), mse()).unwrap();
    argument_error("nothing", model.predict_blocking(&[]), &["features", "0", "3"]);
    argument_error("4 of 3", model.predict_blocking(&[0.0; 4]), &["features", "4", "3"]);
    for value in [f32::NAN, f32::INFINITY] {
        let row = [0.0, 0.0, 0.0, 0.0, value, 0.0];
        let result = model.predict_blocking(&row);
        argument_error("NaN", result, &["feature 1 of row 1", &value.to_string(), "finite"]);
    }
}

#[test]
fn arguments_of_a_loop_of_ones_own_are_named() {
    let data = Dataset::regression(vec![0.5; 30], 3, vec![0.5; 10], 1).unwrap();
    let mut model = compile(Sequential::new(3).dense(1), mse()).unwrap();
    let mut make = |batch| pollster::block_on(model.trainer(&data, batch, Residency::Resident));
    argument_error("batches of 0", make(0), &["batch size", "0"]);
    let mut trainer = make(3).unwrap();
    for batches in [0..0, 3..5, 7..9] {
        let what = format!("{batches:?}");
        let result = pollster::block_on(trainer.submit(batches, |_| model.next_step(0)));
        argument_error("batches", result, &["batches", &what, "0..4"]);
    }
    for order in [vec![0; 10], (0..9).collect(), (1..11).collect(), (0..11).collect()] {
        argument_error("an order", trainer.set_order(order), &["order", "10 rows"]);
    }
    assert!(trainer.set_order((0..10).rev().collect()).is_ok());
}

#[test]
fn data_sets_name_the_row_and_the_value() {
    let error = Dataset::regression(vec![0.0, 1.0, f32::NAN, 3.0], 2, vec![0.0; 2], 1);
    says("NaN", error, &["row 1", "column 0", "features", "NaN"]);
    let error = Dataset::regression(vec![0.0; 4], 2, vec![0.0, f32::NEG_INFINITY], 1);
    says("infinity", error, &["row 1", "targets", "inf"]);
    says("nothing", Dataset::regression(vec![], 2, vec![], 1), &["no rows"]);
    says(
        "no columns",
        Dataset::regression(vec![0.0], 0, vec![0.0], 1),
        &["features", "width of 0"],
    );
    says("uneven", Dataset::regression(vec![0.0; 5], 2, vec![0.0; 2], 1), &["5 values", "2"]);
    let error = Dataset::regression(vec![0.0; 4], 2, vec![0.0; 3], 1);
    says("more targets", error, &["2 rows", "3 rows"]);
    let error = Dataset::classification(vec![0.0; 3], 1, vec![0, 3, 1], 3);
    says("a label", error, &["row 1", "label 3", "3 classes", "below 3"]);
    says(
        "fewer labels",
        Dataset::classification(vec![0.0; 3], 1, vec![0], 2),
        &["3 rows", "1 rows"],
    );
}

#[test]
fn adapters_that_are_not_there_are_named() {
    let choice = AdapterChoice::named("a GPU that nobody made");
    let error =
        says("a name", Gpu::with_adapter_blocking(&choice), &["a GPU that nobody made", "found"]);
    assert!(matches!(error, Error::NoAdapter { .. }));
    let choice = AdapterChoice { index: Some(999), ..AdapterChoice::default() };
    says("a position", Gpu::with_adapter_blocking(&choice), &["position 999"]);
    let choice = AdapterChoice { backends: Some(wgpu::Backends::empty()), ..Default::default() };
    says("no API at all", Gpu::with_adapter_blocking(&choice), &["none", "nstall"]);
}

/// Errors are values of one type that programs can pass on.
#[test]
fn errors_can_be_passed_on() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_error::<Error>();
    let data: Error = DataError::Fraction { fraction: 2.0 }.into();
    assert!(data.to_string().contains("2 rows"), "{data}");
    let file =
        Error::File { path: "weights.bin".into(), source: std::io::Error::other("no such thing") };
    assert!(std::error::Error::source(&file).is_some());
    assert!(file.to_string().contains("weights.bin") && file.to_string().contains("no such"));
    assert_eq!(Shape::from([2, 3]).to_string(), "2×3");
}

/// Mistakes that train without complaint elsewhere: a sigmoid twice, targets that are no
/// probabilities, a callback that watches a misspelled figure, probabilities of a regression.
#[test]
fn quiet_mistakes_are_named() {
    let bce = || TrainingConfig::new(Loss::BinaryCrossEntropy, Optimizer::sgd(0.1));
    shape_error("a sigmoid", compile(Sequential::new(2).dense(1).sigmoid(), bce()), &["sigmoid"]);

    let data =
        |targets: Vec<f32>, width| Dataset::regression(vec![0.5; 4], 2, targets, width).unwrap();
    let mut model = compile(Sequential::new(2).dense(1), bce()).unwrap();
    let fit = |model: &mut Model, data: &Dataset| model.fit_blocking(data, FitOptions::new(1));
    argument_error(
        "a target of 5",
        fit(&mut model, &data(vec![1.0, 5.0], 1)),
        &["row 1", "5", "0 to 1"],
    );
    let rows = TrainingConfig::new(Loss::SoftmaxCrossEntropyProbabilities, Optimizer::sgd(0.1));
    let mut model = compile(Sequential::new(2).dense(2), rows).unwrap();
    let sums = data(vec![0.5, 0.5, 0.9, 0.9], 2);
    argument_error("a sum of 1.8", fit(&mut model, &sums), &["row 1", "1.8"]);

    let mut model = compile(Sequential::new(2).dense(1), mse()).unwrap();
    let mut stop = wgrad::train::EarlyStopping::new("val_los", 3);
    let plain = data(vec![1.0, 2.0], 1);
    let misspelled =
        model.fit_blocking(&plain, FitOptions::new(1).validation(&plain).callback(&mut stop));
    argument_error("val_los", misspelled, &["val_los", "val_loss"]);
    let mut best = wgrad::train::KeepBest::new("val_loss");
    let unvalidated = model.fit_blocking(&plain, FitOptions::new(1).callback(&mut best));
    argument_error("val_loss without validation", unvalidated, &["val_loss"]);
    // A softmax over one output: its loss is 0, and nothing ever moves.
    for loss in [Loss::SoftmaxCrossEntropy, Loss::SoftmaxCrossEntropyProbabilities] {
        let one =
            compile(Sequential::new(2).dense(1), TrainingConfig::new(loss, Optimizer::sgd(0.1)));
        shape_error("one output", one, &[loss.name(), "1 output", "BinaryCrossEntropy"]);
    }
    let probabilities = model.predict_probabilities_blocking(&[1.0, 2.0]);
    shape_error("a regression's probabilities", probabilities, &["mean_squared_error", "predict"]);
}
