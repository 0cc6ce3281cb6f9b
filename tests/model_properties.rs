//! Random models and trainings: whatever widths, rates, batches, epochs and splits are asked for,
//! every call answers with a result or with an error that says what is wrong.

use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wgrad::data::Dataset;
use wgrad::graph::{Shape, Unary, UpdateRule};
use wgrad::nn::layers::{Activation, Dense, Dropout, Flatten, LayerNorm, Residual, Softmax};
use wgrad::nn::{Init, Layer, LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    BatchLog, Callback, EarlyStopping, EpochLog, FitOptions, KeepBest, Kernels, Model, Precision,
    Residency, Signal, TrainingConfig, epoch_order,
};
use wgrad::{Error, Gpu, Result};

/// The same cases each time, and none kept in files.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    TestRunner::new_with_rng(config, rng)
}

thread_local! {
    // Never dropped: wgpu wants thread-locals of its own then, which may be gone already.
    static NOOP: &'static Gpu = {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        Box::leak(Box::new(Gpu::from_device(&device, &queue)))
    };
}

/// Mostly small; now and then one that no memory holds, or whose products no integer does.
fn count() -> impl Strategy<Value = usize> {
    prop_oneof![
        30 => 1usize..6,
        1 => Just(0),
        1 => Just(1 << 16),
        1 => Just(1 << 33),
        1 => Just(usize::MAX - 1),
        1 => Just(usize::MAX),
    ]
}

fn rate() -> impl Strategy<Value = f32> {
    prop_oneof![
        20 => 1e-4f32..1.0,
        1 => Just(0.0),
        1 => Just(-0.5),
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::NEG_INFINITY),
        1 => Just(f32::MAX),
        1 => Just(f32::MIN_POSITIVE / 2.0),
    ]
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.1f64..0.9,
        1 => Just(0.0),
        1 => Just(1.0),
        1 => Just(-0.5),
        1 => Just(1e-12),
        1 => Just(f64::MAX),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ]
}

fn layer() -> impl Strategy<Value = Arc<dyn Layer>> {
    fn shared(layer: impl Layer) -> Arc<dyn Layer> {
        Arc::new(layer)
    }
    let init = prop_oneof![
        Just(Init::GlorotUniform),
        Just(Init::GlorotNormal),
        Just(Init::HeUniform),
        Just(Init::HeNormal),
        Just(Init::Zeros),
    ];
    let function = prop_oneof![
        5 => Just(Unary::Relu),
        5 => Just(Unary::Tanh),
        2 => Just(Unary::Gelu),
        1 => rate().prop_map(|slope| Unary::LeakyRelu { slope }),
    ];
    prop_oneof![
        12 => (count(), init).prop_map(|(units, init)| shared(Dense { units, init })),
        8 => function.prop_map(|function| shared(Activation(function))),
        2 => Just(shared(Softmax)),
        1 => Just(shared(Flatten)),
        1 => rate().prop_map(|epsilon| shared(LayerNorm { epsilon })),
        1 => rate().prop_map(|rate| shared(Dropout { rate })),
        1 => count().prop_map(|units| shared(Residual::new(Sequential::new(units).relu()))),
        1 => count().prop_map(|units| shared(Residual::new(Sequential::new(units).dense(units)))),
    ]
}

fn model() -> impl Strategy<Value = Sequential> {
    let layers = prop::collection::vec(layer(), 0..5);
    (count(), layers, any::<u64>()).prop_map(|(width, layers, seed)| {
        layers.into_iter().fold(Sequential::new(width).seed(seed), Sequential::shared_layer)
    })
}

fn optimizer() -> impl Strategy<Value = Optimizer> {
    let schedule = prop_oneof![
        Just(LearningRateSchedule::Constant),
        (any::<u64>(), share())
            .prop_map(|(every, factor)| LearningRateSchedule::step(every, factor)),
        (any::<u64>(), share())
            .prop_map(|(steps, floor)| LearningRateSchedule::cosine(steps, floor)),
        any::<u64>().prop_map(|steps| LearningRateSchedule::Constant.warm_up(steps)),
    ];
    // One figure may be out of range; all of them hardly ever fit.
    let rule = (prop::sample::select(UpdateRule::ALL), any::<prop::sample::Index>(), rate());
    let rule = rule.prop_map(|(rule, figure, value)| {
        let figures = rule.hyperparameters();
        rule.with_hyperparameter(figure.get(&figures).0, value).unwrap()
    });
    let rule = prop_oneof![3 => Just(UpdateRule::Sgd { weight_decay: 0.0 }), 1 => rule];
    let clip = prop_oneof![3 => Just(None), 1 => rate().prop_map(Some)];
    (rule, rate(), schedule, clip).prop_map(|(rule, rate, schedule, clip)| {
        let optimizer = Optimizer::new(rule, rate).schedule(schedule);
        clip.map_or(optimizer.clone(), |norm| optimizer.clip_norm(norm))
    })
}

fn compile() -> impl Strategy<Value = TrainingConfig> {
    let loss = prop_oneof![
        6 => Just(Loss::MeanSquaredError),
        1 => rate().prop_map(|delta| Loss::Huber { delta }),
        3 => Just(Loss::SoftmaxCrossEntropy),
        1 => Just(Loss::BinaryCrossEntropy),
    ];
    let metric = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Metric::Accuracy)),
        1 => Just(Some(Metric::RSquared)),
    ];
    let kernels = prop_oneof![
        6 => Just(Kernels::General),
        1 => Just(Kernels::Auto),
        1 => Just(Kernels::WholeStep),
        1 => Just(Kernels::WholeStepInMemory),
    ];
    let scale = prop_oneof![4 => Just(1024.0), 1 => rate()];
    let mixed = scale.prop_map(|loss_scale| Precision::Mixed { loss_scale });
    let how = (kernels, prop_oneof![4 => Just(Precision::F32), 1 => mixed]);
    (loss, optimizer(), metric, how).prop_map(|(loss, optimizer, metric, (kernels, precision))| {
        let compile = TrainingConfig::new(loss, optimizer).kernels(kernels).precision(precision);
        metric.map_or(compile.clone(), |metric| compile.metric(metric))
    })
}

/// What is asked of `fit` and of a loop of one's own.
#[derive(Clone, Debug)]
struct Training {
    rows: usize,
    epochs: usize,
    batch: Option<usize>,
    split: Option<f64>,
    shuffle: Option<u64>,
    residency: Residency,
    /// A callback that watches something: its figure, and its patience.
    watch: Option<(&'static str, usize)>,
    range: (usize, usize),
    completed: u64,
}

fn training() -> impl Strategy<Value = Training> {
    let residency = prop_oneof![Just(Residency::Auto), Just(Residency::Streamed)];
    let figure = prop_oneof![3 => Just("loss"), 1 => Just("val_loss"), 1 => Just("beauty")];
    let steps = prop_oneof![2 => 0u64..9, 1 => Just(u64::MAX - 1), 1 => Just(u64::MAX)];
    (
        1usize..12,
        count(),
        prop::option::of(count()),
        prop::option::weighted(0.4, share()),
        prop::option::of(any::<u64>()),
        residency,
        prop::option::of((figure, 0usize..3)),
        prop_oneof![Just((0, 1)), (count(), count())],
        steps,
    )
        .prop_map(
            |(rows, epochs, batch, split, shuffle, residency, watch, range, completed)| Training {
                rows,
                epochs,
                batch,
                split,
                shuffle,
                residency,
                watch,
                range,
                completed,
            },
        )
}

/// Ends what has no end of its own.
struct Patience(u32);

impl Callback for Patience {
    fn on_batch_end(&mut self, _: &BatchLog) -> Signal {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 { Signal::Stop } else { Signal::Continue }
    }

    fn on_epoch_end(&mut self, _: &EpochLog) -> Signal {
        Signal::Remember
    }

    fn on_train_end(&mut self) -> Signal {
        Signal::RestoreAndStop
    }
}

/// Data for the model, unless that cannot be.
fn data(model: &Sequential, classes: bool, rows: usize) -> Result<Dataset> {
    let width = model.input_width().clamp(1, 1 << 17);
    let outputs = model.output_width().clamp(1, 1 << 17);
    let features = vec![0.5; rows * width];
    Ok(match classes {
        true => Dataset::classification(features, width, vec![0; rows], outputs)?,
        false => Dataset::regression(features, width, vec![0.25; rows * outputs], outputs)?,
    })
}

fn fit(model: &mut Model, data: &Dataset, how: &Training) -> Result<()> {
    let mut patience = Patience(20);
    let (mut stopping, mut keep);
    let mut fit = FitOptions::new(how.epochs).residency(how.residency).callback(&mut patience);
    fit = match how.batch {
        Some(rows) => fit.batch_size(rows),
        None => fit.full_batch(),
    };
    fit = match how.shuffle {
        Some(seed) => fit.shuffle(seed),
        None => fit.in_order(),
    };
    if let Some(fraction) = how.split {
        fit = fit.validation_split(fraction);
    }
    if let Some((figure, epochs)) = how.watch {
        stopping = EarlyStopping::new(figure, epochs);
        keep = KeepBest::new(figure);
        fit = fit.callback(&mut stopping).callback(&mut keep);
    }
    let history = model.fit_blocking(data, fit)?;
    assert!(!history.batch_losses.is_empty());
    Ok(())
}

/// A loop of one's own, with any range of batches and any number of steps said to be done.
fn own_loop(model: &mut Model, data: &Dataset, how: &Training) -> Result<()> {
    model.completed(how.completed);
    let batch = how.batch.unwrap_or(how.rows);
    let mut trainer = pollster::block_on(model.trainer(data, batch, how.residency))?;
    let batches = trainer.batches();
    assert!(batches >= 1 && trainer.batch_rows(0) >= 1);
    for beyond in [batches, usize::MAX / 2 + 1, usize::MAX] {
        assert_eq!(trainer.batch_rows(beyond), 0);
    }
    pollster::block_on(trainer.submit(0..1, |_| model.next_step(how.completed)))?;
    let (start, end) = how.range;
    pollster::block_on(trainer.submit(start..end, |batch| model.next_step(batch as u64)))?;
    while pollster::block_on(trainer.results())?.is_some() {}
    Ok(())
}

fn says_what(error: &Error) -> bool {
    let refusal =
        matches!(error, Error::Argument { .. } | Error::Shape { .. } | Error::Limit { .. });
    let data = matches!(error, Error::Data(_));
    let overflow = matches!(error, Error::NotFinite { .. });
    (refusal || data || overflow) && error.to_string().len() > 20
}

#[test]
fn no_training_panics() {
    let [compiled, refused, fitted, looped] = [(); 4].map(|()| Cell::new(0));
    let one_more = |tally: &Cell<u32>| tally.set(tally.get() + 1);
    let gpu = NOOP.with(|gpu| *gpu);
    runner(700)
        .run(&(model(), compile(), training()), |(net, compile, how)| {
            let summary = net.summary().to_string();
            prop_assert!(summary.lines().count() >= 3, "{}", summary);
            let parameters = net.parameter_count();
            let classes = format!("{compile:?}").contains("loss: SoftmaxCrossEntropy");
            let data = data(&net, classes, how.rows);
            let mut model = match net.clone().compile_blocking(gpu, compile) {
                Ok(model) => model,
                Err(error) => {
                    one_more(&refused);
                    prop_assert!(says_what(&error), "{:?}: {}", error, error);
                    return Ok(());
                }
            };
            one_more(&compiled);
            let weights = model.weights_blocking().unwrap();
            prop_assert_eq!(weights.iter().map(|(_, w)| w.len()).sum::<usize>(), parameters);
            let Ok(data) = data else { return Ok(()) };
            match fit(&mut model, &data, &how) {
                Ok(()) => one_more(&fitted),
                Err(error) => prop_assert!(says_what(&error), "{:?}: {}", error, error),
            }
            match own_loop(&mut model, &data, &how) {
                Ok(()) => one_more(&looped),
                Err(error) => prop_assert!(says_what(&error), "{:?}: {}", error, error),
            }
            // Once more, with as many steps behind it as there can be.
            model.completed(u64::MAX);
            if let Err(error) = fit(&mut model, &data, &how) {
                prop_assert!(says_what(&error), "{:?}: {}", error, error);
            }
            let outputs = model.predict_blocking(data.features());
            prop_assert_eq!(outputs.unwrap().len(), how.rows * net.output_width());
            prop_assert!(model.evaluate_blocking(&data).is_ok());
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let tallies = [compiled, refused, fitted, looped].map(Cell::into_inner);
    // The cases prove something only if many go through.
    let least = [100, 100, 50, 20];
    assert!(tallies.iter().zip(least).all(|(&n, least)| n >= least), "{tallies:?}");
}

/// Functions of plain numbers, at the ends of their range.
#[test]
fn no_number_is_too_large() {
    for (width, units) in [(usize::MAX, 1), (1, usize::MAX), (1 << 40, 1 << 40), (usize::MAX, 0)] {
        let model = Sequential::new(width).dense_with(units, Init::HeNormal);
        assert_eq!(model.parameter_count(), width.saturating_add(1).saturating_mul(units));
        let weights = Init::HeNormal.weights(width, units, 1);
        if units == 0 {
            assert!(weights.unwrap().is_empty());
            continue;
        }
        let text = weights.expect_err("too many").to_string();
        let parts = [format!("{width} × {units}"), "use fewer units".into()];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    let endless = Sequential::new(usize::MAX).dense(usize::MAX).relu().dense(usize::MAX);
    assert_eq!(endless.parameter_count(), usize::MAX);
    let error = endless.parameters().expect_err("too many").to_string();
    assert!(error.contains("input width is 18446744073709551615"), "{error}");
    assert!(endless.summary().to_string().contains(&usize::MAX.to_string()));
    assert_eq!(epoch_order(3, u64::MAX, u64::MAX).len(), 3);
    let shape = Shape::from([usize::MAX, 2, usize::MAX, 3]);
    assert_eq!((shape.elements(), shape.bytes()), (usize::MAX, usize::MAX));
    let view = shape.around(1, 3);
    assert_eq!((view.outer, view.span, view.inner), (usize::MAX, usize::MAX, 3));
}

/// What is too wide is named, with its value and what to do.
#[test]
fn too_wide_is_named() {
    let gpu = NOOP.with(|gpu| *gpu);
    let compile = || TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
    let million = 1 << 20;
    for (net, parts) in [
        (
            Sequential::new(usize::MAX).dense(1),
            ["input width", "18446744073709551615", "from 1 to"],
        ),
        (
            Sequential::new(10).dense(usize::MAX),
            [
                "units of layer 0 (dense)",
                "18446744073709551615",
                "at most 390451572 with 10 inputs",
            ],
        ),
        (
            Sequential::new(10).dense(million).relu().dense(million),
            ["units of layer 2 (dense)", "1048576", "use fewer units or inputs"],
        ),
    ] {
        let error = net.compile_blocking(gpu, compile()).map(drop).expect_err("too wide");
        assert!(matches!(error, Error::Argument { .. }), "{error:?}");
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
