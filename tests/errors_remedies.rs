//! Every error says three things: what is wrong, the value that is, and what to do about it. On the noop
//! device.

use wgrad::data::{Dataset, Standardizer};
use wgrad::exec::{Executor, ExecutorOptions, Parameters};
use wgrad::graph::{Count, Graph, Loss, Tensor, UpdateRule};
use wgrad::nn::{LearningRateSchedule, Metric, Optimizer, Sequential};
use wgrad::plan::{ArenaLayout, Plan, PlanOptions, PlanScope};
use wgrad::train::{
    EarlyStopping, FitOptions, History, KeepBest, Kernels, Model, Residency, TrainingConfig,
};
use wgrad::{Error, Gpu};

/// What a text must hold: the thing, the value, the remedy.
struct Told<'a>(&'a str, &'a str, &'a str);

#[track_caller]
fn told<T>(result: Result<T, impl Into<Error>>, Told(thing, value, remedy): Told<'_>) {
    let error: Error = match result {
        Ok(_) => panic!("accepted: {thing} {value}"),
        Err(error) => error.into(),
    };
    let text = error.to_string();
    for (what, word) in [("thing", thing), ("value", value), ("remedy", remedy)] {
        assert!(text.contains(word), "'{text}' does not say the {what}, '{word}'");
    }
    assert!(text.contains(';'), "'{text}' does not end in a remedy");
    assert!(!matches!(error, Error::Validation { .. } | Error::Bug { .. }), "{error:?}");
}

fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu::from_device(&device, &queue)
}

fn mse() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1))
}

fn compile(net: Sequential, how: TrainingConfig) -> Result<Model, Error> {
    net.compile_blocking(&noop(), how)
}

fn model(net: Sequential, how: TrainingConfig) -> Model {
    compile(net, how).unwrap()
}

fn net() -> Sequential {
    Sequential::new(2).dense(3).relu().dense(1)
}

fn values(rows: usize) -> Dataset {
    Dataset::regression(vec![0.5; 2 * rows], 2, vec![0.25; rows], 1).unwrap()
}

fn labels(classes: usize) -> Dataset {
    Dataset::classification(vec![0.5; 4], 2, vec![0, 1], classes).unwrap()
}

/// Data and model that do not fit: each call names itself.
#[test]
fn data_and_models() {
    let cases: [(Sequential, TrainingConfig, Dataset, Told); 4] = [
        (
            net(),
            mse(),
            labels(2),
            Told("class labels", "mean_squared_error", "SoftmaxCrossEntropy"),
        ),
        (
            Sequential::new(2).dense(3),
            TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::sgd(0.1)),
            labels(2),
            Told("the data has 2 classes", "3 outputs", "give the last dense layer 2 units"),
        ),
        (
            Sequential::new(2).dense(3),
            mse(),
            values(2),
            Told("1 targets per row", "3 outputs", "give the last dense layer 1 units"),
        ),
        (
            Sequential::new(5).dense(1),
            mse(),
            values(2),
            Told("2 features per row", "takes 5", "Sequential::new(2)"),
        ),
    ];
    for (net, how, data, Told(thing, value, remedy)) in cases {
        let mut model = model(net, how);
        let told = |call: &str, result: Result<(), Error>| {
            let text = result.as_ref().expect_err(call).to_string();
            assert!(text.starts_with(&format!("{call}: ")), "{text}");
            told(result, Told(thing, value, remedy));
        };
        told("evaluate", model.evaluate_blocking(&data).map(drop));
        told("fit", model.fit_blocking(&data, FitOptions::new(1)).map(drop));
        told("trainer", model.trainer_blocking(&data, 1, Residency::Auto).map(drop));
    }
    let mut fitting = model(net(), mse());
    let wide = Dataset::regression(vec![0.5; 3], 3, vec![0.5], 1).unwrap();
    let text = fitting.fit_blocking(&values(2), FitOptions::new(1).validation(&wide)).unwrap_err();
    assert!(text.to_string().starts_with("validation: "), "{text}");
    let how = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::sgd(0.1));
    let values_for_classes = model(Sequential::new(2).dense(3), how).evaluate_blocking(&values(2));
    told(values_for_classes, Told("values", "softmax_cross_entropy", "Dataset::classification"));
}

/// What models are made of.
#[test]
fn models() {
    let softmax = |loss| TrainingConfig::new(loss, Optimizer::sgd(0.1));
    for (net, how, words) in [
        (
            Sequential::new(2).dense(1),
            softmax(Loss::SoftmaxCrossEntropy),
            Told("softmax_cross_entropy", "1 output", "BinaryCrossEntropy"),
        ),
        (
            Sequential::new(2).dense(3).softmax(),
            softmax(Loss::SoftmaxCrossEntropy),
            Told("softmax_cross_entropy", "softmax layer", "leave"),
        ),
        (
            Sequential::new(2).relu(),
            mse(),
            Told("layers with parameters", "is 0", "Sequential::dense"),
        ),
        (
            net(),
            mse().metric(Metric::Accuracy),
            Told("accuracy", "mean_squared_error", "r_squared"),
        ),
        (
            Sequential::new(1 << 17).dense(1 << 17),
            mse(),
            Told("units of layer 0", "131072", "use fewer units"),
        ),
        (
            net().softmax(),
            mse().kernels(Kernels::WholeStep),
            Told("kernels", "whole-step", "auto or general"),
        ),
    ] {
        told(compile(net, how), words);
    }
    for (optimizer, name, value) in [
        (Optimizer::sgd(-1.0), "learning rate", "-1"),
        (Optimizer::adam(0.1).clip_norm(f32::NAN), "clip_norm", "NaN"),
        (Optimizer::sgd(0.1).schedule(LearningRateSchedule::step(0, 0.5)), "every", "0"),
    ] {
        let how = TrainingConfig::new(Loss::MeanSquaredError, optimizer);
        told(compile(net(), how), Told(name, value, "must be"));
    }
}

/// What a model is asked to do.
#[test]
fn calls_of_a_model() {
    let mut model = model(net(), mse());
    let data = values(4);
    let weights = model.set_weights(&[vec![0.0]]);
    let order = "'dense_0.weight' 2×3, 'dense_0.bias' 3, 'dense_2.weight' 3×1, 'dense_2.bias' 1";
    told(weights, Told("number of parameters is 1", order, "order of `Model::weights`"));
    told(model.set_learning_rate(0.0), Told("learning rate", "0", "positive"));
    told(model.predict_blocking(&[1.0; 3]), Told("number of features", "3", "multiple of the 2"));
    told(model.predict_blocking(&[1.0, f32::NAN]), Told("feature 1 of row 0", "NaN", "replace"));
    told(
        model.predict_probabilities_blocking(&[1.0; 2]),
        Told("mean_squared_error", "no prob", "use `predict`"),
    );
    let mut fit = |fit: FitOptions<'_>| model.fit_blocking(&data, fit);
    told(fit(FitOptions::new(0)), Told("epochs", "0", "at least 1"));
    told(fit(FitOptions::new(1).batch_size(0)), Told("batch size", "0", "at least 1"));
    told(fit(FitOptions::new(1).validation_split(1.0)), Told("validation split", "1", "below 1"));
    told(
        fit(FitOptions::new(1).validation_split(0.01)),
        Told("4 rows to train", "0 held out", "change"),
    );
    let mut keep = KeepBest::new("val_loss");
    told(
        fit(FitOptions::new(1).callback(&mut keep)),
        Told("a callback watches", "'val_loss'", "give `FitOptions` validation data"),
    );
    let mut keep = KeepBest::new("val_accuracy");
    told(
        fit(FitOptions::new(1).callback(&mut keep)),
        Told("a callback watches", "'val_accuracy'", "`Metric::Accuracy`"),
    );
    let mut stop = EarlyStopping::new("los", 1);
    told(
        fit(FitOptions::new(1).callback(&mut stop)),
        Told("a callback watches", "'los'", "one of this training's: loss"),
    );
    let mut stop = EarlyStopping::new("loss", 0);
    told(fit(FitOptions::new(1).callback(&mut stop)), Told("patience", "0", "at least 1"));
    let history = fit(FitOptions::new(1)).unwrap();
    told(history.values("typo"), Told("figure", "'typo'", "one of this training's: loss"));
    // Without an epoch there is nothing that the name could be missing from.
    assert!(History::default().values("typo").unwrap().is_empty());
    let mut trainer = model.trainer_blocking(&data, 2, Residency::Auto).unwrap();
    told(trainer.set_order(vec![0, 1]), Told("rows in the order", "2", "must be 4"));
    told(trainer.set_order(vec![0, 1, 1, 9]), Told("order[2]", "1", "each once"));
    told(trainer.set_order(vec![0, 1, 2, 9]), Told("order[3]", "9", "below 4"));
    let step = trainer.submit_blocking(1..3, |_| model.next_step(0));
    told(step, Told("batches", "1..3", "within 0..2"));
}

/// A graph with the tensors of a loss of classes.
fn classes() -> (Graph, [Tensor; 3]) {
    let mut graph = Graph::new();
    let x = graph.input("x", [2, 3]).unwrap();
    let labels = graph.index_input("labels", [2]).unwrap();
    let loss = graph.loss(Loss::SoftmaxCrossEntropy, x, labels).unwrap();
    (graph, [x, labels, loss])
}

#[test]
fn executors() {
    let gpu = noop();
    let (graph, [x, labels, loss]) = classes();
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu.target()).unwrap();
    let executor = Executor::new_blocking(&gpu, plan).unwrap();
    told(executor.write(labels, &[0.0; 2]), Told("'labels'", "U32", "use `write_indices`"));
    told(executor.write_indices(x, &[0; 6]), Told("'x'", "F32", "use `write`"));
    told(
        executor.write(loss, &[0.0]),
        Told("softmax_cross_entropy", "neither an input", "write to one"),
    );
    told(executor.write(x, &[0.0; 5]), Told("'x' (2×3)", "is 5", "must be 6"));
    told(executor.write(x, &[f32::NAN; 6]), Told("'x'[0]", "NaN", "leave its row out"));
    told(executor.write_indices(labels, &[0, 3]), Told("label 'labels'[1]", "3", "below 3"));
    told(executor.read_blocking(labels), Told("'labels'", "U32", "use `read_indices`"));
    told(executor.read_indices_blocking(x), Told("'x'", "F32", "use `read`"));

    let mut graph = Graph::new();
    let a = graph.input("a", [1, 2]).unwrap();
    let w = graph.parameter("w", [2, 1]).unwrap();
    let y = graph.matmul(a, w).unwrap();
    let plan = Plan::new(&graph, &[y], &gpu.target()).unwrap();
    let mut other = Graph::new();
    other.parameter("u", [3]).unwrap();
    let layout = ArenaLayout::new(&other, &gpu.target()).unwrap();
    let parameters = Parameters::new_blocking(&gpu, &layout, None).unwrap();
    told(parameters.read_blocking(1), Told("parameter number", "1", "below 1"));
    let options = ExecutorOptions { parameters: Some(parameters), ..ExecutorOptions::default() };
    let shared = pollster::block_on(Executor::with_options(&gpu, plan, options));
    told(shared, Told("shared parameters", "'u' 3, the plan's 'w' 2×1", "the same layers"));

    let dw = graph.constant(1.0, [2, 1]).unwrap();
    let sum = graph.sum(y, 0).unwrap();
    let sum = graph.sum(sum, 0).unwrap();
    let adam = UpdateRule::Adam {
        beta1: 0.9,
        beta2: 0.9,
        epsilon: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
    };
    graph.update(adam, None, sum, &[(w, dw)]).unwrap();
    let plan = Plan::new(&graph, &[], &gpu.target()).unwrap();
    let layout = plan.arena().clone();
    let parameters = Some(Parameters::new_blocking(&gpu, &layout, Some(1)).unwrap());
    let options = ExecutorOptions { parameters, ..ExecutorOptions::default() };
    let shared = pollster::block_on(Executor::with_options(&gpu, plan, options));
    told(shared, Told("shared parameters", "room for 1", "Some(2)"));
}

#[test]
fn graphs() {
    let (mut graph, [x, labels, loss]) = classes();
    let w = graph.parameter("w", [2, 3]).unwrap();
    let sgd = UpdateRule::Sgd { weight_decay: 0.0 };
    told(
        graph.unary(wgrad::graph::Unary::Relu, labels),
        Told("'labels'", "U32", "give an `input`"),
    );
    told(graph.gather(x, x), Told("'x'", "F32", "`index_input`"));
    told(graph.softmax(x, 2), Told("softmax", "2..3", "each below 2"));
    told(graph.matmul(x, x), Told("'x' 2×3", "do not fit", "needed"));
    told(graph.input("none", [0]), Told("none:", "empty", "at least 1"));
    told(graph.gradients(loss, &[w]), Told("gradients", "'w'", "leave that out"));
    told(graph.gradients(x, &[x]), Told("'x'", "2×3", "reduce it first"));
    let hits = graph.count(Count::Correct, x, labels).unwrap();
    told(graph.gradients(hits, &[x]), Told("gradients", "count", "leave it out"));
    told(graph.update(sgd, None, loss, &[(x, x)]), Told("update", "'x'", "tensors of `parameter`"));
    told(graph.update(sgd, None, loss, &[(w, x), (w, x)]), Told("update", "'w'", "once"));
    told(graph.update(sgd, None, loss, &[]), Told("update", "no parameter", "list each"));
    let portion = |graph: &Graph, portion, results: Vec<Tensor>| {
        let options = PlanOptions { portion, results, ..PlanOptions::default() };
        Plan::with_options(graph, &options, &noop().target())
    };
    for part in [PlanScope::Gradients, PlanScope::Update] {
        let name = format!("{part:?}");
        told(portion(&graph, part, vec![]), Told("plan", &name, "`Graph::update`"));
    }
    let plan = |graph: &Graph, results: Vec<Tensor>| {
        let options = PlanOptions { results, ..PlanOptions::default() };
        Plan::with_options(graph, &options, &noop().target())
    };
    told(plan(&graph, vec![x]), Told("'x'", "2×3", "outputs"));
    let v = graph.parameter("v", [1]).unwrap();
    graph.update(sgd, None, loss, &[(w, x)]).unwrap();
    told(graph.update(sgd, None, loss, &[(v, v)]), Told("update", "already", "a new graph"));
    let wanted = portion(&graph, PlanScope::Update, vec![loss]);
    told(wanted, Told("the update alone", "1 are wanted", "`PlanScope::Gradients`"));
}

#[test]
fn data() {
    let regression = |features: usize, width, targets: Vec<f32>| {
        Dataset::regression(vec![0.5; features], width, targets, 1)
    };
    told(regression(5, 2, vec![0.0; 2]), Told("features", "5 values", "check the width"));
    told(regression(4, 2, vec![0.0; 3]), Told("2 rows of features", "3 rows", "each row"));
    told(regression(4, 0, vec![0.0; 3]), Told("features", "width of 0", "at least one"));
    told(regression(0, 2, vec![]), Told("data", "no rows", "at least one"));
    told(regression(4, 2, vec![0.0, f32::NAN]), Told("row 1", "NaN", "leave the row out"));
    let labels = Dataset::classification(vec![0.5; 2], 1, vec![0, 7], 3);
    told(labels, Told("row 1", "label 7", "count the labels from 0"));
    told(values(3).split_at(4), Told("row 4", "only 3 rows", "ask for a lower one"));
    told(values(3).split_at(3), Told("splitting", "0 held out", "change where"));
    told(
        Standardizer::from_parts(vec![0.0], vec![]),
        Told("1 means", "0 deviations", "each column needs"),
    );
    told(
        Standardizer::from_parts(vec![0.0], vec![0.0]),
        Told("column 0", "deviation 0", "above 0"),
    );
    let missing = wgrad::data::read_idx_file("no such file");
    told(missing, Told("no such file", "cannot be read", "check that it exists"));
}
