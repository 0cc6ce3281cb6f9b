//! Losses and metrics of a program's own: they train, evaluate and are saved as wgrad's are.

use std::sync::Arc;

use crate::common::training::{article_data, weight_bits, weights};
use crate::common::{gpu, lanes};
use crate::support::net::Net;
use crate::support::parallel::{start, state_bits};
use crate::support::{close, f64s};
use wgrad::Result;
use wgrad::data::{Dataset, Targets};
use wgrad::graph::{Graph, Tensor, Unary};
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{
    Direction, Loss, Metric, Optimizer, OwnFunction, RowFunction, Sequential, Settings,
};
use wgrad::train::{EarlyStopping, FitOptions, Kernels, Model, TrainingConfig};

/// `factor` times the mean of `|p - t|` over a row.
#[derive(Debug)]
struct Absolute {
    factor: f32,
}

impl RowFunction for Absolute {
    fn name(&self) -> &str {
        "absolute"
    }

    fn settings(&self) -> Option<Settings> {
        Some(Settings::new().number("factor", self.factor))
    }

    fn build(&self, graph: &mut Graph, p: Tensor, t: Tensor) -> Result<Tensor> {
        let e = graph.sub(p, t)?;
        let size = graph.unary(Unary::Abs, e)?;
        let mean = graph.mean(size, 1)?;
        graph.scale(mean, self.factor)
    }
}

/// How many rows are within 0.25 of their target, as 0 and 1.
#[derive(Debug)]
struct Near;

impl RowFunction for Near {
    fn name(&self) -> &str {
        "near"
    }

    fn settings(&self) -> Option<Settings> {
        Some(Settings::new())
    }

    fn direction(&self) -> Direction {
        Direction::Larger
    }

    fn build(&self, graph: &mut Graph, p: Tensor, t: Tensor) -> Result<Tensor> {
        let e = graph.sub(p, t)?;
        let size = graph.unary(Unary::Abs, e)?;
        let quarter = graph.constant(0.25, [])?;
        graph.binary(wgrad::graph::Binary::Less, size, quarter)
    }
}

fn net() -> Sequential {
    Sequential::new(10).dense(5).tanh().dense(1).seed(3)
}

fn config() -> TrainingConfig {
    TrainingConfig::of_rows(Absolute { factor: 1.0 }, Optimizer::adam(0.02))
        .metric(Metric::MeanAbsoluteError)
        .metric_of_rows(Near)
}

fn compiled(config: TrainingConfig) -> Model {
    net().compile_blocking(&gpu(), config).unwrap()
}

fn fit<'a>() -> FitOptions<'a> {
    FitOptions::new(3).batch_size(8).in_order()
}

#[test]
fn they_follow_the_reference() {
    let plain = article_data(20);
    let weighted = plain.clone().with_weights((0..20).map(|i| (i % 3) as f32).collect()).unwrap();
    for data in [&plain, &weighted] {
        let mut model = compiled(config());
        let history = model.fit_blocking(data, fit().validation(data)).unwrap();
        let mut reference = Net::new(&net(), Loss::MeanAbsoluteError, &Optimizer::adam(0.02));
        close("losses", &history.batch_losses, &reference.train(data, 3, 8), 2e-5, 1e-7);
        close("weights", &weights(&model), reference.parameters(), 2e-5, 2e-5);
        let said = f64s(&model.predict_blocking(data.features()).unwrap());
        let Targets::Values { data: targets, .. } = data.targets() else { panic!("values") };
        let near = said.iter().zip(targets).filter(|(p, t)| (*p - f64::from(**t)).abs() < 0.25);
        let near = near.count() as f64 / 20.0;
        let evaluation = model.evaluate_blocking(data).unwrap();
        assert_eq!(evaluation.metrics[1].1, near);
        assert_eq!(history.values("val_near").unwrap()[2], near);
        assert_eq!(history.values("near").unwrap().len(), 3);
        let all: Vec<usize> = (0..20).collect();
        let expected = reference.loss_and_gradient(data, &all).0;
        close("evaluated", &[evaluation.loss as f32], &[expected], 2e-5, 1e-7);
    }
}

/// A closure, whose outputs are logits of a yes or no.
#[test]
fn closures_and_logits() {
    let features: Vec<f32> = (0..14).map(|i| (i * 5 % 14) as f32 / 7.0 - 1.0).collect();
    let targets: Vec<f32> = features.iter().map(|x| f32::from(u8::from(*x > 0.2))).collect();
    let data = Dataset::regression(features.clone(), 1, targets, 1).unwrap();
    // softplus(z) - t·z
    let own = OwnFunction::new("logistic", |graph, z, t| {
        let all = graph.unary(Unary::Softplus, z)?;
        let part = graph.mul(z, t)?;
        graph.sub(all, part)
    });
    let optimizer = Optimizer::sgd(0.5);
    let config = TrainingConfig::of_rows(own.like(Loss::BinaryCrossEntropy), optimizer.clone());
    let net = || Sequential::new(1).dense(1).seed(2);
    let mut model = net().compile_blocking(&gpu(), config.metric(Metric::Accuracy)).unwrap();
    let history = model.fit_blocking(&data, fit()).unwrap();
    let mut reference = Net::new(&net(), Loss::BinaryCrossEntropy, &optimizer);
    close("losses", &history.batch_losses, &reference.train(&data, 3, 8), 1e-5, 1e-7);
    assert_eq!(
        (model.loss(), model.own_loss().unwrap().name()),
        (Loss::BinaryCrossEntropy, "logistic")
    );
    let logits = model.predict_blocking(&features).unwrap();
    let expected: Vec<u32> = logits.iter().map(|&z| u32::from(z > 0.0)).collect();
    assert_eq!(model.predict_classes_blocking(&features).unwrap(), expected);
    assert!(expected.contains(&0) && expected.contains(&1));
}

#[test]
fn callbacks_go_by_them() {
    let data = article_data(20);
    let mut stopping = EarlyStopping::new("val_near", 2);
    let fit = FitOptions::new(60).batch_size(8).validation(&data).callback(&mut stopping);
    let history = compiled(config()).fit_blocking(&data, fit).unwrap();
    let values = history.values("val_near").unwrap();
    // Larger is better: it never stops two epochs after a rise.
    let best = values.iter().copied().fold(0.0, f64::max);
    let first = values.iter().position(|&v| v == best).unwrap();
    assert!(values.len() == 60 || values.len() == first + 3, "{values:?}");
}

#[test]
fn the_same_bits_over_lanes() {
    let data = Arc::new(article_data(20));
    let mut model = compiled(config());
    model.fit_blocking(&data, fit()).unwrap();
    let mut of_four = None;
    for (micro_batches, schedule, count) in [
        (1, Schedule::Serial, 1),
        (4, Schedule::Overlapped, 1),
        (4, Schedule::data_parallel(), 3),
        (4, Schedule::pipeline(), 2),
    ] {
        let options = ParallelOptions::new(8, micro_batches, schedule.clone());
        let mut parallel = start((net(), config(), &data), options, &lanes(count)).unwrap();
        let history = parallel.fit_blocking(FitOptions::new(3).in_order()).unwrap();
        let found = (state_bits(parallel.state()), history.values("near").unwrap());
        if micro_batches == 1 {
            let values: Vec<u32> =
                parallel.state().values.iter().flatten().map(|w| w.to_bits()).collect();
            assert_eq!(values, weight_bits(&model));
        } else {
            let expected = of_four.get_or_insert_with(|| found.clone());
            assert_eq!(&found, expected, "{schedule:?}");
        }
    }
}

#[test]
fn what_cannot_be_is_said() {
    let refused = |config: TrainingConfig, parts: &[&str]| {
        let error = net().compile_blocking(&gpu(), config).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "'{part}' is not in: {error}");
        }
    };
    let own = |build: fn(&mut Graph, Tensor, Tensor) -> Result<Tensor>| {
        TrainingConfig::of_rows(OwnFunction::new("mine", build), Optimizer::sgd(0.1))
    };
    let whole = |graph: &mut Graph, p: Tensor, t: Tensor| graph.loss(Loss::MeanSquaredError, p, t);
    refused(own(whole), &["mine", "for 2 rows", "a number for each row"]);
    refused(own(|graph, p, t| graph.matmul(p, t)), &["mine: matmul"]);
    let parameter = |graph: &mut Graph, p: Tensor, _: Tensor| {
        let w = graph.parameter("w", [1])?;
        graph.mul(p, w)
    };
    refused(own(parameter), &["mine", "parameter or an input"]);
    for name in
        ["loss", "val_near", "near", "mean_absolute_error", "", "epoch", "within 5 %", "a,b"]
    {
        let metric = OwnFunction::new(name, |graph, p, t| graph.sub(p, t));
        refused(config().metric_of_rows(metric), &["name of a metric", "no other figure has"]);
    }
    let alone = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
    let model = compiled(config());
    let near = model.metrics().iter().find(|metric| metric.name() == "near").unwrap();
    refused(alone.metric(*near), &["metric is 'near'", "with the function that it is"]);
    refused(config().kernels(Kernels::WholeStep), &["the loss is the program's own"]);
    let plain = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
    let asked = plain.metric_of_rows(Near).kernels(Kernels::WholeStep);
    refused(asked, &["the metric near is the program's own"]);
}

#[cfg(feature = "files")]
#[test]
fn files_name_them() {
    use wgrad::nn::Loaders;
    use wgrad::train::{Checkpoint, Every, ModelFile};

    let data = article_data(20);
    let mut model = compiled(config());
    model.fit_blocking(&data, fit()).unwrap();
    let bytes = model.to_bytes_blocking().unwrap();
    let error = ModelFile::from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("'absolute'") && error.contains("`Loaders::function`"), "{error}");
    let loaders = Loaders::new()
        .function("absolute", |of| Ok(Absolute { factor: of.get_number("factor")? }))
        .function("near", |_| Ok(Near));
    let file = ModelFile::from_bytes_with(&bytes, &loaders).unwrap();
    assert_eq!(file.config(), &config());
    let mut loaded = file.model_blocking(&gpu()).unwrap();
    for model in [&mut model, &mut loaded] {
        model.fit_blocking(&data, fit()).unwrap();
    }
    assert_eq!(weight_bits(&model), weight_bits(&loaded));

    let closure = OwnFunction::new("mine", |graph, p, t| graph.sub(p, t));
    let model = compiled(config().metric_of_rows(closure));
    let error = model.to_bytes_blocking().unwrap_err().to_string();
    assert!(error.contains("'mine'") && error.contains("`RowFunction::settings`"), "{error}");

    // A training is resumed with the loss that it began with.
    let folder = std::env::temp_dir().join(format!("wgrad-own-{}", std::process::id()));
    let kept = || {
        let checkpoint = Checkpoint::every(Every::Steps(2)).in_folder(&folder);
        fit().checkpoint(checkpoint).resume(&folder)
    };
    compiled(config()).fit_blocking(&data, kept()).unwrap();
    let again = compiled(config()).fit_blocking(&data, kept());
    let other = TrainingConfig::of_rows(Absolute { factor: 2.0 }, Optimizer::adam(0.02))
        .metric(Metric::MeanAbsoluteError)
        .metric_of_rows(Near);
    let error = compiled(other).fit_blocking(&data, kept()).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(again.unwrap().values("near").unwrap().len(), 3);
    assert!(error.contains("loss and metrics of the program's own"), "{error}");
}
