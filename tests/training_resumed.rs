//! Trainings that are broken off and go on: killed processes, lost devices, other lanes. All come to the bits of
//! one that nothing disturbs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::common::random::Random;
use crate::common::{fresh, gpu, lanes};
use crate::support::bits;
use wgrad::data::Dataset;
use wgrad::lanes::timeline::{Activity, Span};
use wgrad::lanes::{Parallel, ParallelOptions, Schedule};
use wgrad::nn::{LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    BatchLog, Callback, Checkpoint, EarlyStopping, EpochLog, Every, FitOptions, History, KeepBest,
    Kernels, Model, ModelFile, Residency, Signal, Survive, TrainingConfig,
};
use wgrad::{Error, Gpu, Result};

fn data() -> Dataset {
    let features: Vec<f32> = (0..400).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let targets = features.chunks(4).map(|row| row[0] - row[1] * row[3]).collect();
    Dataset::regression(features, 4, targets, 1).unwrap()
}

fn net() -> Sequential {
    Sequential::new(4).dense(16).relu().dropout(0.1).dense(8).tanh().dense(1).seed(3)
}

fn adam() -> TrainingConfig {
    let optimizer =
        Optimizer::adam(0.02).schedule(LearningRateSchedule::cosine(150, 0.1)).clip_norm(1.0);
    TrainingConfig::new(Loss::MeanSquaredError, optimizer).metric(Metric::RSquared)
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wgrad-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

/// All that a training leaves, but for how long it took.
fn outcome(history: &History, model: &Model) -> String {
    let mut history = history.clone();
    for epoch in &mut history.epochs {
        epoch.seconds = 0.0;
    }
    let losses = bits(&history.batch_losses);
    history.batch_losses.clear();
    let file = model.file_blocking().unwrap();
    let state = file.state();
    let values: Vec<_> = state.values.iter().map(|values| bits(values)).collect();
    let states: Vec<_> = state.states.iter().flatten().map(|values| bits(values)).collect();
    format!("{history:?}\n{losses:?}\n{}\n{values:?}\n{states:?}", state.step)
}

/// Trains with validation, early stopping and the best weights, in batches that do not divide the rows.
fn train(
    gpu: &Gpu,
    kernels: Kernels,
    more: &mut dyn Callback,
    options: impl for<'a> FnOnce(FitOptions<'a>) -> FitOptions<'a>,
) -> Result<(History, Model)> {
    let data = data();
    let (training, validation) = data.split_at(80)?;
    let mut model = net().compile_blocking(gpu, adam().kernels(kernels))?;
    let mut stopping = EarlyStopping::new("val_loss", 4);
    let mut best = KeepBest::new("val_r_squared");
    let fit = FitOptions::new(12).batch_size(9).validation(&validation);
    let fit = fit.callback(&mut stopping).callback(more).callback(&mut best);
    let history = model.fit_blocking(&training, options(fit))?;
    Ok((history, model))
}

/// A callback that does nothing.
struct Nothing;
impl Callback for Nothing {}

/// Notes each batch in a file, so that a killed process tells how far it came.
struct Note(PathBuf);

impl Callback for Note {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        fs::write(&self.0, log.step.to_string()).unwrap();
        // So that there are moments to be killed at.
        std::thread::sleep(Duration::from_millis(2));
        Signal::Continue
    }
}

const FOLDER: &str = "WGRAD_TEST_FOLDER";
const EVERY: u64 = 4;

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "run by the tests that kill it"]
fn trains_until_it_is_killed() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let mut note = Note(folder.join("step"));
    let files = folder.join("checkpoints");
    let checkpoint = Checkpoint::every(Every::Steps(EVERY)).in_folder(&files);
    let (history, model) =
        train(&gpu(), Kernels::General, &mut note, |fit| fit.checkpoint(checkpoint).resume(&files))
            .unwrap();
    fs::write(folder.join("outcome"), outcome(&history, &model)).unwrap();
}

fn newest(files: &Path) -> Option<u64> {
    let entries = fs::read_dir(files).ok()?;
    let step = |name: String| name.strip_prefix("step-")?.strip_suffix(".wgrad")?.parse().ok();
    entries.filter_map(|entry| step(entry.ok()?.file_name().into_string().ok()?)).max()
}

/// Kills trainings `kills` times at random moments; each comes to its end at last. The most steps that were lost, and in
/// how many processes the trainings ended.
fn kill(kills: usize, seed: u64) -> (u64, usize) {
    let (history, model) = train(&gpu(), Kernels::General, &mut Nothing, |fit| fit).unwrap();
    let expected = outcome(&history, &model);
    let (folder, mut random, mut killed) =
        (folder(&format!("killed-{seed}")), Random::new(seed), 0);
    let (mut most, mut ended) = (0, 0);
    while killed < kills {
        fs::create_dir_all(&folder).unwrap();
        let step = folder.join("step");
        loop {
            let _ = fs::remove_file(&step);
            let mut process = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "training_resumed::trains_until_it_is_killed", "--ignored"])
                .env(FOLDER, &folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let before = newest(&folder.join("checkpoints")).unwrap_or(0);
            // It trains from the first step of its own on.
            while !step.exists() && process.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(random.next() % 300));
            if let Some(status) = process.try_wait().unwrap() {
                assert!(status.success());
                ended += 1;
                break;
            }
            process.kill().unwrap();
            process.wait().unwrap();
            killed += 1;
            let noted = fs::read_to_string(&step).ok();
            let noted: u64 = noted.and_then(|step| step.parse().ok()).unwrap_or(0);
            let kept = newest(&folder.join("checkpoints")).unwrap_or(0);
            assert!(kept >= before, "{kept} < {before}");
            assert!(kept + EVERY >= noted, "{noted} steps were done, {kept} kept");
            most = most.max(noted.saturating_sub(kept));
        }
        assert_eq!(fs::read_to_string(folder.join("outcome")).unwrap(), expected);
        fs::remove_dir_all(&folder).unwrap();
    }
    (most, ended)
}

#[test]
fn killed_trainings_go_on() {
    kill(5, 1);
}

#[test]
#[ignore = "takes minutes"]
fn fifty_kills() {
    let (most, ended) = kill(50, 2);
    println!(
        "50 kills of {ended} trainings, each to the same bits; of {most} steps at most nothing was kept"
    );
}

/// Destroys the device after so many batches, and draws when it does so next.
struct Lose {
    gpu: Arc<std::sync::Mutex<Gpu>>,
    random: Random,
    left: u64,
    losses: usize,
}

impl Callback for Lose {
    fn on_batch_end(&mut self, _: &BatchLog) -> Signal {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 && self.losses > 0 {
            self.losses -= 1;
            self.left = 1 + self.random.next() % 25;
            self.gpu.lock().unwrap().device().destroy();
        }
        Signal::Continue
    }
}

fn lose(losses: usize, seed: u64) {
    let expected = {
        let (history, model) = train(&gpu(), Kernels::General, &mut Nothing, |fit| fit).unwrap();
        outcome(&history, &model)
    };
    let mut left = losses;
    let mut random = Random::new(seed);
    while left > 0 {
        let some = left.min(4);
        left -= some;
        let gpu = fresh();
        let current = Arc::new(std::sync::Mutex::new(gpu.clone()));
        let first = 1 + random.next() % 25;
        let mut losing = Lose {
            gpu: current.clone(),
            random: Random::new(random.next()),
            left: first,
            losses: some,
        };
        let again = move || {
            let current = current.clone();
            async move {
                let gpu = fresh();
                *current.lock().unwrap() = gpu.clone();
                Ok(gpu)
            }
        };
        let survive = Survive::every(Every::Steps(3), again).at_most(some);
        let result = train(&gpu, Kernels::General, &mut losing, |fit| fit.survive(survive));
        let (history, model) = result.unwrap();
        assert_eq!(losing.losses, 0, "the training was too short");
        assert_eq!(outcome(&history, &model), expected);
    }
}

#[test]
fn trainings_survive_lost_devices() {
    lose(4, 5);
}

#[test]
#[ignore = "takes minutes"]
fn fifty_lost_devices() {
    lose(50, 6);
    println!("50 devices lost, each training to the same bits");
}

/// One loss too many ends the training with it, and callbacks hear of the end.
#[test]
fn a_loss_too_many_is_an_error() {
    struct Ends {
        losing: Lose,
        ended: usize,
        lost: usize,
    }
    impl Callback for Ends {
        fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
            self.losing.on_batch_end(log)
        }
        fn on_device_lost(&mut self, _: &Error, _: u64) {
            self.lost += 1;
        }
        fn on_train_end(&mut self) -> Signal {
            self.ended += 1;
            Signal::Continue
        }
    }
    let gpu = fresh();
    let current = Arc::new(std::sync::Mutex::new(gpu.clone()));
    let losing = Lose { gpu: current.clone(), random: Random::new(3), left: 4, losses: 9 };
    let mut ends = Ends { losing, ended: 0, lost: 0 };
    let again = move || {
        let gpu = fresh();
        *current.lock().unwrap() = gpu.clone();
        std::future::ready(Ok(gpu))
    };
    let survive = Survive::every(Every::Epochs(1), again).at_most(2);
    let error =
        train(&gpu, Kernels::General, &mut ends, |fit| fit.survive(survive)).map(drop).unwrap_err();
    assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
    assert_eq!((ends.ended, ends.lost), (1, 2));
    // A device that cannot be made is the error.
    let gpu = fresh();
    ends.losing.gpu = Arc::new(std::sync::Mutex::new(gpu.clone()));
    (ends.losing.left, ends.losing.losses) = (2, 1);
    let none = || std::future::ready(Err(Error::argument("device", "none", "one")));
    let survive = Survive::every(Every::Epochs(1), none);
    let error =
        train(&gpu, Kernels::General, &mut ends, |fit| fit.survive(survive)).map(drop).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    assert_eq!((ends.ended, ends.lost), (2, 3));
}

/// Each moment that is kept leads to the same end, with each kind of kernels and of steps between.
#[test]
fn every_moment_leads_to_the_same_end() {
    for (kernels, every) in [
        (Kernels::General, Every::Steps(1)),
        (Kernels::Auto, Every::Steps(5)),
        (Kernels::General, Every::Epochs(2)),
    ] {
        let undisturbed = train(&gpu(), kernels, &mut Nothing, |fit| fit).unwrap();
        let expected = outcome(&undisturbed.0, &undisturbed.1);
        let folder = folder("moments");
        let checkpoint = Checkpoint::every(every).in_folder(&folder).keep(usize::MAX);
        let (history, model) =
            train(&gpu(), kernels, &mut Nothing, |fit| fit.checkpoint(checkpoint)).unwrap();
        assert_eq!(outcome(&history, &model), expected);
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 5, "{files:?}");
        // The newest first; then as if the process had been killed before it was written.
        for (place, file) in files.iter().enumerate().rev() {
            if place % 7 == 0 || place + 2 > files.len() {
                let resumed =
                    train(&gpu(), kernels, &mut Nothing, |fit| fit.resume(&folder)).unwrap();
                assert_eq!(outcome(&resumed.0, &resumed.1), expected, "{}", file.display());
            }
            fs::remove_file(file).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }
}

/// Without callbacks and validation the device never waits; rows may be streamed.
#[test]
fn a_plain_fit_is_kept_and_resumed_while_the_device_runs_ahead() {
    let (gpu, data) = (gpu(), data());
    let fit = || FitOptions::new(6).batch_size(7).shuffle(9);
    for residency in [Residency::Resident, Residency::Streamed] {
        let train = |fit: FitOptions<'_>| {
            let mut model = net().compile_blocking(&gpu, adam()).unwrap();
            let history = model.fit_blocking(&data, fit.residency(residency)).unwrap();
            outcome(&history, &model)
        };
        let expected = train(fit());
        let folder = folder("plain");
        let checkpoint = || Checkpoint::every(Every::Steps(11)).in_folder(&folder).keep(3);
        assert_eq!(train(fit().checkpoint(checkpoint())), expected);
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 3);
        fs::remove_file(&files[2]).unwrap();
        assert_eq!(train(fit().checkpoint(checkpoint()).resume(&folder)), expected);
        // A file that was damaged is passed over for the older one.
        let bytes = fs::read(&files[1]).unwrap();
        let _ = fs::remove_file(&files[2]);
        fs::write(&files[1], &bytes[..bytes.len() / 2]).unwrap();
        assert!(ModelFile::read(&files[1]).is_err());
        assert_eq!(train(fit().resume(&folder)), expected);
        fs::remove_dir_all(folder).unwrap();
    }
}

/// A moment at an epoch's end is kept before the lanes go out again: they are not called back for it.
#[test]
fn lanes_are_kept_at_the_end_of_each_epoch() {
    let data = Arc::new(data());
    let train = |fit: FitOptions<'_>| {
        let options = ParallelOptions::new(20, 4, Schedule::data_parallel());
        let mut parallel =
            Parallel::new_blocking(net(), adam(), data.clone(), options, &lanes(2)).unwrap();
        let history = parallel.fit_blocking(fit).unwrap();
        (bits(&history.batch_losses), crate::support::parallel::state_bits(parallel.state()))
    };
    let expected = train(FitOptions::new(4));
    for every in [Every::Epochs(1), Every::Steps(2)] {
        let folder = folder("epochs");
        let checkpoint = Checkpoint::every(every).in_folder(&folder).keep(9);
        assert!(train(FitOptions::new(4).checkpoint(checkpoint)) == expected, "{every:?}");
        fs::remove_dir_all(folder).unwrap();
    }
}

/// More epochs than it began with, other lanes, another schedule.
#[test]
fn lanes_go_on_where_other_lanes_stopped() {
    let data = Arc::new(data());
    let options = |schedule| ParallelOptions::new(20, 4, schedule);
    let start = |schedule, count| {
        Parallel::new_blocking(net(), adam(), data.clone(), options(schedule), &lanes(count))
            .unwrap()
    };
    let end = |history: &History, parallel: &Parallel| {
        (bits(&history.batch_losses), crate::support::parallel::state_bits(parallel.state()))
    };
    let mut whole = start(Schedule::Serial, 1);
    let history = whole.fit_blocking(FitOptions::new(5)).unwrap();
    let expected = end(&history, &whole);
    for (first, then) in [
        ((Schedule::data_parallel(), 2), (Schedule::Serial, 1)),
        ((Schedule::Serial, 1), (Schedule::data_parallel(), 3)),
    ] {
        let folder = folder("lanes");
        let checkpoint = Checkpoint::every(Every::Steps(3)).in_folder(&folder).keep(9);
        let mut parallel = start(first.0, first.1);
        parallel.fit_blocking(FitOptions::new(3).checkpoint(checkpoint)).unwrap();
        // As if it had been killed within the third epoch.
        for step in [15, 12] {
            let _ = fs::remove_file(folder.join(format!("step-{step:012}.wgrad")));
        }
        let mut parallel = start(then.0, then.1);
        let history = parallel.fit_blocking(FitOptions::new(5).resume(&folder)).unwrap();
        assert_eq!(end(&history, &parallel), expected);
        fs::remove_dir_all(folder).unwrap();
    }
}

/// The copies are counted, and the timeline shows the files.
#[test]
fn checkpoints_are_counted_and_drawn() {
    let (gpu, folder) = (gpu(), folder("counted"));
    let checkpoint = || Checkpoint::every(Every::Steps(4)).in_folder(&folder);
    let mut model = net().compile_blocking(&gpu, adam()).unwrap();
    let before = gpu.counters();
    model
        .fit_blocking(&data(), FitOptions::new(1).batch_size(10).checkpoint(checkpoint()))
        .unwrap();
    let done = gpu.counters() - before;
    let steps = model.steps();
    assert_eq!(done.captures, steps / 4 + 1, "of {steps} steps, and one at the end");
    // Values and both moments.
    let least = 3 * 4 * net().parameter_count() as u64;
    assert!(done.captured_bytes >= done.captures * least, "{done:?}");

    let options = ParallelOptions::new(10, 2, Schedule::Serial);
    let mut parallel =
        Parallel::new_blocking(net(), adam(), Arc::new(data()), options, &lanes(1)).unwrap();
    parallel.record(true);
    let checkpoint = checkpoint().in_folder(folder.join("lanes"));
    let checkpoint = FitOptions::new(1).checkpoint(checkpoint);
    parallel.fit_blocking(checkpoint).unwrap();
    let spans = &parallel.timeline().unwrap().spans;
    let drawn = |span: &&Span| span.activity == Activity::Checkpoint;
    // The last run ends with a file, and perhaps begins while the one before is being written.
    assert!((1..=2).contains(&spans.iter().filter(drawn).count()));
    for span in spans.iter().filter(drawn) {
        assert!(span.end > span.start && span.bytes > least && [8, 10].contains(&span.step));
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn another_training_is_not_resumed() {
    let (gpu, data, folder) = (gpu(), data(), folder("another"));
    let checkpoint = |every| Checkpoint::every(every).in_folder(&folder);
    let fit = || FitOptions::new(2).batch_size(10);
    let mut model = net().compile_blocking(&gpu, adam()).unwrap();
    model.fit_blocking(&data, fit().checkpoint(checkpoint(Every::Epochs(1)))).unwrap();
    let fails = |model: Sequential, config: TrainingConfig, fit: FitOptions<'_>, said: &str| {
        let mut model = model.compile_blocking(&gpu, config).unwrap();
        let before = model.weights_blocking().unwrap();
        let error = model.fit_blocking(&data, fit).unwrap_err().to_string();
        assert!(error.contains(said), "{error}\n{said}");
        assert_eq!(model.weights_blocking().unwrap(), before);
    };
    let resume = || fit().resume(&folder);
    fails(net().seed(4), adam(), resume(), "seed of the training that is resumed is 3");
    fails(net().dense(1), adam(), resume(), "layers of the training that is resumed");
    let other =
        TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1)).metric(Metric::RSquared);
    fails(net(), other, resume(), "optimizer of the training that is resumed");
    fails(net(), adam(), resume().batch_size(5), "data of a training that is resumed");
    fails(
        net(),
        adam(),
        resume().shuffle(8),
        "order of rows of a training that is resumed is seed 8",
    );
    fails(net(), adam(), resume().validation_split(0.2), "a training that is resumed");
    let mut nothing = Nothing;
    fails(
        net(),
        adam(),
        resume().callback(&mut nothing),
        "callbacks of a training that is resumed is 1",
    );
    fails(
        net(),
        adam(),
        fit().checkpoint(checkpoint(Every::Steps(0))),
        "interval of checkpoints is 0",
    );
    fails(
        net(),
        adam(),
        fit().checkpoint(checkpoint(Every::Epochs(1)).keep(0)),
        "checkpoints to keep is 0",
    );
    // Another data set of the same form.
    let shifted = data.features().iter().map(|x| x + 0.5).collect();
    let other = Dataset::regression(shifted, 4, vec![0.5; 100], 1).unwrap();
    let mut model = net().compile_blocking(&gpu, adam()).unwrap();
    let error = model.fit_blocking(&other, resume()).unwrap_err().to_string();
    assert!(error.contains("data of a training that is resumed"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

/// What callbacks remember of themselves comes back, and nothing else is taken for it.
#[test]
fn callbacks_say_what_they_remember() {
    let log = |loss: f64| EpochLog {
        epoch: 1,
        epochs: 9,
        loss,
        metrics: Vec::new(),
        validation: None,
        learning_rate: 0.1,
        seconds: 0.0,
    };
    let mut stopping = EarlyStopping::new("loss", 2);
    let mut again = EarlyStopping::new("loss", 2);
    again.resume(&stopping.state()).unwrap();
    assert_eq!(again.best(), None);
    assert_eq!(stopping.on_epoch_end(&log(0.1 + 0.2)), Signal::Remember);
    assert_eq!(stopping.on_epoch_end(&log(0.5)), Signal::Continue);
    again.resume(&stopping.state()).unwrap();
    assert_eq!(again.best(), Some(0.1 + 0.2));
    assert_eq!(again.on_epoch_end(&log(0.4)), Signal::RestoreAndStop);
    for wrong in ["", "1", "one 0.5", "1 half"] {
        assert!(again.resume(wrong).is_err(), "{wrong}");
    }
    assert!(KeepBest::new("loss").resume("1 0.5").is_err());
}
