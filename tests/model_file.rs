//! Models as files: what comes back is what was saved, or an error; never a panic, and never more memory than
//! a few times the bytes.

use std::fs;
use std::path::PathBuf;

use crate::common::gpu;
use crate::support::bits;
use crate::support::memory::most_held;
use crate::support::sealed::Sealed;
use proptest::prelude::*;
use wgrad::data::Dataset;
use wgrad::graph::{Tensor, Unary, UpdateRule};
use wgrad::nn::{
    Builder, Init, Layer, LearningRateSchedule, Loaders, Loss, Metric, Optimizer, Sequential,
    Settings,
};
use wgrad::train::{
    FitOptions, Kernels, Model, ModelFile, Precision, TrainingConfig, TrainingState,
};
use wgrad::{Error, Result};

/// Reads a model, and checks that it took no more memory than it may.
fn read(bytes: &[u8]) -> Result<ModelFile> {
    let (result, most) = most_held(|| ModelFile::from_bytes(bytes));
    assert!(most <= 8 * bytes.len() + 16_384, "{most} bytes were allocated for {}", bytes.len());
    result
}

fn state_bits(state: &TrainingState) -> impl PartialEq + std::fmt::Debug + use<> {
    let states = state.states.iter().map(|states| states.iter().map(|s| bits(s)).collect());
    let values = state.values.iter().map(|values| bits(values)).collect::<Vec<_>>();
    (state.step, values, states.collect::<Vec<Vec<_>>>())
}

/// All that a file holds.
fn contents(file: &ModelFile) -> impl PartialEq + std::fmt::Debug + use<> {
    (format!("{:?}", file.architecture()), file.config().clone(), state_bits(file.state()))
}

fn small() -> ModelFile {
    let net = Sequential::new(2).dense(2).leaky_relu(0.1).dense(1).seed(7);
    let config = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::momentum(0.1, 0.9));
    ModelFile::new(net, config).unwrap()
}

fn layers() -> impl Strategy<Value = Sequential> {
    let function = prop::sample::select(Unary::ALL.to_vec());
    let layer = prop_oneof![
        (1..9_usize, prop::sample::select(Init::ALL.to_vec()))
            .prop_map(|(n, init)| (0, n, 0.0, None, init)),
        (function, 0.001..1.0_f32).prop_map(|(f, figure)| (1, 0, figure, Some(f), Init::Zeros)),
        (2..7_usize, 0.001..0.9_f32).prop_map(|(kind, x)| (kind, 0, x, None, Init::Zeros)),
    ];
    (1..5_usize, any::<u64>(), prop::collection::vec(layer, 0..6)).prop_map(
        |(inputs, seed, layers)| {
            let start = Sequential::new([inputs, 2]).flatten().seed(seed);
            let add =
                |net: Sequential, (kind, units, figure, function, init)| match (kind, function) {
                    (0, _) => net.dense_with(units, init),
                    (_, Some(function)) => net.activation(Unary::with_parameter(function, figure)),
                    (2, _) => net.dropout(figure),
                    (3, _) => net.layer_norm(),
                    (4, _) => net.softmax(),
                    (5, _) => net.residual(|block| block.relu().layer_norm()),
                    _ => net.residual(|block| block.residual(|inner| inner.leaky_relu(figure))),
                };
            layers.into_iter().fold(start, add).dense(3)
        },
    )
}

fn configs() -> impl Strategy<Value = TrainingConfig> {
    let number = || (0.001..0.99_f32).boxed();
    let schedule = prop_oneof![
        Just(LearningRateSchedule::Constant),
        (1..u64::MAX, 0.0..=1.0).prop_map(|(n, x)| LearningRateSchedule::step(n, x)),
        (1..u64::MAX, 0.0..=1.0, 1..99_u64).prop_map(|(n, x, rise)| {
            LearningRateSchedule::cosine(n, x).warm_up(rise).warm_up(3)
        }),
    ];
    let rule =
        (prop::sample::select(UpdateRule::ALL.to_vec()), number()).prop_map(|(rule, decay)| {
            let figures = rule.hyperparameters().into_iter();
            figures.fold(rule, |rule, (name, _)| rule.with_hyperparameter(name, decay).unwrap())
        });
    let loss =
        (prop::sample::select(Loss::ALL.to_vec()), number()).prop_map(|(loss, delta)| match loss {
            Loss::Huber { .. } => Loss::Huber { delta },
            loss => loss,
        });
    let kernels = prop::sample::select(Kernels::ALL.to_vec());
    let scaled = (0..=24).prop_map(|power| Precision::Mixed { loss_scale: 2f32.powi(power) });
    let how = (kernels, prop_oneof![Just(Precision::F32), scaled]);
    (loss, rule, number(), schedule, prop::option::of(number()), how, any::<bool>()).prop_map(
        |(loss, rule, rate, schedule, norm, (kernels, precision), metric)| {
            let optimizer = Optimizer::new(rule, rate).schedule(schedule);
            let optimizer = norm.map_or(optimizer.clone(), |norm| optimizer.clip_norm(norm));
            let config = TrainingConfig::new(loss, optimizer);
            let config = config.kernels(kernels).precision(precision);
            let fits = match loss.name() {
                name if name.contains("entropy") => Metric::Accuracy,
                _ => Metric::RSquared,
            };
            if metric { config.metric(fits) } else { config }
        },
    )
}

proptest! {
    /// Any model, with any numbers that a training comes to.
    #[test]
    fn models_survive_being_saved(net in layers(), config in configs(), seed in any::<u64>(), step in any::<u64>()) {
        // Some nets fit no loss: then there is nothing to save.
        let Ok(file) = ModelFile::new(net, config) else { return Ok(()) };
        let mut state = file.state().clone();
        state.step = step;
        let mut word = seed;
        let states = state.states.iter_mut().flatten();
        for number in state.values.iter_mut().chain(states).flatten() {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            // Any finite number that may be a square.
            let drawn = f32::from_bits((word >> 33) as u32);
            *number = if drawn.is_finite() { drawn } else { 0.5 };
        }
        let file = file.with_state(state).unwrap();
        let bytes = file.to_bytes().unwrap();
        let again = read(&bytes).unwrap();
        prop_assert_eq!(contents(&again), contents(&file));
        prop_assert_eq!(again.to_bytes().unwrap(), bytes);
    }

    /// A byte that was changed is found, unless it means the same (a blank in place of another, at the end
    /// of the header).
    #[test]
    fn changes_are_found(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (file, bytes) = (small(), small().to_bytes().unwrap());
        let mut changed = bytes.clone();
        for (at, to) in changes {
            changed[at.index(bytes.len())] = to;
        }
        if let Ok(read) = read(&changed) {
            prop_assert_eq!(contents(&read), contents(&file));
        }
        prop_assert!(read(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), length in 0..200_u64) {
        prop_assert!(read(&bytes).is_err());
        prop_assert!(read(&[&length.to_le_bytes()[..], &bytes[..]].concat()).is_err());
        let begun = br#"{"__metadata__":{"wgrad":""#;
        let begun = [&length.to_le_bytes()[..], begun, &bytes[..]].concat();
        prop_assert!(read(&begun).is_err());
    }
}

#[test]
fn every_bit_and_every_byte_counts() {
    let bytes = small().to_bytes().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(read(&flipped).is_err(), "bit {bit} of byte {at}");
        }
        assert!(read(&bytes[..at]).is_err(), "{at}");
        assert!(read(&[&bytes[..at], &[0], &bytes[at..]].concat()).is_err(), "a zero at {at}");
    }
    assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    assert!(read(&bytes).is_ok());
}

/// A file as another program could write it: with a checksum that is right, and a description that lies.
fn forged(change: impl Fn(&str) -> String, name: &str, shape: &[usize]) -> Error {
    let Sealed { model, mut tensors } = Sealed::of(&small().to_bytes().unwrap());
    for (_, own_shape, data) in tensors.iter_mut().filter(|(own, ..)| own == name) {
        *own_shape = shape.to_vec();
        *data = vec![0; 4 * shape.iter().product::<usize>()];
    }
    read(&Sealed { model: change(&model), tensors }.bytes()).unwrap_err()
}

#[test]
fn descriptions_that_lie_are_errors_that_say_so() {
    let replaced = |from: &'static str, to: &'static str| {
        move |text: &str| {
            assert!(text.contains(from), "{text}");
            text.replacen(from, to, 1)
        }
    };
    let same = |text: &str| text.to_string();
    let weight = "dense_0.weight";
    for (error, part) in [
        (
            forged(replaced("\"version\":1", "\"version\":2"), "", &[]),
            "reads form 1: load it with that",
        ),
        (forged(replaced("\"units\":2", "\"units\":4000000000"), "", &[]), "at most"),
        (
            forged(replaced("\"units\":2", "\"units\":40000"), "", &[]),
            "'dense_0.weight' is [2, 2], its layer has [2, 40000]",
        ),
        (
            forged(replaced("\"units\":2", "\"units\":-2"), "", &[]),
            "is a number; it must be an integer",
        ),
        (forged(replaced(",\"units\":2", ""), "", &[]), "it must be with `units`"),
        (
            forged(replaced("glorot_uniform", "glorious"), "", &[]),
            "init is glorious; it must be one of",
        ),
        (
            forged(replaced("leaky_relu", "leeky_relu"), "", &[]),
            "layer is 'leeky_relu'; it must be one that",
        ),
        (forged(replaced("\"momentum\":0.9", "\"momentum\":1.5"), "", &[]), "momentum is 1.5"),
        (forged(replaced("mean_squared_error", "mean_error"), "", &[]), "mean_error"),
        (forged(replaced("\"seed\":7", "\"sead\":7"), "", &[]), "sead"),
        (forged(same, weight, &[1, 2]), "'dense_0.weight' is [1, 2], its layer has [2, 2]"),
        (forged(replaced("\"input\":[2]", "\"input\":[]"), "", &[]), "dense"),
    ] {
        let text = error.to_string();
        assert!(text.contains(part), "{text}\n{part}");
    }
}

#[test]
fn what_is_no_model_is_told_from_one_that_broke() {
    let bytes = small().to_bytes().unwrap();
    let view =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    let foreign = safetensors::serialize([("w", view)], None).unwrap();
    for (bytes, part) in [
        (&b"PK\x03\x04abcdefghijklmnop"[..], "is no such file"),
        (&[], "is no such file"),
        (&foreign, "it holds tensors and no model of wgrad"),
        (&bytes[..bytes.len() - 1], "it was cut off or changed"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.starts_with("model file: ") && error.contains(part), "{error}");
    }
}

/// Other programs read the parameters under their names.
#[test]
fn tensors_have_their_names_and_shapes() {
    let bytes = small().to_bytes().unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> =
        file.iter().map(|(name, view)| (name, view.shape().to_vec())).collect();
    tensors.sort();
    let expected = [
        ("dense_0.bias", vec![2]),
        ("dense_0.weight", vec![2, 2]),
        ("dense_2.bias", vec![1]),
        ("dense_2.weight", vec![2, 1]),
        ("optimizer.velocity.dense_0.bias", vec![2]),
        ("optimizer.velocity.dense_0.weight", vec![2, 2]),
        ("optimizer.velocity.dense_2.bias", vec![1]),
        ("optimizer.velocity.dense_2.weight", vec![2, 1]),
    ];
    assert_eq!(tensors, expected);
}

fn data() -> Dataset {
    let features: Vec<f32> = (0..200).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let targets = features.chunks(4).map(|row| row[0] - row[1] * row[3]).collect();
    Dataset::regression(features, 4, targets, 1).unwrap()
}

fn net() -> Sequential {
    Sequential::new(4)
        .dense(8)
        .relu()
        .dropout(0.2)
        .residual(|block| block.dense(8).tanh())
        .dense(1)
        .seed(3)
}

fn adam() -> TrainingConfig {
    let schedule = LearningRateSchedule::cosine(40, 0.1).warm_up(5);
    let optimizer = Optimizer::adam(0.02).schedule(schedule).clip_norm(1.0);
    TrainingConfig::new(Loss::MeanSquaredError, optimizer).metric(Metric::RSquared)
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wgrad-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Also within an epoch, and with a learning rate that was set by hand.
#[test]
fn a_loaded_model_trains_on_to_the_same_bits() {
    struct StopAt(usize);
    impl wgrad::train::Callback for StopAt {
        fn on_batch_end(&mut self, log: &wgrad::train::BatchLog) -> wgrad::train::Signal {
            match log.batch >= self.0 {
                true => wgrad::train::Signal::Stop,
                false => wgrad::train::Signal::Continue,
            }
        }
    }
    let (gpu, data, folder) = (gpu(), data(), folder("trains-on"));
    let path = folder.join("model.wgrad");
    for kernels in [Kernels::General, Kernels::Auto] {
        let mut model = net().compile_blocking(&gpu, adam().kernels(kernels)).unwrap();
        model.fit_blocking(&data, FitOptions::new(1).batch_size(7)).unwrap();
        model.set_learning_rate(0.01).unwrap();
        let mut stop = StopAt(3);
        let fit = FitOptions::new(2).batch_size(7).callback(&mut stop);
        model.fit_blocking(&data, fit).unwrap();
        model.save_blocking(&path).unwrap();
        let mut loaded = Model::load_blocking(&gpu, &path).unwrap();
        assert_eq!(loaded.steps(), model.steps());
        let predicted = |model: &mut Model| bits(&model.predict_blocking(data.features()).unwrap());
        assert_eq!(predicted(&mut loaded), predicted(&mut model));
        // The same rows as another object.
        let again = Dataset::clone(&data);
        let more = || FitOptions::new(2).batch_size(7);
        let (one, other) = (
            model.fit_blocking(&data, more()).unwrap(),
            loaded.fit_blocking(&again, more()).unwrap(),
        );
        assert_eq!(bits(&one.batch_losses), bits(&other.batch_losses));
        let (one, other) = (model.file_blocking().unwrap(), loaded.file_blocking().unwrap());
        assert_eq!(contents(&one), contents(&other));
        assert_eq!(one.to_bytes().unwrap(), other.to_bytes().unwrap());
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let folder = folder("replaced");
    let path = folder.join("model.wgrad");
    small().write(&path).unwrap();
    let first = fs::read(&path).unwrap();
    let mut state = small().state().clone();
    state.step = 9;
    small().with_state(state).unwrap().write(&path).unwrap();
    assert_eq!(ModelFile::read(&path).unwrap().state().step, 9);
    assert_ne!(fs::read(&path).unwrap(), first);
    // Nothing else is left in the folder.
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    // What cannot be written leaves the old one, and says which file.
    let missing = folder.join("nowhere").join("model.wgrad");
    let error = small().write(&missing).unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
    fs::write(&path, b"nothing").unwrap();
    let error = ModelFile::read(&path).unwrap_err().to_string();
    assert!(error.contains("model.wgrad") && error.contains("no such file"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

/// A layer of a program's own.
#[derive(Debug)]
struct Stretch {
    factor: f32,
}

impl Layer for Stretch {
    fn name(&self) -> &str {
        "stretch"
    }

    fn settings(&self) -> Option<Settings> {
        Some(Settings::new().number("factor", self.factor))
    }

    fn build(&self, builder: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
        builder.graph().scale(x, self.factor)
    }
}

/// One that says nothing of its settings.
#[derive(Debug)]
struct Secret;

impl Layer for Secret {
    fn name(&self) -> &str {
        "secret"
    }

    fn build(&self, _: &mut Builder<'_>, x: Tensor) -> Result<Tensor> {
        Ok(x)
    }
}

#[test]
fn layers_of_a_program_are_loaded_by_it() {
    let of = |net: Sequential| ModelFile::new(net, adam()).unwrap();
    let net = Sequential::new(4).residual(|block| block.layer(Stretch { factor: 0.3 })).dense(1);
    let bytes = of(net.clone()).to_bytes().unwrap();
    let error = read(&bytes).unwrap_err().to_string();
    assert!(error.contains("'stretch'") && error.contains("Loaders::layer"), "{error}");
    let stretch = |settings: &Settings| Ok(Stretch { factor: settings.get_number("factor")? });
    let loaders = Loaders::new().layer("stretch", stretch);
    let loaded = ModelFile::from_bytes_with(&bytes, &loaders).unwrap();
    assert_eq!(*loaded.architecture(), net);
    let inner = Sequential::new(4).relu().residual(|block| block.layer(Secret)).dense(1);
    let error = of(inner).to_bytes().unwrap_err().to_string();
    assert!(error.contains("layer 1 (residual), or one within it, has no settings"), "{error}");
}

/// Every layer that there is comes back from its name.
#[test]
fn every_layer_can_be_loaded() {
    let net = Sequential::new(6)
        .dense(6)
        .layer_norm()
        .dropout(0.5)
        .softmax()
        .flatten()
        .residual(|block| block.relu());
    let functions = Unary::ALL.iter().map(|&function| function.with_parameter(0.7));
    let net = functions.fold(net, Sequential::activation);
    let loaded = read(&ModelFile::new(net.clone(), adam()).unwrap().to_bytes().unwrap()).unwrap();
    assert_eq!(*loaded.architecture(), net);
}
