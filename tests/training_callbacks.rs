//! Callbacks: what they are told and when, what they stop, and the weights that are left.

use crate::common::gpu;
use crate::common::training::{
    article, article_data, article_net, best_epoch, kinds, passing_by, run, weight_bits,
};
use approx::assert_abs_diff_eq;
use wgrad::Error;
use wgrad::nn::{Loss, Metric, Optimizer};
use wgrad::train::{
    BatchLog, Callback, EarlyStopping, EpochLog, FitOptions, KeepBest, Kernels, Signal,
    TrainingConfig, Wait,
};

/// What callbacks are told, in the order in which they are.
#[derive(Default)]
struct Recorder {
    events: Vec<String>,
    batches: Vec<BatchLog>,
    epochs: Vec<EpochLog>,
    stop_after_batch: Option<u64>,
    stop_after_epoch: Option<usize>,
}

impl Callback for Recorder {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        self.events.push(format!("batch {}.{}", log.epoch, log.batch));
        self.batches.push(log.clone());
        if self.stop_after_batch == Some(log.step) { Signal::Stop } else { Signal::Continue }
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        self.events.push(format!("epoch {}", log.epoch));
        self.epochs.push(log.clone());
        if self.stop_after_epoch == Some(log.epoch) { Signal::Stop } else { Signal::Continue }
    }

    fn on_train_end(&mut self) -> Signal {
        self.events.push("end".into());
        Signal::Continue
    }
}

#[test]
fn callbacks_are_called_in_order() {
    for kernels in kinds() {
        let data = article_data(80);
        let mut recorder = Recorder::default();
        let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05))
            .kernels(kernels)
            .metric(Metric::MeanAbsoluteError);
        let mut model = article_net().compile_blocking(&gpu(), compile).unwrap();
        let fit = FitOptions::new(2).batch_size(32).in_order().callback(&mut recorder);
        let history = model.fit_blocking(&data, fit).unwrap();
        let expected = [
            "batch 1.1",
            "batch 1.2",
            "batch 1.3",
            "epoch 1",
            "batch 2.1",
            "batch 2.2",
            "batch 2.3",
            "epoch 2",
            "end",
        ];
        assert_eq!(recorder.events, expected);
        assert!(!history.stopped_early);
        for (i, log) in recorder.batches.iter().enumerate() {
            assert_eq!((log.step, log.batches), (i as u64 + 1, 3));
            assert_eq!(log.loss, history.batch_losses[i]);
            assert_eq!(log.metrics.len(), 1);
        }
        // The epoch so far: 32, 64 and 80 rows.
        let losses: Vec<f64> = history.batch_losses.iter().map(|&l| l.into()).collect();
        let so_far = [
            losses[0],
            (losses[0] + losses[1]) / 2.0,
            (2.0 * losses[0] + 2.0 * losses[1] + losses[2]) / 5.0,
        ];
        for (log, expected) in recorder.batches.iter().zip(so_far) {
            assert_abs_diff_eq!(log.epoch_loss, expected, epsilon = 1e-12);
        }
        assert_eq!(recorder.epochs, history.epochs);
        // Watching changes nothing of the result.
        let (plain, _) =
            run(kernels, &data, Optimizer::sgd(0.05), FitOptions::new(2).batch_size(32).in_order());
        assert_eq!(weight_bits(&model), plain);
    }
}

#[test]
fn callbacks_stop_training() {
    for kernels in kinds() {
        let data = article_data(80);
        let fit = |recorder: &mut Recorder| {
            let mut model = article(kernels, Optimizer::sgd(0.05));
            let fit = FitOptions::new(5).batch_size(32).in_order().callback(recorder);
            let history = model.fit_blocking(&data, fit).unwrap();
            (history, weight_bits(&model), model.steps())
        };
        let mut recorder = Recorder { stop_after_epoch: Some(2), ..Recorder::default() };
        let (history, weights, steps) = fit(&mut recorder);
        assert!(history.stopped_early);
        assert_eq!((history.epochs.len(), steps), (2, 6));
        assert_eq!(recorder.events[recorder.events.len() - 2..], ["epoch 2", "end"]);
        assert_eq!(
            weights,
            run(kernels, &data, Optimizer::sgd(0.05), FitOptions::new(2).batch_size(32).in_order())
                .0
        );
        // In the middle of an epoch: what is under way is finished, the epoch has no entry.
        let mut recorder = Recorder { stop_after_batch: Some(4), ..Recorder::default() };
        let (history, _, steps) = fit(&mut recorder);
        assert!(history.stopped_early);
        assert!((4..=6).contains(&steps), "{steps} steps");
        assert_eq!(history.batch_losses.len() as u64, steps);
        assert!(!recorder.events.contains(&"batch 3.1".to_string()), "{:?}", recorder.events);
        assert_eq!(recorder.events.last().unwrap(), "end");
    }
}

/// Callbacks hear of an end by an error, too.
#[test]
fn callbacks_hear_of_every_end() {
    for kernels in kinds() {
        let mut recorder = Recorder::default();
        let mut model = article(kernels, Optimizer::sgd(30.0));
        let fit = FitOptions::new(50).batch_size(32).in_order().callback(&mut recorder);
        model.fit_blocking(&article_data(100), fit).expect_err("it diverges");
        assert_eq!(recorder.events.iter().filter(|event| *event == "end").count(), 1);
        assert_eq!(recorder.events.last().unwrap(), "end");
    }
}

/// Callbacks are called in the order in which they were added, each batch and epoch.
#[test]
fn several_callbacks_take_turns() {
    use std::sync::Arc;
    use std::sync::Mutex;
    struct Named(&'static str, Arc<Mutex<Vec<String>>>);
    impl Callback for Named {
        fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
            self.1.lock().unwrap().push(format!("{}{}", self.0, log.batch));
            Signal::Continue
        }
        fn on_epoch_end(&mut self, _: &EpochLog) -> Signal {
            self.1.lock().unwrap().push(format!("{}!", self.0));
            Signal::Continue
        }
    }
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (mut a, mut b) = (Named("a", calls.clone()), Named("b", calls.clone()));
    let fit = FitOptions::new(1).batch_size(32).callback(&mut a).callback(&mut b);
    article(Kernels::Auto, Optimizer::sgd(0.05)).fit_blocking(&article_data(64), fit).unwrap();
    assert_eq!(*calls.lock().unwrap(), ["a1", "b1", "a2", "b2", "a!", "b!"]);
}

#[test]
fn early_stopping_puts_the_best_weights_back() {
    for kernels in kinds() {
        let (data, validation) = passing_by();
        let patience = 3;
        let mut stopping = EarlyStopping::new("val_loss", patience);
        let mut model = article(kernels, Optimizer::sgd(0.02));
        let fit = |epochs| FitOptions::new(epochs).batch_size(32).in_order();
        let history = model
            .fit_blocking(&data, fit(100).validation(&validation).callback(&mut stopping))
            .unwrap();
        let best = best_epoch(&history) + 1;
        assert!(history.stopped_early && history.epochs.len() < 100);
        assert!(
            best > 1,
            "the first epoch is not the best: {:?}",
            history.values("val_loss").unwrap()
        );
        assert!(history.epochs.len() > best, "it waited");
        assert!(history.epochs.len() <= best + patience + 1, "but not for long");
        let (expected, _) = run(kernels, &data, Optimizer::sgd(0.02), fit(best));
        assert_eq!(weight_bits(&model), expected, "the weights of epoch {best}");
        // Evaluating now gives the best loss again.
        let evaluation = model.evaluate_blocking(&validation).unwrap();
        assert_eq!(evaluation.loss, history.values("val_loss").unwrap()[best - 1]);
    }
}

#[test]
fn keep_best_leaves_the_best_weights() {
    for kernels in kinds() {
        let (data, validation) = passing_by();
        let mut keep = KeepBest::new("val_loss");
        let mut model = article(kernels, Optimizer::sgd(0.02));
        let fit = |epochs| FitOptions::new(epochs).batch_size(32).in_order();
        let history =
            model.fit_blocking(&data, fit(80).validation(&validation).callback(&mut keep)).unwrap();
        assert_eq!(history.epochs.len(), 80, "it stops nothing");
        assert!(!history.stopped_early);
        let best = best_epoch(&history);
        assert!(best > 0 && best < 79, "best epoch {best}");
        let (expected, _) = run(kernels, &data, Optimizer::sgd(0.02), fit(best + 1));
        assert_eq!(weight_bits(&model), expected);
        assert_eq!(keep.best(), Some(history.values("val_loss").unwrap()[best]));
    }
}

/// Whatever ends training (another callback at an epoch's end or within an epoch, a callback that puts
/// weights of its own back, a loss that is not finite), the best weights are what is left.
#[test]
fn keep_best_survives_every_end() {
    for kernels in kinds() {
        let (data, validation) = passing_by();
        let fit = |epochs| FitOptions::new(epochs).batch_size(32).in_order();
        let expected = |best| run(kernels, &data, Optimizer::sgd(0.02), fit(best)).0;
        let end = |stopper: &mut dyn Callback, keep_first: bool| {
            let mut keep = KeepBest::new("val_loss");
            let mut model = article(kernels, Optimizer::sgd(0.02));
            let fit = FitOptions::new(80).batch_size(32).in_order().validation(&validation);
            let fit = match keep_first {
                true => fit.callback(&mut keep).callback(stopper),
                false => fit.callback(stopper).callback(&mut keep),
            };
            let history = model.fit_blocking(&data, fit).unwrap();
            assert!(history.stopped_early && history.epochs.len() < 80);
            let best = best_epoch(&history) + 1;
            assert!(best < history.epochs.len(), "epoch {best} is not the last");
            assert_eq!(weight_bits(&model), expected(best), "the weights of epoch {best}");
        };
        for keep_first in [true, false] {
            end(&mut Recorder { stop_after_epoch: Some(60), ..Recorder::default() }, keep_first);
            end(
                &mut Recorder { stop_after_batch: Some(60 * 7 + 3), ..Recorder::default() },
                keep_first,
            );
            // Watches a figure that gets better and better, of which it remembers the last.
            end(&mut Impatient { epoch: 60 }, keep_first);
        }
        // A loss that overflows after some epochs.
        let mut keep = KeepBest::new("loss");
        let mut model = article(kernels, Optimizer::sgd(30.0));
        let full = |epochs| FitOptions::new(epochs).full_batch().in_order();
        let error =
            model.fit_blocking(&data, full(50).callback(&mut keep)).expect_err("it diverges");
        let Error::NotFinite { epoch, .. } = error else { panic!("{error:?}") };
        assert!(epoch > 2, "the first epoch is the best, and not the last good one: {error}");
        assert_eq!(weight_bits(&model), run(kernels, &data, Optimizer::sgd(30.0), full(1)).0);
    }
}

/// Remembers the weights of every epoch, and puts the last ones back when it ends training.
struct Impatient {
    epoch: usize,
}

impl Callback for Impatient {
    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        if log.epoch < self.epoch { Signal::Remember } else { Signal::RestoreAndStop }
    }
}

/// Answers with `Wait` after every batch and epoch, and is ready at the third poll.
struct Patient {
    events: Vec<&'static str>,
    end: Signal,
}

impl Callback for Patient {
    fn on_batch_end(&mut self, _: &BatchLog) -> Signal {
        self.events.push("batch");
        Signal::Wait
    }

    fn on_epoch_end(&mut self, _: &EpochLog) -> Signal {
        self.events.push("epoch");
        Signal::Wait
    }

    fn wait(&mut self) -> Wait<'_> {
        let mut polls = 0;
        Box::pin(std::future::poll_fn(move |context| {
            polls += 1;
            if polls < 3 {
                context.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
            self.events.push("waited");
            let is_epoch = self.events.iter().rev().nth(1) == Some(&"epoch");
            std::task::Poll::Ready(if is_epoch { self.end } else { Signal::Continue })
        }))
    }
}

/// Training awaits what a callback waits for, obeys what it comes to, and is the same training.
#[test]
fn training_waits_for_a_callback() {
    let data = article_data(80);
    let compile = || TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
    let train = |callback: Option<&mut Patient>| {
        let mut model = article_net().compile_blocking(&gpu(), compile()).unwrap();
        let fit = FitOptions::new(2).batch_size(40);
        let fit = match callback {
            Some(callback) => fit.callback(callback),
            None => fit,
        };
        let history = model.fit_blocking(&data, fit);
        (history.map(|history| history.batch_losses), model.steps())
    };
    let alone = train(None).0.unwrap();
    let mut patient = Patient { events: Vec::new(), end: Signal::Continue };
    assert_eq!(train(Some(&mut patient)).0.unwrap(), alone);
    let epoch = ["batch", "waited", "batch", "waited", "epoch", "waited"];
    assert_eq!(patient.events, [epoch, epoch].concat());
    let mut patient = Patient { events: Vec::new(), end: Signal::Stop };
    let (losses, steps) = train(Some(&mut patient));
    assert_eq!((losses.unwrap(), steps), (alone[..2].to_vec(), 2));
    let mut patient = Patient { events: Vec::new(), end: Signal::Wait };
    let error = train(Some(&mut patient)).0.unwrap_err();
    assert!(matches!(&error, Error::Argument { value, .. } if value == "Wait"), "{error}");
}
