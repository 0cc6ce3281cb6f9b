//! Weights of rows and of classes: what they do to the loss, everywhere that a model trains.

use std::sync::Arc;

use crate::common::training::{classes, weight_bits, weights};
use crate::common::{gpu, lanes};
use crate::support::close;
use crate::support::net::Net;
use crate::support::parallel::start;
use wgrad::data::{Dataset, Targets};
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, Kernels, Model, Residency, TrainingConfig};

/// 19 points of three classes, of which some count more than others and some not at all.
fn points() -> Dataset {
    let weights = (0..19).map(|row| [1.0, 0.25, 3.5, 0.0][row * row % 4]).collect();
    classes(19).with_weights(weights).unwrap()
}

const OF_CLASSES: [f32; 3] = [0.5, 2.0, 1.25];

fn net() -> Sequential {
    Sequential::new(2).dense(5).tanh().dense(3).seed(5)
}

fn config() -> TrainingConfig {
    TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::momentum(0.1, 0.9))
        .metric(Metric::Accuracy)
}

fn compiled(config: TrainingConfig) -> Model {
    net().compile_blocking(&gpu(), config).unwrap()
}

fn fit<'a>() -> FitOptions<'a> {
    FitOptions::new(3).batch_size(8).in_order()
}

/// The rows with the weights of their classes as weights of their own.
fn folded(data: &Dataset) -> Dataset {
    let Targets::Classes { labels, .. } = data.targets() else { panic!("classes") };
    let own = |row: usize| data.weights().map_or(1.0, |weights| weights[row]);
    let of = |(row, &label): (usize, &u32)| own(row) * OF_CLASSES[label as usize];
    data.clone().with_weights(labels.iter().enumerate().map(of).collect()).unwrap()
}

#[test]
fn losses_are_those_of_the_reference() {
    let plain = classes(19);
    for (data, of_classes) in [(&points(), false), (&points(), true), (&plain, true)] {
        let expected_data = if of_classes { folded(data) } else { data.clone() };
        let config = match of_classes {
            true => config().class_weights(OF_CLASSES),
            false => config(),
        };
        let mut model = compiled(config);
        let history = model.fit_blocking(data, fit().validation(data)).unwrap();
        let mut reference = Net::new(&net(), Loss::SoftmaxCrossEntropy, model.optimizer());
        let expected = reference.train(&expected_data, 3, 8);
        close("losses", &history.batch_losses, &expected, 1e-5, 1e-7);
        close("weights", &weights(&model), reference.parameters(), 1e-5, 1e-5);
        // What is evaluated has the weights of its rows, not of classes.
        let rows: Vec<usize> = (0..19).collect();
        let (evaluated, _) = reference.loss_and_gradient(data, &rows);
        let found = model.evaluate_blocking(data).unwrap();
        close("evaluated", &[found.loss as f32], &[evaluated], 1e-5, 1e-7);
        let last = history.values("val_loss").unwrap()[2] as f32;
        close("validated", &[last], &[evaluated], 1e-5, 1e-7);
        // Each row counts once in a metric.
        let unweighted = model.evaluate_blocking(&plain).unwrap();
        assert_eq!(found.metrics, unweighted.metrics);
    }
}

#[test]
fn the_same_bits_everywhere() {
    let data = points();
    let config = || config().class_weights(OF_CLASSES).kernels(Kernels::General);
    let mut model = compiled(config());
    model.fit_blocking(&data, fit()).unwrap();
    let expected = weight_bits(&model);

    let mut streamed = compiled(config());
    streamed.fit_blocking(&data, fit().residency(Residency::Streamed)).unwrap();
    assert_eq!(weight_bits(&streamed), expected, "streamed");

    let mut shuffled = [Residency::Streamed, Residency::Resident].map(|residency| {
        let mut model = compiled(config());
        model.fit_blocking(&data, fit().shuffle(3).residency(residency)).unwrap();
        weight_bits(&model)
    });
    assert_ne!(shuffled[0], expected);
    let [streamed, resident] = &mut shuffled;
    assert_eq!(streamed, resident, "shuffled and streamed");

    let data = Arc::new(data);
    let mut of_four = None;
    for (micro_batches, schedule, count) in [
        (1, Schedule::Serial, 1),
        (1, Schedule::pipeline(), 2),
        (4, Schedule::Overlapped, 1),
        (4, Schedule::data_parallel(), 3),
        (4, Schedule::pipeline(), 2),
    ] {
        let options = ParallelOptions::new(8, micro_batches, schedule.clone());
        let mut parallel = start((net(), config(), &data), options, &lanes(count)).unwrap();
        parallel.fit_blocking(FitOptions::new(3).in_order()).unwrap();
        let bits: Vec<u32> =
            parallel.state().values.iter().flatten().map(|w| w.to_bits()).collect();
        let expected = match micro_batches {
            1 => &expected,
            _ => of_four.get_or_insert_with(|| bits.clone()),
        };
        assert_eq!(&bits, expected, "{schedule:?} on {count} lanes");
    }
}

/// The whole-step kernels know no weights: they are not chosen, and refused if asked for.
#[test]
fn general_kernels_train_with_weights() {
    let asked = config().class_weights(OF_CLASSES).kernels(Kernels::WholeStep);
    let error = net().compile_blocking(&gpu(), asked).unwrap_err().to_string();
    assert!(error.contains("auto or general here: classes have weights"), "{error}");
    let mut model = compiled(config().kernels(Kernels::WholeStep));
    let error = model.fit_blocking(&points(), fit()).unwrap_err().to_string();
    assert!(error.contains("auto or general here: rows of the data have weights"), "{error}");
    assert!(model.fit_blocking(&classes(19), fit()).is_ok());

    let said = compiled(config().class_weights(OF_CLASSES)).kernels(8).unwrap();
    assert!(said.starts_with("general: "), "{said}");
    let mut model = compiled(config());
    let data = points();
    let trainer = model.trainer_blocking(&data, 8, Residency::Auto).unwrap();
    assert!(trainer.kernels().starts_with("general: "), "{}", trainer.kernels());
}

#[test]
fn yes_and_no_have_weights_too() {
    let features: Vec<f32> = (0..14).map(|i| (i * 5 % 14) as f32 / 7.0 - 1.0).collect();
    let targets: Vec<f32> = features.iter().map(|x| f32::from(u8::from(*x > 0.2))).collect();
    let data = Dataset::regression(features, 1, targets.clone(), 1).unwrap();
    let optimizer = Optimizer::sgd(0.3);
    let config = TrainingConfig::new(Loss::BinaryCrossEntropy, optimizer.clone());
    let net = || Sequential::new(1).dense(1).seed(2);
    let config = config.class_weights([0.5, 4.0]);
    let mut model = net().compile_blocking(&gpu(), config).unwrap();
    let history = model.fit_blocking(&data, fit()).unwrap();
    let folded = targets.iter().map(|t| if *t > 0.5 { 4.0 } else { 0.5 }).collect();
    let mut reference = Net::new(&net(), Loss::BinaryCrossEntropy, &optimizer);
    let expected = reference.train(&data.with_weights(folded).unwrap(), 3, 8);
    close("losses", &history.batch_losses, &expected, 1e-5, 1e-7);
}

#[test]
fn weights_of_classes_that_cannot_be() {
    let refused = |loss: Loss, outputs: usize, weights: &[f32], says: &str| {
        let config = TrainingConfig::new(loss, Optimizer::sgd(0.1)).class_weights(weights);
        let net = Sequential::new(2).dense(outputs);
        let error = net.compile_blocking(&gpu(), config).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    let softmax = Loss::SoftmaxCrossEntropy;
    refused(softmax, 3, &[1.0, 2.0], "number of class weights");
    refused(softmax, 3, &[1.0, -2.0, 1.0], "weight of class 1");
    refused(softmax, 3, &[1.0, 1.0, f32::NAN], "weight of class 2");
    refused(softmax, 3, &[0.0; 3], "weights of all classes");
    refused(Loss::BinaryCrossEntropy, 1, &[1.0; 3], "2, one for each class");
    refused(Loss::BinaryCrossEntropy, 2, &[1.0; 2], "`Dataset::with_weights`");
    refused(Loss::MeanSquaredError, 1, &[1.0; 2], "`Dataset::with_weights`");
}

#[cfg(feature = "files")]
#[test]
fn files_keep_the_weights_of_classes() {
    use wgrad::train::{Checkpoint, Every, ModelFile};

    let data = points();
    let weighted = || compiled(config().class_weights(OF_CLASSES));
    let mut model = weighted();
    model.fit_blocking(&data, fit()).unwrap();
    let file = ModelFile::from_bytes(&model.to_bytes_blocking().unwrap()).unwrap();
    assert_eq!(file.config(), &config().class_weights(OF_CLASSES));
    let mut loaded = file.model_blocking(&gpu()).unwrap();
    for model in [&mut model, &mut loaded] {
        model.fit_blocking(&data, fit()).unwrap();
    }
    assert_eq!(weight_bits(&model), weight_bits(&loaded));

    let folder = std::env::temp_dir().join(format!("wgrad-weights-{}", std::process::id()));
    let kept = || {
        let checkpoint = Checkpoint::every(Every::Steps(2)).in_folder(&folder);
        fit().checkpoint(checkpoint).resume(&folder)
    };
    weighted().fit_blocking(&data, kept()).unwrap();
    let other = compiled(config()).fit_blocking(&data, kept()).unwrap_err().to_string();
    // And rows of other weights are other rows.
    let others = weighted().fit_blocking(&classes(19), kept()).unwrap_err().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(other.contains("class weights of the training that is resumed"), "{other}");
    assert!(others.contains("data"), "{others}");
}

/// Rows whose features are permuted keep their weights: with an order that moves nothing, nothing is lost.
#[test]
fn explanations_keep_weights() {
    use wgrad::explain::{Score, permutation_importance_blocking};

    let data = points();
    let model = compiled(config());
    let still = vec![(0..19).collect()];
    let drops = permutation_importance_blocking(&model, &data, Score::Loss, &still).unwrap();
    assert!(drops.iter().all(|importance| importance.drops == [0.0]), "{drops:?}");
}
