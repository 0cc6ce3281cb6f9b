//! Gradient accumulation: a step over several batches, with the memory of one and the bits of lanes.

use std::sync::Arc;

use crate::common::training::{article_data, weight_bits};
use crate::common::{fresh, gpu, lanes};
use crate::counted::noop;
use crate::support::bits;
use crate::support::parallel::start;
use wgrad::Error;
use wgrad::data::Dataset;
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    BatchLog, Callback, EarlyStopping, Every, FitOptions, History, Kernels, Model, Signal, Survive,
    TrainingConfig,
};

fn net() -> Sequential {
    Sequential::new(10).dense(9).tanh().dropout(0.1).dense(1).seed(5)
}

fn config() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01)).metric(Metric::RSquared)
}

fn model() -> Model {
    net().compile_blocking(&gpu(), config()).unwrap()
}

/// 103 rows: three updates of 4 × 8 rows, and one of 7.
fn data() -> Arc<Dataset> {
    Arc::new(article_data(103))
}

fn fit<'a>(epochs: usize) -> FitOptions<'a> {
    FitOptions::new(epochs).batch_size(8).shuffle(2)
}

fn figures(history: &History) -> (Vec<u32>, Vec<String>) {
    let epochs = history.epochs.iter().map(|epoch| {
        format!("{} {} {:?} {:?}", epoch.epoch, epoch.loss, epoch.metrics, epoch.validation)
    });
    (bits(&history.batch_losses), epochs.collect())
}

#[test]
fn accumulated_steps_are_those_of_lanes() {
    let held_out = article_data(40);
    let mut model = model();
    let history = model.fit_accumulating_blocking(data(), 4, fit(3).validation(&held_out)).unwrap();
    assert_eq!((history.batch_losses.len(), model.steps()), (12, 12));
    let of_model = (figures(&history), weight_bits(&model));
    for (schedule, count) in [(Schedule::Serial, 1), (Schedule::data_parallel(), 2)] {
        let options = ParallelOptions::new(32, 4, schedule);
        let mut parallel = start((net(), config(), &data()), options, &lanes(count)).unwrap();
        let options = FitOptions::new(3).shuffle(2).validation(&held_out);
        let history = parallel.fit_blocking(options).unwrap();
        let weights = parallel.state().values.iter().flat_map(|values| bits(values)).collect();
        assert_eq!((figures(&history), weights), of_model);
    }
    // A batch of as many rows has another sum, of the same numbers.
    let mut whole = self::model();
    let options = FitOptions::new(3).batch_size(32).shuffle(2);
    let once = whole.fit_blocking(&*data(), options).unwrap();
    assert_ne!(bits(&once.batch_losses), bits(&history.batch_losses));
    for (a, b) in once.batch_losses.iter().zip(&history.batch_losses) {
        assert!((a - b).abs() <= 1e-3 * a.abs(), "{a}, accumulated {b}");
    }
}

/// Calls go on after each other, also among such of other kinds, and with what was set by hand.
#[test]
fn a_model_goes_on_where_it_stood() {
    let train = |calls: &[usize]| {
        let mut model = model();
        model.fit_blocking(&*data(), fit(1)).unwrap();
        model.set_learning_rate(0.003).unwrap();
        for &epochs in calls {
            model.fit_accumulating_blocking(data(), 4, fit(epochs)).unwrap();
        }
        let predicted = model.predict_blocking(&[0.25; 10]).unwrap();
        model.fit_blocking(&*data(), fit(1)).unwrap();
        (model.steps(), bits(&predicted), weight_bits(&model))
    };
    let whole = train(&[3]);
    assert_eq!(whole.0, 13 + 12 + 13);
    assert_eq!(train(&[1, 2]), whole);
    // A part of the rows that is held out, and stopping by it.
    let mut model = model();
    let mut stopping = EarlyStopping::new("val_loss", 1);
    let options = fit(400).validation_split(0.2).callback(&mut stopping);
    let history = model.fit_accumulating_blocking(data(), 4, options).unwrap();
    assert!(history.stopped_early && history.values("val_loss").is_ok());
}

struct Lose(Option<wgrad::Gpu>);

impl Callback for Lose {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if log.step == 7
            && let Some(gpu) = self.0.take()
        {
            gpu.device().destroy();
        }
        Signal::Continue
    }
}

#[test]
fn a_lost_device_is_survived() {
    let mut whole = model();
    let history = whole.fit_accumulating_blocking(data(), 4, fit(3)).unwrap();
    let gpu = fresh();
    let mut model = net().compile_blocking(&gpu, config()).unwrap();
    let mut lose = Lose(Some(gpu));
    let survive = Survive::every(Every::Steps(3), || std::future::ready(Ok(fresh())));
    let options = fit(3).callback(&mut lose).survive(survive);
    let survived = model.fit_accumulating_blocking(data(), 4, options).unwrap();
    assert_eq!(figures(&survived), figures(&history));
    assert!(!model.gpu().is_lost());
    assert_eq!(weight_bits(&model), weight_bits(&whole));
}

/// Twice as many batches to an update take the room of one more sum, and not of more rows.
#[test]
fn memory_is_that_of_a_batch() {
    let bytes = |batch, batches| {
        let gpu = noop();
        let net = Sequential::new(10).dense(64).relu().dense(1);
        let mut model = net.compile_blocking(&gpu, config()).unwrap();
        let before = gpu.counters().buffer_bytes;
        let options = FitOptions::new(1).batch_size(batch);
        let data = Arc::new(article_data(512));
        // Nothing is computed there.
        let _ = model.fit_accumulating_blocking(data, batches, options);
        gpu.counters().buffer_bytes - before
    };
    let sums = 4 * (11 * 64 + 65) + 256;
    let [few, more, at_once] = [(32, 4), (32, 8), (256, 1)].map(|(rows, n)| bytes(rows, n));
    assert!(more <= few + sums + 4 * 256, "{few}, then {more}");
    // Activations and their gradients of 224 more rows.
    assert!(at_once >= more + 224 * 64 * 4 - 3 * sums, "{more}, at once {at_once}");
}

#[test]
fn what_cannot_be_is_refused() {
    let fails = |model: &mut Model, batches, options: FitOptions<'_>, said: &str| {
        let before = weight_bits(model);
        let error = model.fit_accumulating_blocking(data(), batches, options).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(weight_bits(model), before);
    };
    let whole_steps = config().kernels(Kernels::WholeStep);
    let net = Sequential::new(10).dense(2).dense(1);
    let mut of_whole_steps = net.compile_blocking(&gpu(), whole_steps).unwrap();
    fails(&mut of_whole_steps, 2, fit(1), "kernels is whole_step; it must be auto or general");
    let mut model = model();
    fails(&mut model, 0, fit(1), "batches of an update is 0");
    fails(&mut model, 2, FitOptions::new(1).batch_size(0), "batch size is 0");
    fails(
        &mut model,
        200,
        FitOptions::new(1).batch_size(1),
        "micro-batches is 200; it must be at most 103",
    );
    fails(&mut model, 2, fit(0), "epochs is 0");
    // A step that is not finite: the model stands before it.
    let (features, width, targets) = article_data(64).into_parts();
    let wgrad::data::Targets::Values { mut data, .. } = targets else { panic!("values") };
    data[40] = 1e38;
    let bad = Arc::new(Dataset::regression(features, width, data, 1).unwrap());
    let options = FitOptions::new(2).batch_size(8).in_order();
    let error = model.fit_accumulating_blocking(bad, 4, options).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 1, epoch: 1, .. }), "{error}");
    assert_eq!(model.steps(), 1);
    assert!(model.fit_accumulating_blocking(self::data(), 4, fit(1)).is_ok());
}
