//! Callbacks used for one training after another; figures that are NaN, and which way is better; what
//! callbacks may see and set.

use crate::common::gpu;
use crate::common::training::{article, article_data, article_net, kinds, passing_by, weight_bits};
use proptest::prelude::*;
use wgrad::Error;
use wgrad::data::Dataset;
use wgrad::nn::{Direction, LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    BatchLog, Callback, EarlyStopping, EpochLog, Evaluation, Figure, FitOptions, History, KeepBest,
    Kernels, Signal, TrainLog, TrainingConfig,
};

fn fit<'a>(epochs: usize) -> FitOptions<'a> {
    FitOptions::new(epochs).batch_size(32).in_order()
}

/// A second training sees callbacks as new ones.
#[test]
fn callbacks_are_used_again() {
    for kernels in kinds() {
        let (data, validation) = passing_by();
        let train = |stopping: &mut EarlyStopping, keep: &mut KeepBest| {
            let mut model = article(kernels, Optimizer::sgd(0.02));
            let fit = fit(40).validation(&validation).callback(stopping).callback(keep);
            let history = model.fit_blocking(&data, fit).unwrap();
            (history.values("val_loss").unwrap(), weight_bits(&model))
        };
        let (mut stopping, mut keep) =
            (EarlyStopping::new("val_loss", 3), KeepBest::new("val_loss"));
        let first = train(&mut stopping, &mut keep);
        let best = (stopping.best(), keep.best());
        assert!(first.0.len() > 4 && best.0.is_some() && best.0 == best.1);
        assert_eq!(train(&mut stopping, &mut keep), first);
        assert_eq!((stopping.best(), keep.best()), best);
    }
}

/// An epoch's log whose only metric and figure of validation are these.
fn log(epoch: usize, metric: Metric, value: f64) -> EpochLog {
    EpochLog {
        epoch,
        epochs: 9,
        loss: if metric == Metric::MeanAbsoluteError { value } else { 1.0 },
        metrics: vec![(metric, value)],
        validation: Some(Evaluation { rows: 1, loss: value, metrics: vec![(metric, value)] }),
        learning_rate: 0.1,
        seconds: 0.0,
    }
}

fn train_log(figures: Vec<Figure>) -> TrainLog {
    TrainLog { epochs: 9, batches: 1, step: 0, learning_rate: 0.1, figures }
}

fn figures() -> impl Strategy<Value = Figure> {
    let metric = prop::option::of(prop::sample::select(Metric::ALL.to_vec()));
    (any::<bool>(), metric).prop_map(|(validation, metric)| Figure { validation, metric })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The best is what a search over all values finds, which looks at numbers alone; nothing of an
    /// earlier training counts, and training stops when the best is so many epochs ago.
    #[test]
    fn the_best_is_the_best_number(
        figure in figures(),
        earlier in prop::collection::vec(prop::sample::select(vec![f64::NAN, -1e9, 0.0, 1e9]), 0..3),
        values in prop::collection::vec(
            prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), -2.0..2.0f64],
            1..9,
        ),
        patience in 1..5usize,
    ) {
        let metric = figure.metric.unwrap_or(Metric::MeanAbsoluteError);
        let (mut keep, mut stop) =
            (KeepBest::new(figure.to_string()), EarlyStopping::new(figure.to_string(), patience));
        for &value in &earlier {
            keep.on_epoch_end(&log(1, metric, value));
            stop.on_epoch_end(&log(1, metric, value));
        }
        keep.on_train_begin(&train_log(vec![figure])).unwrap();
        stop.on_train_begin(&train_log(vec![figure])).unwrap();
        let sign = match figure.direction() { Direction::Larger => -1.0, Direction::Smaller => 1.0 };
        for (epoch, &value) in values.iter().enumerate() {
            // The first of equals, and none that every number would be better than.
            let candidates = values[..=epoch].iter().enumerate().filter(|(_, v)| sign * **v < f64::INFINITY);
            let best = candidates.min_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)));
            let log = log(epoch + 1, metric, value);
            let is_best = best.is_some_and(|(at, _)| at == epoch);
            let waited = epoch + 1 - best.map_or(0, |(at, _)| at + 1);
            prop_assert_eq!(keep.on_epoch_end(&log) == Signal::Remember, is_best, "{:?}", &values);
            prop_assert_eq!(keep.best(), best.map(|(_, &value)| value));
            let expected = match (is_best, waited >= patience) {
                (true, _) => Signal::Remember,
                (_, true) => Signal::RestoreAndStop,
                _ => Signal::Continue,
            };
            prop_assert_eq!(stop.on_epoch_end(&log), expected, "{:?}", &values);
        }
    }

    /// Names and figures are each other's; any other text is an error that lists the names.
    #[test]
    fn names_of_figures_go_both_ways(figure in figures(), text in "(val_)*(loss|accuracy|r_squared|x)*s?") {
        prop_assert_eq!(figure.to_string().parse::<Figure>().unwrap(), figure);
        match text.parse::<Figure>() {
            Ok(figure) => prop_assert_eq!(figure.to_string(), text),
            Err(error) => {
                let said = error.to_string();
                prop_assert!(said.contains(&text) && said.contains("val_mean_absolute_error"), "{}", said);
            }
        }
    }
}

/// Every metric says which way is better, so that no name has to be guessed from.
#[test]
fn metrics_have_directions() {
    for (metric, direction) in [
        (Metric::Accuracy, Direction::Larger),
        (Metric::RSquared, Direction::Larger),
        (Metric::MeanAbsoluteError, Direction::Smaller),
    ] {
        assert_eq!(metric.direction(), direction);
        for validation in [false, true] {
            assert_eq!(Figure { validation, metric: Some(metric) }.direction(), direction);
        }
    }
    assert_eq!("val_loss".parse::<Figure>().unwrap().direction(), Direction::Smaller);
}

/// Validation rows whose loss overflows: the figure is never a number.
fn overflowing() -> Dataset {
    let features = (0..20).map(|i| if i % 2 == 0 { 3e38 } else { -3e38 }).collect();
    Dataset::regression(features, 10, vec![0.0; 2], 1).unwrap()
}

#[test]
fn without_a_number_nothing_is_remembered() {
    let data = article_data(64);
    let net = || Sequential::new(10).dense(4).relu().dense(4).relu().dense(1).seed(3);
    let model = || {
        let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.02));
        net().compile_blocking(&gpu(), how).unwrap()
    };
    let mut plain = model();
    plain.fit_blocking(&data, fit(4)).unwrap();
    let validation = overflowing();
    let (mut keep, mut stop) = (KeepBest::new("val_loss"), EarlyStopping::new("val_loss", 4));
    let mut watched = model();
    let how = fit(9).validation(&validation).callback(&mut keep).callback(&mut stop);
    let history = watched.fit_blocking(&data, how).unwrap();
    let losses = history.values("val_loss").unwrap();
    assert!(losses.iter().all(|loss| !loss.is_finite()), "{losses:?}");
    assert_eq!((losses.len(), history.stopped_early), (4, true), "its patience ends");
    assert_eq!((keep.best(), stop.best()), (None, None));
    assert_eq!(weight_bits(&watched), weight_bits(&plain), "the weights of the last step stay");
}

/// Looks at weights, and sets the learning rate.
#[derive(Default)]
struct Curious {
    begun: Vec<TrainLog>,
    /// What to do after these epochs (0: at the end), and after the weights were shown.
    signals: Vec<(usize, Signal)>,
    after_weights: Signal,
    after_batch: Signal,
    shown: Vec<Vec<(String, Vec<f32>)>>,
}

impl Curious {
    fn signal(&self, epoch: usize) -> Signal {
        let found = self.signals.iter().find(|(at, _)| *at == epoch);
        found.map_or(Signal::Continue, |&(_, signal)| signal)
    }
}

impl Callback for Curious {
    fn on_train_begin(&mut self, log: &TrainLog) -> wgrad::Result<()> {
        self.begun.push(log.clone());
        Ok(())
    }
    fn on_batch_end(&mut self, _: &BatchLog) -> Signal {
        self.after_batch
    }
    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        self.signal(log.epoch)
    }
    fn on_weights(&mut self, weights: &[(String, Vec<f32>)]) -> Signal {
        self.shown.push(weights.to_vec());
        self.after_weights
    }
    fn on_train_end(&mut self) -> Signal {
        self.signal(0)
    }
}

#[test]
fn callbacks_see_the_weights() {
    for kernels in kinds() {
        let data = article_data(80);
        let after = |epochs| {
            let mut model = article(kernels, Optimizer::sgd(0.05));
            model.fit_blocking(&data, fit(epochs)).unwrap();
            model.weights_blocking().unwrap()
        };
        let mut curious = Curious {
            signals: vec![
                (1, Signal::ShowWeights),
                (3, Signal::ShowWeights),
                (0, Signal::ShowWeights),
            ],
            ..Curious::default()
        };
        let mut model = article(kernels, Optimizer::sgd(0.05));
        model.fit_blocking(&data, fit(4).callback(&mut curious)).unwrap();
        assert_eq!(curious.shown, [after(1), after(3), after(4)]);
        // What the answer to the weights asks for is done.
        let mut curious = Curious {
            signals: vec![(2, Signal::ShowWeights)],
            after_weights: Signal::Stop,
            ..Curious::default()
        };
        let mut model = article(kernels, Optimizer::sgd(0.05));
        let history = model.fit_blocking(&data, fit(4).callback(&mut curious)).unwrap();
        assert_eq!((history.epochs.len(), history.stopped_early), (2, true));
    }
}

#[test]
fn callbacks_are_told_of_the_training() {
    let data = article_data(80);
    let mut curious = Curious::default();
    let how =
        TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05)).metric(Metric::RSquared);
    let mut model = article_net().compile_blocking(&gpu(), how).unwrap();
    for _ in 0..2 {
        model.fit_blocking(&data, fit(2).validation_split(0.2).callback(&mut curious)).unwrap();
    }
    let figure = |validation, metric| Figure { validation, metric };
    let figures = [false, true]
        .into_iter()
        .flat_map(|v| [figure(v, None), figure(v, Some(Metric::RSquared))])
        .collect();
    let first = TrainLog { epochs: 2, batches: 2, step: 0, learning_rate: 0.05, figures };
    assert_eq!(curious.begun, [first.clone(), TrainLog { step: 4, ..first }]);
}

/// A rate set in one training holds for the next, whatever the schedule, until the model is reset; the
/// steps are those of a model whose optimizer has it.
#[test]
fn callbacks_set_the_learning_rate() {
    for kernels in kinds() {
        let data = article_data(80);
        let schedule = LearningRateSchedule::step(2, 0.5);
        let mut model = article(kernels, Optimizer::sgd(0.05).schedule(schedule));
        let mut curious =
            Curious { signals: vec![(2, Signal::LearningRate(0.01))], ..Curious::default() };
        let history = model.fit_blocking(&data, fit(3).callback(&mut curious)).unwrap();
        let rates = |history: &History| {
            history.epochs.iter().map(|log| log.learning_rate).collect::<Vec<_>>()
        };
        assert_eq!(rates(&history), [0.025, 0.05 * 0.25, 0.01]);
        assert_eq!(rates(&model.fit_blocking(&data, fit(1)).unwrap()), [0.01]);

        let mut twin =
            article(kernels, Optimizer::sgd(0.05).schedule(LearningRateSchedule::step(2, 0.5)));
        twin.fit_blocking(&data, fit(2)).unwrap();
        let weights: Vec<Vec<f32>> =
            twin.weights_blocking().unwrap().into_iter().map(|(_, values)| values).collect();
        let mut slower = article(kernels, Optimizer::sgd(0.01));
        slower.set_weights(&weights).unwrap();
        slower.fit_blocking(&data, fit(2)).unwrap();
        assert_eq!(weight_bits(&model), weight_bits(&slower));

        for wrong in [f32::NAN, f32::INFINITY, 0.0, -0.1] {
            assert!(matches!(model.set_learning_rate(wrong), Err(Error::Argument { .. })));
            let mut curious =
                Curious { signals: vec![(1, Signal::LearningRate(wrong))], ..Curious::default() };
            let error = model.fit_blocking(&data, fit(2).callback(&mut curious)).unwrap_err();
            assert!(error.to_string().contains("learning rate"), "{error}");
        }
    }
}

/// Lowers the rate where the loss no longer falls; the program of the documentation.
#[test]
fn a_plateau_lowers_the_learning_rate() {
    struct Plateau {
        best: f64,
        waited: u32,
    }
    impl Callback for Plateau {
        fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
            if log.loss < self.best {
                (self.best, self.waited) = (log.loss, 0);
                return Signal::Continue;
            }
            self.waited += 1;
            if self.waited < 2 {
                return Signal::Continue;
            }
            self.waited = 0;
            Signal::LearningRate(log.learning_rate / 2.0)
        }
    }
    let mut plateau = Plateau { best: f64::INFINITY, waited: 0 };
    let mut model = article(Kernels::Auto, Optimizer::sgd(0.6));
    let history = model.fit_blocking(&article_data(100), fit(60).callback(&mut plateau)).unwrap();
    let mut rates: Vec<f32> = history.epochs.iter().map(|log| log.learning_rate).collect();
    rates.dedup();
    assert!(rates.len() > 1 && rates.windows(2).all(|pair| pair[1] == pair[0] / 2.0), "{rates:?}");
}

/// Refuses to begin, or hears of the end.
struct Refusing(bool, u32);

impl Callback for Refusing {
    fn on_train_begin(&mut self, log: &TrainLog) -> wgrad::Result<()> {
        if !self.0 {
            return Ok(());
        }
        let (name, value) = ("batches".into(), log.batches.to_string());
        Err(Error::Argument { name, value, rule: "more than that".into() })
    }
    fn on_train_end(&mut self) -> Signal {
        self.1 += 1;
        Signal::Continue
    }
}

/// A callback that will not begin ends the training before its first step; those that had begun hear
/// of the end.
#[test]
fn a_callback_may_refuse() {
    let data = article_data(80);
    let mut model = article(Kernels::Auto, Optimizer::sgd(0.05));
    let before = weight_bits(&model);
    let (mut a, mut b, mut c) = (Refusing(false, 0), Refusing(true, 0), Refusing(false, 0));
    let how = fit(2).callback(&mut a).callback(&mut b).callback(&mut c);
    let error = model.fit_blocking(&data, how).unwrap_err();
    assert!(error.to_string().contains("batches is 3"), "{error}");
    assert_eq!((a.1, b.1, c.1), (1, 0, 0));
    assert_eq!((weight_bits(&model), model.steps()), (before, 0));
    for (mut stopping, word) in [
        (EarlyStopping::new("loss", 0), "patience is 0"),
        (EarlyStopping::new("loss", 1).min_delta(f64::NAN), "min_delta is NaN"),
        (EarlyStopping::new("loss", 1).min_delta(-1e-9), "min_delta is -0.000000001"),
        (EarlyStopping::new("loss", 1).min_delta(f64::INFINITY), "min_delta is inf"),
    ] {
        let error = model.fit_blocking(&data, fit(2).callback(&mut stopping)).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// What only an epoch's end can give is refused elsewhere, rather than given of another step.
#[test]
fn signals_have_their_moment() {
    let data = article_data(80);
    let expect = |mut curious: Curious, words: [&str; 2]| {
        let mut model = article(Kernels::Auto, Optimizer::sgd(0.05));
        let error = model.fit_blocking(&data, fit(2).callback(&mut curious)).unwrap_err();
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
    };
    for signal in [Signal::Remember, Signal::ShowWeights] {
        let curious = Curious { after_batch: signal, ..Curious::default() };
        expect(curious, [&format!("{signal:?}"), "after an epoch"]);
    }
    let endless = Curious {
        signals: vec![(1, Signal::ShowWeights)],
        after_weights: Signal::ShowWeights,
        ..Curious::default()
    };
    expect(endless, ["ShowWeights", "on_weights"]);
}

/// A name that no epoch has is an error that lists those there are, and says how to have it.
#[test]
fn histories_know_their_figures() {
    let data = article_data(80);
    let mut model = article(Kernels::Auto, Optimizer::sgd(0.05));
    let history = model.fit_blocking(&data, fit(2)).unwrap();
    assert_eq!(history.values("loss").unwrap().len(), 2);
    for (name, words) in [
        ("typo", ["'typo'", "loss"]),
        ("val_loss", ["'val_loss'", "validation data"]),
        ("accuracy", ["'accuracy'", "Metric::Accuracy"]),
        ("", ["''", "loss"]),
    ] {
        for error in [history.values(name).unwrap_err(), history.epochs[0].value(name).unwrap_err()]
        {
            assert!(matches!(error, Error::Argument { .. }), "{error:?}");
            words.iter().for_each(|word| assert!(error.to_string().contains(word), "{error}"));
        }
    }
    assert_eq!(History::default().values("val_accuracy").unwrap(), [0.0; 0]);
}
