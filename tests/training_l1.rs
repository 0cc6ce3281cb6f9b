//! The L1 penalty: its sign, beside clipping and weight decay, everywhere that a model trains.

use std::sync::Arc;

use crate::common::training::{article_data, weight_bits, weights};
use crate::common::{gpu, lanes};
use crate::support::net::Net;
use crate::support::parallel::start;
use crate::support::{bits, close};
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Reduction, UpdateRule};
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::plan::Plan;
use wgrad::train::{FitOptions, Kernels, Model, TrainingConfig};

fn net() -> Sequential {
    Sequential::new(10).dense(5).tanh().dense(1).seed(3)
}

fn compiled(optimizer: Optimizer, kernels: Kernels) -> wgrad::Result<Model> {
    let config = TrainingConfig::new(Loss::MeanSquaredError, optimizer).kernels(kernels);
    net().compile_blocking(&gpu(), config)
}

fn fit() -> FitOptions<'static> {
    FitOptions::new(3).batch_size(8).in_order()
}

#[test]
fn every_rule_follows_the_reference() {
    let data = article_data(20);
    for (name, optimizer) in [
        ("sgd", Optimizer::sgd(0.05)),
        ("momentum", Optimizer::momentum(0.02, 0.9).weight_decay(0.01)),
        ("adam", Optimizer::adam(0.02).clip_norm(0.5)),
        ("adamw", Optimizer::adamw(0.02, 0.05)),
        ("rmsprop", Optimizer::rmsprop(1e-3)),
        ("adagrad", Optimizer::adagrad(0.02)),
    ] {
        let optimizer = optimizer.l1(0.03);
        let mut model = compiled(optimizer.clone(), Kernels::Auto).unwrap();
        let history = model.fit_blocking(&data, fit()).unwrap();
        let mut reference = Net::new(&net(), Loss::MeanSquaredError, &optimizer);
        close(name, &history.batch_losses, &reference.train(&data, 3, 8), 2e-5, 1e-7);
        close(name, &weights(&model), reference.parameters(), 2e-5, 2e-5);
    }
}

/// Biases begin at 0, where the penalty pulls nowhere; elsewhere it pulls to 0, whatever the size.
#[test]
fn the_penalty_is_a_sign() {
    let mut graph = Graph::new();
    let values = [0.0, -0.0, 1.0, -1.0, 1e-30, -3.5, 0.0625];
    let w = graph.parameter("w", [values.len()]).unwrap();
    let nothing = graph.scale(w, 0.0).unwrap();
    let loss = graph.reduce(Reduction::Sum, nothing, 0, 1).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    let early = graph.l1_penalty(0.25).unwrap_err().to_string();
    assert!(early.contains("`Graph::update` first"), "{early}");
    graph.update(rule, None, loss, &[(w, gradients[0])]).unwrap();
    for wrong in [-1.0, f32::NAN, f32::INFINITY] {
        assert!(graph.l1_penalty(wrong).is_err());
    }
    graph.l1_penalty(0.25).unwrap();
    let plan = Plan::new(&graph, &[], &gpu().target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
    executor.write(w, &values).unwrap();
    executor.run_blocking(&[Step::training(rule, 0, 0, 0.5)]).unwrap();
    let found = executor.read_blocking(w).unwrap();
    assert_eq!(found, [0.0, 0.0, 0.875, -0.875, -0.125, -3.375, -0.0625]);
}

#[test]
fn the_same_bits_over_lanes() {
    let optimizer = || Optimizer::adam(0.02).l1(0.01);
    let data = Arc::new(article_data(20));
    let mut model = compiled(optimizer(), Kernels::Auto).unwrap();
    model.fit_blocking(&data, fit()).unwrap();
    let expected = weight_bits(&model);
    for (schedule, count) in [(Schedule::Serial, 1), (Schedule::pipeline(), 2)] {
        let options = ParallelOptions::new(8, 1, schedule);
        let config = TrainingConfig::new(Loss::MeanSquaredError, optimizer());
        let mut parallel = start((net(), config, &data), options, &lanes(count)).unwrap();
        parallel.fit_blocking(FitOptions::new(3).in_order()).unwrap();
        let found: Vec<u32> = parallel.state().values.iter().flat_map(|v| bits(v)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn general_kernels_have_it() {
    let error = compiled(Optimizer::sgd(0.1).l1(0.1), Kernels::WholeStep).unwrap_err().to_string();
    assert!(error.contains("auto or general here: the optimizer has an L1 penalty"), "{error}");
    let said = compiled(Optimizer::sgd(0.1).l1(0.1), Kernels::Auto).unwrap().kernels(8).unwrap();
    assert!(said.starts_with("general: "), "{said}");
    assert!(compiled(Optimizer::sgd(0.1).l1(0.0), Kernels::WholeStep).is_ok());
}

#[cfg(feature = "files")]
#[test]
fn files_keep_it() {
    use wgrad::train::ModelFile;

    let of = |optimizer: Optimizer| {
        let model = compiled(optimizer, Kernels::Auto).unwrap();
        let file = ModelFile::from_bytes(&model.to_bytes_blocking().unwrap()).unwrap();
        file.model_blocking(&gpu()).unwrap().optimizer().l1_penalty()
    };
    assert_eq!(of(Optimizer::sgd(0.1).l1(0.125)), 0.125);
    assert_eq!(of(Optimizer::sgd(0.1)), 0.0);
}
