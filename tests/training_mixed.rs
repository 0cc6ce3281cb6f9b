//! Training in mixed precision: near what 32 bits come to, the same bits in each run, with weights that keep what 16
//! bits would lose, and errors that say what to do.

use half::f16;

use crate::common::gpu;
use crate::common::training::{weight_bits, weights};
use crate::support::bits;
use wgrad::Error;
use wgrad::data::{Dataset, Source, Targets};
use wgrad::exec::{Executor, ExecutorOptions, Parameters};
use wgrad::graph::{Graph, UpdateRule};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::plan::{Arena, ArenaLayout, Plan, PlanOptions, PlanScope};
use wgrad::train::{FitOptions, Kernels, Model, Precision, TrainingConfig};

pub fn net() -> Sequential {
    Sequential::new(12).dense(64).relu().dense(32).tanh().dense(4).seed(5)
}

/// Rows of 12 features and four numbers to learn of each.
pub fn data(rows: usize) -> Dataset {
    let features: Vec<f32> =
        (0..rows * 12).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let of_row = |row: &[f32]| {
        let sum: f32 = row.iter().sum();
        [sum.tanh(), row[0] * row[1], row[2] - row[3], (2.0 * row[4]).sin()]
    };
    let targets = features.chunks(12).flat_map(of_row).collect();
    Dataset::regression(features, 12, targets, 4).unwrap()
}

pub fn config(optimizer: Optimizer, precision: Precision) -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, optimizer).precision(precision)
}

pub fn model(optimizer: Optimizer, precision: Precision) -> Model {
    net().compile_blocking(&gpu(), config(optimizer, precision)).unwrap()
}

fn fit(epochs: usize) -> FitOptions<'static> {
    FitOptions::new(epochs).batch_size(32).in_order()
}

/// Losses stay near those of 32 bits, and are others; in two runs, the bits are the same.
#[test]
fn losses_are_near_those_of_32_bits() {
    let data = data(200);
    for optimizer in [
        Optimizer::sgd(0.05),
        Optimizer::momentum(0.02, 0.9),
        Optimizer::adam(0.01),
        Optimizer::adamw(0.01, 0.01).clip_norm(0.5),
        Optimizer::rmsprop(0.003),
    ] {
        let of = |precision| {
            let mut model = model(optimizer.clone(), precision);
            let losses = model.fit_blocking(&data, fit(20)).unwrap().batch_losses;
            (losses, weight_bits(&model))
        };
        let (full, half) = (of(Precision::F32), of(Precision::mixed()));
        let last = half.0.len() - 1;
        assert!(half.0[last] < half.0[0] / 2.0, "{optimizer:?}: {:?}", half.0);
        for (step, (full, half)) in full.0.iter().zip(&half.0).enumerate() {
            let off = (full - half).abs();
            assert!(off < 0.01 * full + 0.001, "{optimizer:?}: step {step}: {half}, not {full}");
        }
        assert!(full.0 != half.0 && full.1 != half.1, "{optimizer:?}");
        assert!(half == of(Precision::mixed()), "{optimizer:?}: another run, other bits");
    }
}

/// What steps add up to a weight in 32 bits would be lost in 16: each is far below half of what lies between two
/// neighbours there.
#[test]
fn weights_keep_what_16_bits_would_lose() {
    let data = data(128);
    let run = |precision, epochs| {
        let mut model = model(Optimizer::sgd(1e-5), precision);
        let before = weights(&model);
        model.fit_blocking(&data, fit(epochs)).unwrap();
        let after = weights(&model);
        before.into_iter().zip(after).collect::<Vec<(f32, f32)>>()
    };
    let (full, half) = (run(Precision::F32, 25), run(Precision::mixed(), 25));
    let lost = |&(before, after): &(f32, f32)| {
        // Of a step, of which there were a hundred.
        let moved = f32::abs(after - before) / 100.0;
        let next = f16::from_bits(f16::from_f32(before.abs()).to_bits() + 1).to_f32();
        moved > 0.0 && moved < (next - before.abs()) / 4.0
    };
    let tested = half.iter().filter(|pair| pair.0 != 0.0 && lost(pair)).count();
    assert!(tested > half.len() / 2, "{tested} of {}", half.len());
    let moved = |pairs: &[(f32, f32)]| -> Vec<f64> {
        pairs.iter().map(|(before, after)| f64::from(after - before)).collect()
    };
    let (full, half) = (moved(&full), moved(&half));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let length = dot(&full, &full).sqrt();
    let apart: Vec<f64> = full.iter().zip(&half).map(|(a, b)| a - b).collect();
    assert!(dot(&apart, &apart).sqrt() < 0.01 * length, "they moved otherwise");
}

/// The data with targets that make gradients so many times as large.
fn scaled(data: Dataset, factor: f32) -> Dataset {
    let (features, inputs, targets) = data.into_parts();
    let Targets::Values { data: mut values, width } = targets else { panic!("values") };
    values.iter_mut().for_each(|value| *value *= factor);
    Dataset::regression(features, inputs, values, width).unwrap()
}

/// What is beyond 16 bits in the data is told before it is trained on, and in rows of a source when they are read.
#[test]
fn features_beyond_16_bits_are_told() {
    let (mut features, width, targets) = data(40).into_parts();
    features[5 * 12 + 7] = -65_520.0;
    let Targets::Values { data: targets, width: outputs } = targets else { panic!("values") };
    let data = Dataset::regression(features, width, targets, outputs).unwrap();
    let mut mixed = model(Optimizer::sgd(1e-9), Precision::mixed());
    let error = mixed.fit_blocking(&data, fit(1)).unwrap_err().to_string();
    assert!(error.contains("feature 7 of row 5 is -65520"), "{error}");
    assert!(error.contains("standardize the data, or train with `Precision::F32`"), "{error}");
    let source = Source::dataset(data.clone()).unwrap();
    let error = mixed.fit_blocking(&source, fit(1)).unwrap_err().to_string();
    assert!(error.contains("feature 7 of row 5 is -65520"), "{error}");
    // It is evaluated in 32 bits.
    mixed.evaluate_blocking(&data).unwrap();
    model(Optimizer::sgd(1e-9), Precision::F32).fit_blocking(&data, fit(1)).unwrap();
}

/// Evaluation and prediction are those of the weights in 32 bits, to the bit.
#[test]
fn weights_are_used_as_they_are() {
    let data = data(64);
    let mut mixed = model(Optimizer::sgd(0.1), Precision::mixed());
    mixed.fit_blocking(&data, fit(2)).unwrap();
    let full = model(Optimizer::sgd(0.1), Precision::F32);
    for (number, (_, values)) in mixed.weights_blocking().unwrap().iter().enumerate() {
        full.parameters().write(number, values).unwrap();
    }
    let loss = |model: &Model| model.evaluate_blocking(&data).unwrap().loss.to_bits();
    assert_eq!(loss(&mixed), loss(&full));
    let predicted = |model: &Model| bits(&model.predict_blocking(data.features()).unwrap());
    assert_eq!(predicted(&mixed), predicted(&full));
}

/// A gradient beyond 65,504 becomes infinite: the step is told, the weights that it would have reached stay, and a
/// smaller loss scale helps.
#[test]
fn overflow_is_told_and_a_smaller_loss_scale_helps() {
    let data = scaled(data(64), 3e4);
    let mut model = model(Optimizer::sgd(1e-9), Precision::Mixed { loss_scale: 32_768.0 });
    let before = weight_bits(&model);
    let error = model.fit_blocking(&data, fit(1)).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 0, .. }), "{error}");
    assert!(error.to_string().contains("Use a smaller loss scale"), "{error}");
    assert_eq!(before[..12 * 64], weight_bits(&model)[..12 * 64]);
    for wrong in [0.0, 3.0, f32::NAN] {
        model.set_loss_scale(wrong).unwrap_err();
    }
    model.set_loss_scale(1.0).unwrap();
    assert_eq!(model.precision(), Precision::Mixed { loss_scale: 1.0 });
    model.fit_blocking(&data, fit(1)).unwrap();
    assert_ne!(before[..12 * 64], weight_bits(&model)[..12 * 64]);
}

/// Gradients below 2⁻²⁵ become 0, unless the loss scale lifts them.
#[test]
fn the_loss_scale_keeps_small_gradients() {
    // How many weights of the first layer a step moves in which rows count next to nothing.
    let data = data(32).with_weights(vec![1e-8; 32]).unwrap();
    let moved = |precision| {
        let mut model = model(Optimizer::sgd(1000.0), precision);
        let before = weights(&model);
        model.fit_blocking(&data, fit(1)).unwrap();
        let pairs = before.into_iter().zip(weights(&model)).take(12 * 64);
        pairs.filter(|(before, after)| before != after).count()
    };
    let full = moved(Precision::F32);
    assert_eq!(moved(Precision::Mixed { loss_scale: 1.0 }), 0);
    let lifted = moved(Precision::Mixed { loss_scale: 16_777_216.0 });
    assert!(full > 500 && lifted * 10 > full * 9, "{lifted} of {full} weights moved");
}

/// Whole-step kernels keep all in 32 bits: the general ones train, and asked for the others there is an error.
#[test]
fn the_general_kernels_train() {
    let model = model(Optimizer::sgd(0.1), Precision::mixed());
    let kernels = model.kernels(32).unwrap();
    assert_eq!(kernels, "general: numbers are stored in 16 bits between kernels");
    for kernels in [Kernels::WholeStep, Kernels::WholeStepInMemory] {
        let config = config(Optimizer::sgd(0.1), Precision::mixed()).kernels(kernels);
        let error = net().compile_blocking(&gpu(), config).unwrap_err().to_string();
        assert!(error.contains("stored in 16 bits"), "{error}");
    }
    let wrong = config(Optimizer::sgd(0.1), Precision::Mixed { loss_scale: 1000.0 });
    let error = net().compile_blocking(&gpu(), wrong).unwrap_err().to_string();
    assert!(
        error.contains("loss scale of mixed precision is 1000; it must be a power of two"),
        "{error}"
    );
}

/// Weights that are put back or set train on as if a model had begun with them: their copies come along.
#[test]
fn copies_follow_the_weights() {
    let data = data(96);
    let losses = |model: &mut Model| bits(&model.fit_blocking(&data, fit(2)).unwrap().batch_losses);
    let mut first = model(Optimizer::sgd(0.1), Precision::mixed());
    let begun = first.weights_blocking().unwrap();
    let snapshot = first.parameters().snapshot_blocking().unwrap();
    let expected = losses(&mut first);
    assert_ne!(losses(&mut first), expected);
    first.parameters().restore_blocking(&snapshot).unwrap();
    assert_eq!(losses(&mut first), expected);
    for (number, (_, values)) in begun.iter().enumerate() {
        first.parameters().write(number, values).unwrap();
    }
    assert_eq!(losses(&mut first), expected);
    // What a program writes to the buffers itself it must tell.
    let (values, gpu) = (vec![0.25_f32; 12 * 64], gpu());
    let buffer = first.parameters().buffer(Arena::Values, 0).unwrap();
    gpu.queue().write_buffer(
        buffer,
        0,
        &bits(&values).iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<u8>>(),
    );
    first.parameters().refresh_copies_blocking().unwrap();
    let written = losses(&mut first);
    let mut other = model(Optimizer::sgd(0.1), Precision::mixed());
    for (number, (_, values)) in begun.iter().enumerate() {
        other.parameters().write(number, values).unwrap();
    }
    other.fit_blocking(&data, fit(2)).unwrap();
    other.parameters().write(0, &values).unwrap();
    assert_eq!(losses(&mut other), written);
    // One of a model in 32 bits has no copies.
    let other = model(Optimizer::sgd(0.1), Precision::F32);
    let error = other.parameters().restore_blocking(&snapshot).unwrap_err().to_string();
    assert!(error.contains("another precision"), "{error}");
}

/// Plans and parameters that do not suit each other.
#[test]
fn plans_of_another_precision_are_refused() {
    let mut graph = Graph::new();
    let x = graph.input("x", [4, 8]).unwrap();
    let w = graph.parameter("w", [8, 4]).unwrap();
    let y = graph.matmul(x, w).unwrap();
    let targets = graph.input("t", [4, 4]).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, targets).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    graph.update(rule, None, loss, &[(w, gradients[0])]).unwrap();
    let target = gpu().target();
    let plan = |portion, precision| {
        let options = PlanOptions { portion, precision, ..PlanOptions::default() };
        Plan::with_options(&graph, &options, &target).unwrap()
    };
    let layout = ArenaLayout::new(&graph, &target).unwrap();
    let parameters = |precision| {
        Parameters::with_precision_blocking(&gpu(), &layout, Some(0), precision).unwrap()
    };
    let executor = |portion, of_plan, of_parameters| {
        let options = ExecutorOptions {
            parameters: Some(parameters(of_parameters)),
            ..ExecutorOptions::default()
        };
        let made = Executor::with_options_blocking(&gpu(), plan(portion, of_plan), options);
        made.map(drop).map_err(|error| error.to_string())
    };
    let (full, half) = (Precision::F32, Precision::mixed());
    for portion in [PlanScope::Step, PlanScope::Gradients, PlanScope::Update] {
        executor(portion, half, half).unwrap();
        let error = executor(portion, half, full).unwrap_err();
        assert!(error.contains("make them by `Parameters::with_precision`"), "{error}");
    }
    let error = executor(PlanScope::Update, full, half).unwrap_err();
    assert!(error.contains("`PlanOptions::precision`"), "{error}");
    // It moves nothing.
    executor(PlanScope::Gradients, full, half).unwrap();
    let mut graph = Graph::new();
    let w = graph.parameter("w", [8, 4]).unwrap();
    let doubled = graph.scale(w, 2.0).unwrap();
    graph.assign(w, doubled).unwrap();
    let options = PlanOptions { precision: half, ..PlanOptions::default() };
    let error = Plan::with_options(&graph, &options, &target).unwrap_err().to_string();
    assert!(error.contains("'w' is assigned to"), "{error}");
}

/// A model from a file trains on in mixed precision, to the same bits.
#[cfg(feature = "files")]
#[test]
fn files_keep_the_precision() {
    let data = data(100);
    let mut whole = model(Optimizer::adam(0.01), Precision::Mixed { loss_scale: 512.0 });
    whole.fit_blocking(&data, fit(2)).unwrap();
    let bytes = whole.to_bytes_blocking().unwrap();
    whole.fit_blocking(&data, fit(2)).unwrap();
    let mut loaded = Model::from_bytes_blocking(&gpu(), &bytes).unwrap();
    assert!(loaded.kernels(32).unwrap().contains("16 bits"));
    loaded.fit_blocking(&data, fit(2)).unwrap();
    assert_eq!(weight_bits(&whole), weight_bits(&loaded));
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(r#"precision\":{\"mixed\":{\"loss_scale\":512.0}}"#), "{text}");
    assert!(model(Optimizer::adam(0.01), Precision::F32).set_loss_scale(2.0).is_err());
    let full = model(Optimizer::adam(0.01), Precision::F32).to_bytes_blocking().unwrap();
    assert!(!String::from_utf8_lossy(&full).contains("precision"));
}

/// A training is resumed with another loss scale, but not in 32 bits.
#[cfg(feature = "files")]
#[test]
fn a_training_is_resumed_with_another_loss_scale() {
    use wgrad::train::{Checkpoint, Every};
    let folder = std::env::temp_dir().join(format!("wgrad-mixed-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let data = data(64);
    let mut first = model(Optimizer::sgd(0.1), Precision::mixed());
    let checkpoint = Checkpoint::every(Every::Steps(1)).in_folder(&folder);
    first.fit_blocking(&data, fit(2).checkpoint(checkpoint)).unwrap();
    let mut other = model(Optimizer::sgd(0.1), Precision::Mixed { loss_scale: 256.0 });
    let history = other.fit_blocking(&data, fit(3).resume(&folder)).unwrap();
    assert_eq!(history.batch_losses.len(), 6);
    assert_eq!(other.precision(), Precision::Mixed { loss_scale: 256.0 });
    let mut full = model(Optimizer::sgd(0.1), Precision::F32);
    let error = full.fit_blocking(&data, fit(3).resume(&folder)).unwrap_err().to_string();
    assert!(error.contains("precision of the training that is resumed is mixed"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The file that `web/tests/models.spec.mjs` gives to a page: a net 4-8(tanh)-4.
#[cfg(feature = "files")]
fn file_of_pages() -> (std::path::PathBuf, Model) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web/tests/mixed.wgrad");
    let net = Sequential::new(4).dense(8).tanh().dense(4).seed(3);
    let config = config(Optimizer::sgd(0.1), Precision::mixed());
    (path, net.compile_blocking(&gpu(), config).unwrap())
}

#[cfg(feature = "files")]
#[test]
fn the_pages_file_is_what_the_engine_saves() {
    let (path, model) = file_of_pages();
    assert_eq!(model.to_bytes_blocking().unwrap(), std::fs::read(path).unwrap());
}

#[cfg(feature = "files")]
#[test]
#[ignore = "writes web/tests/mixed.wgrad anew"]
fn write_the_pages_file() {
    let (path, model) = file_of_pages();
    std::fs::write(path, model.to_bytes_blocking().unwrap()).unwrap();
    let rows: Vec<f32> = (0..8).map(|i| i as f32 / 4.0 - 1.0).collect();
    println!("predictions of -1, -0.75 … 0.75: {:?}", model.predict_blocking(&rows).unwrap());
}
