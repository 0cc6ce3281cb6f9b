//! Training with dropout: the same bits under every schedule, none in evaluation, and what its seeds are.

use std::sync::Arc;

use crate::common::training::weight_bits;
use crate::common::{gpu, lanes};
use crate::support::bits;
use crate::support::parallel::{run_to, start, state_bits};
use wgrad::data::Dataset;
use wgrad::graph::{Graph, Op, Tensor};
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{Builder, Init, InitialValues, Layer, Loss, Optimizer, Sequential};
use wgrad::train::{FitOptions, Kernels, Residency, TrainingConfig};

fn adam() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01))
}

/// Rows of 6 features, and a number to learn of each. The last of the batches of 25 has 15.
fn data() -> Dataset {
    let features: Vec<f32> =
        (0..90 * 6).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(6).map(|row| row[0] * row[1] - row[2]).collect();
    Dataset::regression(features, 6, targets, 1).unwrap()
}

/// Dropout first, between layers, within a block, and at the cut of stages.
fn net() -> Sequential {
    let block = |layers: Sequential| layers.dense(8).dropout(0.2);
    let net = Sequential::new(6).dropout(0.1).dense(8).relu().dropout(0.5);
    net.residual(block).dropout(0.3).dense(1).seed(5)
}

/// The same layers without dropout.
fn without() -> Sequential {
    Sequential::new(6).dense(8).relu().residual(|layers| layers.dense(8)).dense(1)
}

/// The seeds of the dropout operations in training.
fn seeds(net: &Sequential) -> Vec<u64> {
    let mut graph = Graph::new();
    let x = graph.input("x", [4, net.input_width()]).unwrap();
    net.build_training(&mut graph, x).unwrap();
    let seed = |op| match op {
        Op::Dropout { seed, .. } => Some(seed),
        _ => None,
    };
    graph.nodes().iter().filter_map(|node| seed(node.op)).collect()
}

#[test]
fn it_trains_to_the_same_bits_everywhere() {
    let data = Arc::new(data());
    let of = |schedule: &Schedule, count, micro_batches| {
        let options = ParallelOptions::new(25, micro_batches, schedule.clone());
        let mut parallel = start((net(), adam(), &data), options, &lanes(count)).unwrap();
        let losses = run_to(&mut parallel, 9).unwrap();
        (bits(&losses), state_bits(parallel.state()), losses)
    };
    let mut by_count = Vec::new();
    for micro_batches in [1, 4, 7] {
        let serial = of(&Schedule::Serial, 1, micro_batches);
        let shares = |shares: &[usize]| Schedule::DataParallel { shares: shares.to_vec() };
        for (schedule, count) in [
            (Schedule::Overlapped, 1),
            (shares(&[]), 1),
            (shares(&[1, 3]), 2),
            (shares(&[2, 0, 1]), 3),
            (shares(&[]), 4),
            (Schedule::Pipeline { stages: vec![1, 2] }, 2),
            (Schedule::Pipeline { stages: vec![2, 1] }, 2),
            (Schedule::Pipeline { stages: vec![1, 1, 1] }, 3),
        ] {
            let found = of(&schedule, count, micro_batches);
            assert!(found == serial, "{schedule:?}, {micro_batches} micro-batches");
        }
        by_count.push(serial);
    }
    // Rows are those of the whole batch, however it is cut: what is dropped is the same, sums round otherwise.
    for other in &by_count[1..] {
        for (a, b) in by_count[0].2.iter().zip(&other.2) {
            assert!((a - b).abs() <= 1e-4 * a.abs(), "{:?}, not {:?}", other.2, by_count[0].2);
        }
    }
    // One device, with rows on it or brought block by block.
    for residency in [Residency::Resident, Residency::Streamed] {
        let mut model = net().compile_blocking(&gpu(), adam()).unwrap();
        let fit = FitOptions::new(3).batch_size(25).in_order().residency(residency);
        let losses = model.fit_blocking(&data, fit).unwrap().batch_losses;
        assert_eq!(bits(&losses)[..9], by_count[0].0, "{residency:?}");
    }
}

#[test]
fn order_and_residency_change_no_bit() {
    let run = |residency| {
        let mut model = net().compile_blocking(&gpu(), adam()).unwrap();
        let fit = FitOptions::new(3).batch_size(13).shuffle(8).residency(residency);
        let history = model.fit_blocking(&data(), fit).unwrap();
        (bits(&history.batch_losses), weight_bits(&model))
    };
    assert_eq!(run(Residency::Resident), run(Residency::Streamed));
}

#[test]
fn training_goes_on_as_if_it_had_not_stopped() {
    let data = Arc::new(data());
    let options = |schedule| ParallelOptions::new(25, 3, schedule);
    let begin = |schedule, count| start((net(), adam(), &data), options(schedule), &lanes(count));
    let mut whole = begin(Schedule::Serial, 1).unwrap();
    let losses = bits(&run_to(&mut whole, 9).unwrap());

    let mut first = begin(Schedule::Serial, 1).unwrap();
    run_to(&mut first, 5).unwrap();
    let saved = first.state().clone();
    let mut second = begin(Schedule::data_parallel(), 2).unwrap();
    second.set_state_blocking(saved).unwrap();
    assert_eq!(bits(&run_to(&mut second, 9).unwrap()), losses[5..]);
    assert_eq!(state_bits(second.state()), state_bits(whole.state()));

    // A model that is reset draws what one draws that was just compiled with that seed.
    let run = |model: &mut wgrad::train::Model| {
        let fit = FitOptions::new(2).batch_size(25).in_order();
        let losses = bits(&model.fit_blocking(&data, fit).unwrap().batch_losses);
        (losses, weight_bits(model))
    };
    let mut model = net().seed(6).compile_blocking(&gpu(), adam()).unwrap();
    let of_six = run(&mut model);
    model.reset(5).unwrap();
    let mut fresh = net().compile_blocking(&gpu(), adam()).unwrap();
    let of_five = run(&mut fresh);
    assert_eq!(run(&mut model), of_five);
    assert_ne!(of_six, of_five);
}

/// Evaluation, validation and prediction are those of the net without dropout.
#[test]
fn nothing_is_dropped_but_in_training() {
    let data = data();
    let mut model = net().compile_blocking(&gpu(), adam()).unwrap();
    let fit = FitOptions::new(2).batch_size(25).validation(&data);
    let history = model.fit_blocking(&data, fit).unwrap();
    let mut plain = without().compile_blocking(&gpu(), adam()).unwrap();
    let weights = model.weights_blocking().unwrap().into_iter().map(|(_, values)| values);
    plain.set_weights(&weights.collect::<Vec<_>>()).unwrap();
    let expected = plain.predict_blocking(data.features()).unwrap();
    for _ in 0..2 {
        assert_eq!(bits(&model.predict_blocking(data.features()).unwrap()), bits(&expected));
    }
    let loss = |evaluated: wgrad::train::Evaluation| evaluated.loss.to_bits();
    let evaluated = loss(model.evaluate_blocking(&data).unwrap());
    assert_eq!(evaluated, loss(plain.evaluate_blocking(&data).unwrap()));
    let validated = history.values("val_loss").unwrap();
    assert_eq!(validated[1].to_bits(), evaluated);
    let mut graph = Graph::new();
    let x = graph.input("x", [4, 6]).unwrap();
    net().build(&mut graph, x).unwrap();
    assert!(!graph.nodes().iter().any(|node| matches!(node.op, Op::Dropout { .. })));
}

/// It still learns, and more slowly: the loss is that of a part of the net.
#[test]
fn nets_learn_with_it() {
    let data = data();
    let net = Sequential::new(6).dense(64).tanh().dropout(0.2).dense(1).seed(1);
    let mut model = net.compile_blocking(&gpu(), adam()).unwrap();
    let before = model.evaluate_blocking(&data).unwrap().loss;
    let fit = FitOptions::new(60).batch_size(15);
    let history = model.fit_blocking(&data, fit).unwrap();
    let after = model.evaluate_blocking(&data).unwrap().loss;
    assert!(after < before / 3.0, "{after} after {before}");
    let trained = history.values("loss").unwrap()[59];
    assert!(trained > after, "{trained} in training, {after} in evaluation");
}

#[test]
fn no_two_layers_draw_the_same() {
    let twice = |layers: Sequential| layers.dropout(0.5).dropout(0.5);
    let net = Sequential::new(6).dense(6).dropout(0.5).residual(twice).residual(twice).dropout(0.5);
    let mut all = Vec::new();
    for seed in [0, 1, 2, u64::MAX] {
        let drawn = seeds(&net.clone().seed(seed));
        assert_eq!(drawn.len(), 6);
        assert_eq!(drawn, seeds(&net.clone().seed(seed)));
        all.extend(drawn);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 24);
    // A rate of 0 is no operation.
    assert!(seeds(&Sequential::new(6).dropout(0.0).dense(1)).is_empty());
}

/// A layer of a program's own that draws twice, in training only, before its weights.
#[derive(Debug)]
struct Noisy;

impl Layer for Noisy {
    fn name(&self) -> &str {
        "noisy"
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> wgrad::Result<Tensor> {
        let mut y = x;
        if builder.training() {
            for _ in 0..2 {
                let seed = builder.seed();
                y = builder.graph().dropout(y, 0.5, seed)?;
            }
        }
        let width = builder.shape(x)?.columns();
        let gain = builder.parameter("gain", width, InitialValues::drawn(Init::HeNormal, 1, 1))?;
        builder.graph().mul(y, gain)
    }
}

/// Plain, it begins with the weights of this one.
#[derive(Debug)]
struct Quiet;

impl Layer for Quiet {
    fn name(&self) -> &str {
        "noisy"
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> wgrad::Result<Tensor> {
        let width = builder.shape(x)?.columns();
        let gain = builder.parameter("gain", width, InitialValues::drawn(Init::HeNormal, 1, 1))?;
        builder.graph().mul(x, gain)
    }
}

#[test]
fn layers_of_a_programs_own_draw_too() {
    let net = Sequential::new(6).layer(Noisy).dense(1).seed(3);
    let drawn = seeds(&net);
    assert!(drawn.len() == 2 && drawn[0] != drawn[1], "{drawn:?}");
    let quiet = Sequential::new(6).layer(Quiet).dense(1).seed(3);
    assert_eq!(net.parameters().unwrap(), quiet.parameters().unwrap());
}

#[test]
fn what_does_not_fit_is_named() {
    for rate in [1.0, -0.5, f32::NAN, f32::INFINITY] {
        let net = Sequential::new(3).dense(2).dropout(rate).dense(1);
        let error = net.parameters().expect_err("out of range").to_string();
        let said =
            format!("rate of layer 1 (dropout) is {rate}; it must be at least 0 and below 1");
        assert!(error.contains(&said), "{error}");
    }
    let net = Sequential::new([3, 4]).dropout(0.5).flatten().dense(1);
    let line = format!("{:<24}{:<16}{:>12}", "dropout_0", "(?, 3, 4)", 0);
    assert!(net.summary().to_string().contains(&line), "{}", net.summary());
    let model = net.compile_blocking(&gpu(), adam()).unwrap();
    assert!(model.kernels(25).unwrap().contains("layer 0 (dropout)"));
    let net = Sequential::new(3).dense(2).dropout(0.5).dense(1);
    let error = net.compile_blocking(&gpu(), adam().kernels(Kernels::WholeStep)).map(drop);
    let error = error.expect_err("no whole-step kernel").to_string();
    assert!(error.contains("layer 1 (dropout)"), "{error}");
}
