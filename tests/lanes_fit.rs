//! `fit` means the same for a model and for lanes: the same arguments give the same history, bits and
//! calls of callbacks, or an error that says what to do.

use std::sync::{Arc, Mutex};

use crate::common;
use crate::common::training::passing_by;
use crate::common::{gpu, lanes};
use crate::support::parallel::{start, state_bits};
use wgrad::data::Dataset;
use wgrad::lanes::Schedule;
use wgrad::lanes::{Parallel, ParallelOptions};
use wgrad::nn::{LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    BatchLog, Callback, EarlyStopping, EpochLog, Every, FitOptions, History, KeepBest, Kernels,
    Model, Residency, Signal, Survive, TrainLog, TrainingConfig,
};
use wgrad::{Error, Gpu};

const BATCH: usize = 32;

fn net() -> Sequential {
    Sequential::new(10).dense(17).relu().dense(9).tanh().dense(1).seed(8)
}

fn compile() -> TrainingConfig {
    let optimizer =
        Optimizer::adam(0.01).schedule(LearningRateSchedule::cosine(60, 0.1).warm_up(5));
    TrainingConfig::new(Loss::MeanSquaredError, optimizer)
        .metric(Metric::MeanAbsoluteError)
        .metric(Metric::RSquared)
        // Lanes train with these.
        .kernels(Kernels::General)
}

fn options(micro_batches: usize, schedule: Schedule) -> ParallelOptions {
    ParallelOptions::new(BATCH, micro_batches, schedule)
}

fn over_lanes(data: &Dataset, options: ParallelOptions, lanes: &[Gpu]) -> Parallel {
    start((net(), compile(), &Arc::new(data.clone())), options, lanes).unwrap()
}

fn alone() -> Model {
    net().compile_blocking(&gpu(), compile()).unwrap()
}

fn bits(model: &Model) -> Vec<u32> {
    common::training::weight_bits(model)
}

/// The bits of a training's weights, without those of the optimizer.
fn lane_bits(parallel: &Parallel) -> Vec<u32> {
    parallel.state().values.iter().flatten().map(|w| w.to_bits()).collect()
}

/// A history without the time that it took.
fn timeless(mut history: History) -> History {
    history.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
    history
}

/// Writes every call down, and asks for everything there is to ask for.
#[derive(Default)]
struct Diary(Vec<String>);

impl Callback for Diary {
    fn on_train_begin(&mut self, log: &TrainLog) -> wgrad::Result<()> {
        self.0.push(format!("{log:?}"));
        Ok(())
    }
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        self.0.push(format!("{log:?}"));
        Signal::Continue
    }
    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        let log = EpochLog { seconds: 0.0, ..log.clone() };
        self.0.push(format!("{log:?}"));
        match log.epoch {
            2 => Signal::LearningRate(0.003),
            _ => Signal::ShowWeights,
        }
    }
    fn on_weights(&mut self, weights: &[(String, Vec<f32>)]) -> Signal {
        self.0.push(format!("{weights:?}"));
        Signal::Remember
    }
    fn on_train_end(&mut self) -> Signal {
        self.0.push("end".into());
        Signal::RestoreAndStop
    }
}

/// Looks at `held_out` after each of some epochs.
fn validated<'a>(epochs: usize, seed: u64, held_out: &'a Dataset) -> FitOptions<'a> {
    FitOptions::new(epochs).batch_size(BATCH).shuffle(seed).validation(held_out)
}

/// Every schedule on some lanes.
fn schedules() -> Vec<(Schedule, usize)> {
    let mut all = vec![(Schedule::Serial, 1), (Schedule::Overlapped, 1), (Schedule::pipeline(), 3)];
    all.extend((1..=3).map(|lanes| (Schedule::data_parallel(), lanes)));
    all
}

/// One micro-batch is the batch: lanes come to the bits of the model. Of several, all lanes come to one
/// another's.
#[test]
fn the_same_fit_gives_the_same_everywhere() {
    fn of(shuffles: bool, held_out: &Dataset) -> FitOptions<'_> {
        let fit = validated(4, 7, held_out);
        if shuffles { fit } else { fit.in_order() }
    }
    let (data, held_out) = passing_by();
    for (micro_batches, shuffles) in [(1, true), (1, false), (4, true)] {
        let mut expected = None;
        if micro_batches == 1 {
            let (mut model, mut diary) = (alone(), Diary::default());
            let fit = of(shuffles, &held_out).callback(&mut diary);
            let history = model.fit_blocking(&data, fit).unwrap();
            assert_eq!((history.epochs.len(), model.steps()), (4, 28));
            assert_eq!(history.epochs[3].learning_rate, 0.003);
            expected = Some((timeless(history), bits(&model), diary.0));
        }
        for (schedule, count) in schedules() {
            let mut diary = Diary::default();
            let options = options(micro_batches, schedule.clone());
            let mut parallel = over_lanes(&data, options, &lanes(count));
            let history =
                parallel.fit_blocking(of(shuffles, &held_out).callback(&mut diary)).unwrap();
            let found = (timeless(history), lane_bits(&parallel), diary.0);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert!(found.2.iter().any(|call| call.contains("RSquared") && call.contains("val")));
            for (ours, theirs) in found.2.iter().zip(&expected.2) {
                assert_eq!(ours, theirs, "{schedule:?} on {count} lanes");
            }
            assert_eq!(&found, expected, "{schedule:?} on {count} lanes");
        }
    }
}

#[test]
fn the_best_weights_are_put_back() {
    let (data, held_out) = passing_by();
    let mut stopping = EarlyStopping::new("val_loss", 3);
    let mut model = alone();
    let history =
        model.fit_blocking(&data, validated(60, 3, &held_out).callback(&mut stopping)).unwrap();
    assert!(history.stopped_early && history.epochs.len() < 60, "{}", history.epochs.len());
    let best = (timeless(history), bits(&model), stopping.best());
    for (schedule, count) in [(Schedule::pipeline(), 2), (Schedule::data_parallel(), 2)] {
        let mut parallel = over_lanes(&data, options(1, schedule), &lanes(count));
        let mut stopping = EarlyStopping::new("val_loss", 3);
        let history =
            parallel.fit_blocking(validated(60, 3, &held_out).callback(&mut stopping)).unwrap();
        assert_eq!((timeless(history), lane_bits(&parallel), stopping.best()), best);
        // The lanes hold what the state says: they go on as a model does that is made of it.
        let mut model = parallel.model_blocking(&gpu()).unwrap();
        let next = || FitOptions::new(1).batch_size(BATCH).shuffle(3);
        parallel.fit_blocking(next()).unwrap();
        model.fit_blocking(&data, next()).unwrap();
        assert_eq!(lane_bits(&parallel), bits(&model));
    }
}

#[test]
fn calls_of_fit_add_up() {
    let (data, _) = passing_by();
    for (schedule, count) in [(Schedule::pipeline(), 2), (Schedule::data_parallel(), 3)] {
        let of = |calls: &[usize]| {
            let mut parallel = over_lanes(&data, options(4, schedule.clone()), &lanes(count));
            let mut losses = Vec::new();
            for &epochs in calls {
                let history = parallel.fit_blocking(FitOptions::new(epochs).shuffle(5)).unwrap();
                assert_eq!(history.epochs.len(), epochs);
                let numbers: Vec<_> =
                    history.epochs.iter().map(|log| (log.epoch, log.epochs)).collect();
                assert_eq!(numbers, (1..=epochs).map(|epoch| (epoch, epochs)).collect::<Vec<_>>());
                losses.extend(history.batch_losses);
            }
            (losses, state_bits(parallel.state()), parallel.state().step)
        };
        let whole = of(&[5]);
        assert_eq!(whole.2, 35);
        assert_eq!(of(&[2, 3]), whole);
    }
}

/// Lowers the learning rate after a batch, and notes after which steps it was.
struct Lowers(u64);

impl Callback for Lowers {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if log.step == self.0 { Signal::LearningRate(1e-4) } else { Signal::Continue }
    }
}

/// Every lane takes the new rate at the same step, whichever that is: some steps are begun already.
#[test]
fn a_learning_rate_set_within_an_epoch_reaches_all_lanes() {
    let (data, _) = passing_by();
    let data = Arc::new(data);
    let of = |schedule, count| {
        let options = ParallelOptions::new(4, 2, schedule);
        start((net(), compile(), &data), options, &lanes(count)).unwrap()
    };
    for (schedule, count) in [(Schedule::data_parallel(), 2), (Schedule::pipeline(), 3)] {
        let mut parallel = of(schedule, count);
        let mut lowers = Lowers(3);
        let history =
            parallel.fit_blocking(FitOptions::new(2).in_order().callback(&mut lowers)).unwrap();
        assert_eq!(history.last().unwrap().learning_rate, 1e-4);
        let steps = parallel.batches();
        let replay = |from: usize| {
            let mut serial = of(Schedule::Serial, 1);
            serial.run(0..from).unwrap();
            serial.set_learning_rate(1e-4).unwrap();
            serial.run(from..steps).unwrap();
            serial.run(0..steps).unwrap();
            state_bits(serial.state())
        };
        let found = state_bits(parallel.state());
        // A lane is two steps ahead of its reports, and a stage by one of the next.
        let at = (3..20).find(|&from| replay(from) == found);
        assert!(at.is_some());
        // It holds until it is set again, and a model takes it along.
        let mut model = parallel.model_blocking(&gpu()).unwrap();
        let next = || FitOptions::new(1).batch_size(4).in_order();
        assert_eq!(parallel.fit_blocking(next()).unwrap().epochs[0].learning_rate, 1e-4);
        assert_eq!(model.fit_blocking(&data, next()).unwrap().epochs[0].learning_rate, 1e-4);
        assert!(parallel.set_learning_rate(f32::NAN).is_err());
    }
}

/// What lanes cannot do is said, with what they can; what they can do is taken in every spelling.
#[test]
fn what_lanes_cannot_do_is_refused() {
    let (data, held_out) = passing_by();
    let mut parallel = over_lanes(&data, options(4, Schedule::data_parallel()), &lanes(2));
    let mut watching = KeepBest::new("val_loss");
    let refused: Vec<(FitOptions<'_>, &[&str])> = vec![
        (
            FitOptions::new(1).batch_size(16),
            &[
                "batch size is 16; it must be 32",
                "`ParallelOptions::batch`",
                "`FitOptions::batch_size`",
            ],
        ),
        (FitOptions::new(1).batch_size(0), &["batch size is 0; it must be 32"]),
        (FitOptions::new(1).full_batch(), &["batch size is 200, all rows; it must be 32"]),
        (
            FitOptions::new(1).residency(Residency::Streamed),
            &["residency is Streamed; it must be Auto", "`ParallelOptions::residency`"],
        ),
        (
            FitOptions::new(1).validation_split(0.25),
            &["validation split is 0.25", "`Dataset::split_at`", "`FitOptions::validation`"],
        ),
        (FitOptions::new(0), &["epochs is 0; it must be at least 1"]),
        (
            FitOptions::new(1).callback(&mut watching),
            &["'val_loss'", "give `FitOptions` validation data"],
        ),
    ];
    for (fit, parts) in refused {
        let error = parallel.fit_blocking(fit).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(parallel.state().step, 0);
    }
    let wide = Dataset::regression(vec![0.5; 11], 11, vec![0.5], 1).unwrap();
    let error =
        parallel.fit_blocking(FitOptions::new(1).validation(&wide)).unwrap_err().to_string();
    assert!(error.contains("validation"), "{error}");
    for fit in [
        FitOptions::new(1),
        FitOptions::new(1).batch_size(BATCH).residency(Residency::Auto),
        FitOptions::new(1).validation(&held_out),
    ] {
        assert_eq!(parallel.fit_blocking(fit).unwrap().epochs.len(), 1);
    }
    // A batch of more rows than there are is one of all.
    let whole = ParallelOptions::new(usize::MAX, 4, Schedule::Serial);
    let mut whole = over_lanes(&data, whole, &lanes(1));
    for fit in [
        FitOptions::new(1).full_batch(),
        FitOptions::new(1).batch_size(200),
        FitOptions::new(1).batch_size(999),
    ] {
        whole.fit_blocking(fit).unwrap();
    }
    assert_eq!(whole.state().step, 3);
}

struct Signals(Signal);

impl Callback for Signals {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if log.batch == 2 { self.0 } else { Signal::Continue }
    }
}

/// What cannot be obeyed is an error, and the lanes are at rest after it.
#[test]
fn signals_have_their_moment() {
    let (data, _) = passing_by();
    let mut parallel = over_lanes(&data, options(4, Schedule::data_parallel()), &lanes(2));
    for signal in [Signal::Remember, Signal::ShowWeights, Signal::LearningRate(-1.0)] {
        let (mut signals, mut best) = (Signals(signal), KeepBest::new("loss"));
        let fit = FitOptions::new(3).callback(&mut best).callback(&mut signals);
        let error = parallel.fit_blocking(fit).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
        assert!(parallel.state().step >= 2);
        parallel.run(0..1).unwrap();
    }
}

/// Destroys the device of a lane after some of the batches, counted from 1 over all epochs.
struct Destroys {
    lanes: Arc<Mutex<Vec<Gpu>>>,
    /// After which batch, and which lane's.
    plan: Vec<(usize, usize)>,
    batches: usize,
    lost: Vec<u64>,
}

impl Callback for Destroys {
    fn on_batch_end(&mut self, _: &BatchLog) -> Signal {
        self.batches += 1;
        for &(_, lane) in self.plan.iter().filter(|(batch, _)| *batch == self.batches) {
            self.lanes.lock().unwrap()[lane].device().destroy();
        }
        Signal::Continue
    }

    fn on_device_lost(&mut self, error: &Error, step: u64) {
        assert!(error.to_string().contains("lane"), "{error}");
        self.lost.push(step);
    }
}

/// Replicas, stages and a single lane go on on other devices, to the bits and the history of lanes that nothing
/// happened to.
#[test]
fn lanes_survive_lost_devices() {
    let (data, held_out) = passing_by();
    for (schedule, count) in
        [(Schedule::data_parallel(), 2), (Schedule::pipeline(), 2), (Schedule::Serial, 1)]
    {
        let options = || options(4, schedule.clone());
        let fit = || FitOptions::new(4).batch_size(BATCH).shuffle(3).validation(&held_out);
        let mut whole = over_lanes(&data, options(), &lanes(count));
        let mut keep = KeepBest::new("val_loss");
        let history = whole.fit_blocking(fit().callback(&mut keep)).unwrap();
        let expected = (timeless(history), state_bits(whole.state()));

        let gpus: Vec<Gpu> = (0..count).map(|_| common::fresh()).collect();
        let current = Arc::new(Mutex::new(gpus.clone()));
        let plan = vec![(3, 0), (11, count - 1)];
        let mut destroys =
            Destroys { lanes: current.clone(), plan: plan.clone(), batches: 0, lost: vec![] };
        let mut made = 0;
        let again = || {
            let gpu = common::fresh();
            // Only the device that was lost is made anew.
            current.lock().unwrap()[plan[made].1] = gpu.clone();
            made += 1;
            std::future::ready(Ok(gpu))
        };
        let survive = Survive::every(Every::Steps(2), again);
        let mut parallel = over_lanes(&data, options(), &gpus);
        let mut keep = KeepBest::new("val_loss");
        let fit = fit().callback(&mut keep).callback(&mut destroys).survive(survive);
        let history = parallel.fit_blocking(fit).unwrap();
        assert_eq!((timeless(history), state_bits(parallel.state())), expected, "{schedule:?}");
        assert_eq!((made, destroys.lost.len()), (2, 2));
        // From the moment before the loss, or that of a step that was under way.
        assert!([2, 4].contains(&destroys.lost[0]), "{:?}", destroys.lost);
        assert!([10, 12].contains(&destroys.lost[1]), "{:?}", destroys.lost);
    }
}
