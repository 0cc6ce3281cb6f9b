//! `fit`, `evaluate` and `predict` on a device, against plain f64 loops and against themselves.

mod common;
mod support;

use std::sync::mpsc;
use std::time::Duration;

use common::gpu;
use support::net::Net;
use support::{bits, close};
use wgrad::data::{Dataset, Targets};
use wgrad::graph::UpdateRule;
use wgrad::nn::{Init, Loss, Metric, Optimizer, Schedule, Sequential};
use wgrad::train::{
    BatchLog, Callback, Compile, EarlyStopping, EpochLog, Fit, History, KeepBest, Model, Residency,
    Signal,
};
use wgrad::{Error, Gpu};

/// The README's data: rows of 10 features, and what there is to learn of them.
fn article_data(rows: usize) -> Dataset {
    let features: Vec<f32> =
        (0..rows * 10).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(10).map(|row| row.iter().sum::<f32>().tanh()).collect();
    Dataset::regression(features, 10, targets, 1).unwrap()
}

/// The README's network.
fn article_net() -> Sequential {
    Sequential::new(10).dense(64).relu().dense(1).seed(42)
}

/// Points in the plane, three classes by their angle.
fn classes(rows: usize) -> Dataset {
    let point = |i: usize| {
        let angle = (i * 37 % 360) as f32 / 57.3;
        let radius = 0.5 + (i * 13 % 50) as f32 / 50.0;
        [radius * angle.cos(), radius * angle.sin()]
    };
    let label = |i: usize| ((i * 37 % 360) / 120) as u32;
    let features = (0..rows).flat_map(point).collect();
    Dataset::classification(features, 2, (0..rows).map(label).collect(), 3).unwrap()
}

fn compile_on(gpu: &Gpu, net: Sequential, loss: Loss, optimizer: Optimizer) -> Model {
    net.compile_blocking(gpu, Compile::new(loss, optimizer)).unwrap()
}

fn article(optimizer: Optimizer) -> Model {
    compile_on(&gpu(), article_net(), Loss::MeanSquaredError, optimizer)
}

/// All parameters, one after another.
fn weights(model: &Model) -> Vec<f32> {
    model.weights_blocking().unwrap().into_iter().flat_map(|(_, values)| values).collect()
}

fn weight_bits(model: &Model) -> Vec<u32> {
    bits(&weights(model))
}

/// A run of the article's net on a fresh model: weights and losses, as bits.
fn run(data: &Dataset, optimizer: Optimizer, fit: Fit) -> (Vec<u32>, Vec<u32>) {
    let mut model = article(optimizer);
    let history = model.fit_blocking(data, fit).unwrap();
    (weight_bits(&model), bits(&history.batch_losses))
}

/// What a test may take: it must end, if only by failing.
fn within<T: Send + 'static>(seconds: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(Duration::from_secs(seconds)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end within {seconds} s"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the work panicked"),
    }
}

/// 10 epochs of 31 batches of 32 rows and a last one of 8: every loss is that of a plain f64 loop.
#[test]
fn every_loss_of_320_steps_is_that_of_the_reference() {
    let data = article_data(1000);
    let optimizer = Optimizer::sgd(0.05);
    let mut model = article(optimizer.clone());
    let history = model.fit_blocking(&data, Fit::new(10).batch_size(32).in_order()).unwrap();
    let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
    let expected = net.train(&data, 10, 32);
    assert_eq!(expected.len(), 320);
    assert!(expected[319] < expected[0] / 5.0, "there is something to learn");
    close("losses", &history.batch_losses, &expected, 1e-5, 0.0);
    // Each parameter is rounded 320 times, and moves by what the losses moved.
    close("weights", &weights(&model), net.parameters(), 1e-5, 1e-5);
    assert_eq!(model.steps(), 320);
    // An epoch's loss is the mean over its rows: the last batch counts a quarter of the others.
    for (epoch, log) in history.epochs.iter().enumerate() {
        let losses = &history.batch_losses[epoch * 32..(epoch + 1) * 32];
        let (full, last) = (&losses[..31], losses[31]);
        let sum: f64 =
            full.iter().map(|&l| 32.0 * f64::from(l)).sum::<f64>() + 8.0 * f64::from(last);
        assert!((log.loss - sum / 1000.0).abs() <= 1e-12, "epoch {}: {}", epoch + 1, log.loss);
        assert_eq!((log.epoch, log.epochs, log.learning_rate), (epoch + 1, 10, 0.05));
    }
    assert!(history.values("loss").windows(2).all(|pair| pair[1] < pair[0]));
}

#[test]
fn batches_of_any_size_follow_the_reference() {
    let data = article_data(75);
    let rules = [
        ("sgd", Optimizer::sgd(0.02)),
        ("nesterov", Optimizer::nesterov(0.01, 0.9).weight_decay(1e-3)),
        ("clipped", Optimizer::momentum(0.02, 0.9).clip_norm(0.5)),
        ("adam", Optimizer::adam(1e-2)),
        ("adamw", Optimizer::adamw(1e-2, 0.05)),
        ("schedule", Optimizer::sgd(0.1).schedule(Schedule::cosine(20, 0.1).warm_up(5))),
    ];
    let nets = || Sequential::new(10).dense(12).tanh().dense(7).sigmoid().dense(1).seed(3);
    for (name, optimizer) in rules {
        for batch in [1, 32, 75, 1000] {
            let epochs = if batch == 1 { 1 } else { 4 };
            let mut model = compile_on(&gpu(), nets(), Loss::MeanSquaredError, optimizer.clone());
            let fit = Fit::new(epochs).batch_size(batch).in_order();
            let history = model.fit_blocking(&data, fit).unwrap();
            let mut net = Net::new(&nets(), Loss::MeanSquaredError, &optimizer);
            let expected = net.train(&data, epochs, batch.min(75));
            let label = format!("{name}, batches of {batch}");
            // Adam divides by the root of small squares, which makes noise of rounding larger.
            close(&label, &history.batch_losses, &expected, 2e-5, 1e-7);
            close(&label, &weights(&model), net.parameters(), 2e-5, 2e-5);
        }
    }
}

#[test]
fn full_batch_is_one_step_per_epoch() {
    let data = article_data(300);
    let full = run(&data, Optimizer::sgd(0.05), Fit::new(5).full_batch().in_order());
    let sized = run(&data, Optimizer::sgd(0.05), Fit::new(5).batch_size(300).in_order());
    assert_eq!(full, sized);
    assert_eq!(full.1.len(), 5);
}

#[test]
fn classification_follows_the_reference() {
    let data = classes(100);
    let net = || Sequential::new(2).dense_with(16, Init::HeUniform).relu().dense(3).seed(5);
    let optimizer = Optimizer::sgd(0.1);
    let compile =
        Compile::new(Loss::SoftmaxCrossEntropy, optimizer.clone()).metric(Metric::Accuracy);
    let mut model = net().compile_blocking(&gpu(), compile).unwrap();
    let history = model.fit_blocking(&data, Fit::new(8).batch_size(16).in_order()).unwrap();
    let mut reference = Net::new(&net(), Loss::SoftmaxCrossEntropy, &optimizer);
    close("losses", &history.batch_losses, &reference.train(&data, 8, 16), 1e-5, 0.0);
    close("weights", &weights(&model), reference.parameters(), 1e-5, 1e-5);
    let accuracy = history.values("accuracy");
    assert!(accuracy.iter().all(|a| (0.0..=1.0).contains(a)) && accuracy[7] > 0.7, "{accuracy:?}");
}

/// Where the rows lie has no influence on a single bit.
#[test]
fn streamed_is_resident_bit_for_bit() {
    let data = article_data(333);
    for shuffled in [false, true] {
        for batch in [1, 10, 333] {
            let fit = |residency| {
                let fit = Fit::new(2).batch_size(batch).residency(residency);
                if shuffled { fit.shuffle(9) } else { fit.in_order() }
            };
            let optimizer = || Optimizer::adam(1e-3);
            let resident = run(&data, optimizer(), fit(Residency::Resident));
            let streamed = run(&data, optimizer(), fit(Residency::Streamed));
            let auto = run(&data, optimizer(), fit(Residency::Auto));
            assert_eq!(resident, streamed, "batches of {batch}, shuffled: {shuffled}");
            assert_eq!(resident, auto);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let data = article_data(500);
    let once = |seed| run(&data, Optimizer::adam(1e-3), Fit::new(3).shuffle(seed));
    let first = once(1);
    assert_eq!(first, once(1));
    assert_ne!(first.1, once(2).1, "another order has other losses");
    // The order changes nothing of what is summed in a full batch but the rounding.
    let full = |fit: Fit| {
        let mut model = article(Optimizer::sgd(0.05));
        model.fit_blocking(&data, fit.full_batch()).unwrap().batch_losses
    };
    let (ordered, shuffled) = (full(Fit::new(3).in_order()), full(Fit::new(3).shuffle(1)));
    close("full batches", &shuffled, &support::f64s(&ordered), 1e-5, 0.0);
    // Epochs differ in their order.
    let mut model = article(Optimizer::sgd(1e-30));
    let losses = model.fit_blocking(&data, Fit::new(2).batch_size(50).shuffle(1)).unwrap();
    assert_ne!(losses.batch_losses[..10], losses.batch_losses[10..]);
    let [first, second] = [0, 1].map(|epoch| losses.epochs[epoch].loss);
    assert!((first - second).abs() < 1e-6, "each epoch sees every row once");
}

/// Training goes on where it stopped: states of the optimizer, steps and schedule included.
#[test]
fn fit_goes_on_where_it_stopped() {
    let data = article_data(100);
    let optimizer = || Optimizer::adam(1e-2).schedule(Schedule::cosine(30, 0.1));
    let fit = |epochs| Fit::new(epochs).batch_size(32).in_order();
    let (whole, _) = run(&data, optimizer(), fit(5));
    let mut model = article(optimizer());
    model.fit_blocking(&data, fit(2)).unwrap();
    let history = model.fit_blocking(&data, fit(3)).unwrap();
    assert_eq!(weight_bits(&model), whole);
    assert_eq!(model.steps(), 20);
    let last = Optimizer::adam(1e-2).schedule(Schedule::cosine(30, 0.1)).learning_rate_at(19);
    assert_eq!(history.last().unwrap().learning_rate, last);
}

/// A loop of one's own does what `fit` does.
#[test]
fn a_loop_of_ones_own_is_fit() {
    let data = article_data(100);
    let (expected, losses) =
        run(&data, Optimizer::adam(1e-2), Fit::new(2).batch_size(32).in_order());
    let mut model = article(Optimizer::adam(1e-2));
    let mut trainer = pollster::block_on(model.trainer(&data, 32, Residency::Resident)).unwrap();
    let mut found = Vec::new();
    for _ in 0..2 {
        let batches = trainer.batches();
        pollster::block_on(trainer.submit(0..batches, |batch| model.next_step(batch as u64)))
            .unwrap();
        let results = pollster::block_on(trainer.results()).unwrap().unwrap();
        assert_eq!(results.iter().map(|r| r.rows).collect::<Vec<_>>(), [32, 32, 32, 4]);
        model.completed(results.len() as u64);
        found.extend(results.iter().map(|result| result.loss));
    }
    assert_eq!(bits(&found), losses);
    assert_eq!(weight_bits(&model), expected);
    assert!(pollster::block_on(trainer.results()).unwrap().is_none());
}

/// The weights after exactly `steps` steps over `data` in batches of `batch` rows, in order.
fn weights_after(mut model: Model, data: &Dataset, batch: usize, steps: u64) -> Vec<u32> {
    let mut trainer = pollster::block_on(model.trainer(data, batch, Residency::Resident)).unwrap();
    for step in 0..steps {
        let at = step as usize % trainer.batches();
        pollster::block_on(trainer.submit(at..at + 1, |_| model.next_step(0))).unwrap();
        pollster::block_on(trainer.results()).unwrap();
        model.completed(1);
    }
    drop(trainer);
    weight_bits(&model)
}

/// A loss that overflows: the error says where, and the weights are those before it.
#[test]
fn a_loss_that_is_not_finite_stops_training() {
    let data = article_data(100);
    let model = || article(Optimizer::sgd(30.0));
    let mut diverging = model();
    let fit = || Fit::new(50).batch_size(32).in_order();
    let error = diverging.fit_blocking(&data, fit()).expect_err("it diverges");
    let Error::NotFinite { step, epoch, loss } = error else { panic!("{error:?}") };
    assert!(!loss.is_finite(), "{loss}");
    assert!(step > 1, "some steps were good");
    assert_eq!(epoch as u64, step / 4 + 1, "step {step} of 4 a epoch");
    assert_eq!(diverging.steps(), step);
    let kept = weights(&diverging);
    assert!(kept.iter().all(|w| w.is_finite()));
    assert_eq!(bits(&kept), weights_after(model(), &data, 32, step), "after {step} steps");
    let text = Error::NotFinite { step, epoch, loss }.to_string();
    for part in [step.to_string(), epoch.to_string(), "learning rate".into()] {
        assert!(text.contains(&part), "{text}");
    }
    // The model can be used on: it predicts, it is evaluated, and with other weights it trains.
    let outputs = diverging.predict_blocking(data.row(0).unwrap()).unwrap();
    assert_eq!(outputs.len(), 1);
    let start: Vec<Vec<f32>> =
        article_net().parameters().into_iter().map(|spec| spec.initial).collect();
    diverging.set_weights(&start).unwrap();
    let history = diverging.fit_blocking(&data, Fit::new(1).full_batch().in_order()).unwrap();
    assert!(history.batch_losses[0].is_finite());
    assert_eq!(diverging.steps(), step + 1);
}

/// One batch overflows, those after it do not: they must not train all the same.
#[test]
fn nothing_trains_after_a_bad_step() {
    let (features, width, targets) = article_data(160).into_parts();
    let Targets::Values { data: mut values, .. } = targets else { panic!("values") };
    values[70] = 1e30; // its square is no f32
    let data = Dataset::regression(features, width, values, 1).unwrap();
    let rules = [Optimizer::sgd(0.05), Optimizer::momentum(0.05, 0.9), Optimizer::adam(1e-2)];
    for optimizer in rules {
        for clipped in [false, true] {
            let optimizer = optimizer.clone();
            let optimizer = if clipped { optimizer.clip_norm(1.0) } else { optimizer };
            let mut model = article(optimizer.clone());
            let fit = Fit::new(3).batch_size(32).in_order();
            let error = model.fit_blocking(&data, fit).expect_err("a square of 1e60");
            let Error::NotFinite { step: 2, epoch: 1, loss } = error else { panic!("{error:?}") };
            assert_eq!(loss, f32::INFINITY);
            let expected = weights_after(article(optimizer.clone()), &data, 32, 2);
            assert_eq!(weight_bits(&model), expected, "{optimizer:?}");
        }
    }
}

/// The same with a callback, with shuffling and with streaming: the host is then not ahead of the
/// device, or draws other rows; the weights still are those before the bad step.
#[test]
fn not_finite_is_found_however_the_rows_come() {
    struct Quiet;
    impl Callback for Quiet {}
    let data = article_data(100);
    for streamed in [false, true] {
        let mut model = article(Optimizer::sgd(30.0));
        let residency = if streamed { Residency::Streamed } else { Residency::Resident };
        let mut quiet = Quiet;
        let fit = Fit::new(50).batch_size(32).shuffle(3).residency(residency).callback(&mut quiet);
        let error = model.fit_blocking(&data, fit).expect_err("it diverges");
        let Error::NotFinite { step, epoch, .. } = error else { panic!("{error:?}") };
        assert_eq!((epoch as u64, model.steps()), (step / 4 + 1, step));
        assert!(weights(&model).iter().all(|w| w.is_finite()));
    }
}

/// The loss is finite, but a step would take parameters out of range: those keep their values, and
/// the error says so.
#[test]
fn a_parameter_that_is_not_finite_stops_training() {
    // Targets around 1000: with this rate some parameters would pass f32's 3.4e38, most would not.
    let (features, width, targets) = article_data(64).into_parts();
    let Targets::Values { data: values, .. } = targets else { panic!("values") };
    let values = values.iter().map(|t| 1000.0 * t).collect();
    let data = Dataset::regression(features, width, values, 1).unwrap();
    for optimizer in [Optimizer::sgd(1e37), Optimizer::momentum(1e37, 0.5)] {
        let mut model = article(optimizer);
        let start = weight_bits(&model);
        let fit = Fit::new(3).batch_size(32).in_order();
        let error = model.fit_blocking(&data, fit).expect_err("parameters beyond 1e39");
        let Error::NotFinite { step, epoch, loss } = error else { panic!("{error:?}") };
        let kept = weights(&model);
        assert!(kept.iter().all(|w| w.is_finite()));
        assert_eq!((step, epoch), (0, 1));
        // Those that would overflow kept their value, the others took step 0; no later step moved any.
        let net = Net::new(&article_net(), Loss::MeanSquaredError, &Optimizer::sgd(0.05));
        let (expected, gradient) = net.loss_and_gradient(&data, &(0..32).collect::<Vec<_>>());
        let mut overflowed = 0;
        for (i, (&kept, gradient)) in kept.iter().zip(gradient).enumerate() {
            let step = -1e37 * gradient;
            if step.abs() > 1.001 * f64::from(f32::MAX) {
                overflowed += 1;
                assert_eq!(kept.to_bits(), start[i], "parameter {i} would be {step:e}");
            } else if step.abs() < 0.999 * f64::from(f32::MAX) {
                let off = (f64::from(kept) - f64::from(f32::from_bits(start[i])) - step).abs();
                assert!(off <= 1e-4 * step.abs() + 1e33, "parameter {i}: {kept:e}, not {step:e}");
            }
        }
        assert!(overflowed > 0);
        close("the loss of step 0", &[loss], &[expected], 1e-5, 0.0);
    }
}

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
    let data = article_data(80);
    let mut recorder = Recorder::default();
    let compile = Compile::new(Loss::MeanSquaredError, Optimizer::sgd(0.05))
        .metric(Metric::MeanAbsoluteError);
    let mut model = article_net().compile_blocking(&gpu(), compile).unwrap();
    let fit = Fit::new(2).batch_size(32).in_order().callback(&mut recorder);
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
        assert!((log.epoch_loss - expected).abs() < 1e-12);
    }
    assert_eq!(recorder.epochs, history.epochs);
    // Watching changes nothing of the result.
    let (plain, _) = run(&data, Optimizer::sgd(0.05), Fit::new(2).batch_size(32).in_order());
    assert_eq!(weight_bits(&model), plain);
}

#[test]
fn callbacks_stop_training() {
    let data = article_data(80);
    let fit = |recorder: &mut Recorder| {
        let mut model = article(Optimizer::sgd(0.05));
        let fit = Fit::new(5).batch_size(32).in_order().callback(recorder);
        let history = model.fit_blocking(&data, fit).unwrap();
        (history, weight_bits(&model), model.steps())
    };
    let mut recorder = Recorder { stop_after_epoch: Some(2), ..Recorder::default() };
    let (history, weights, steps) = fit(&mut recorder);
    assert!(history.stopped_early);
    assert_eq!((history.epochs.len(), steps), (2, 6));
    assert_eq!(recorder.events[recorder.events.len() - 2..], ["epoch 2", "end"]);
    assert_eq!(weights, run(&data, Optimizer::sgd(0.05), Fit::new(2).batch_size(32).in_order()).0);
    // In the middle of an epoch: what is under way is finished, the epoch has no entry.
    let mut recorder = Recorder { stop_after_batch: Some(4), ..Recorder::default() };
    let (history, _, steps) = fit(&mut recorder);
    assert!(history.stopped_early);
    assert!((4..=6).contains(&steps), "{steps} steps");
    assert_eq!(history.batch_losses.len() as u64, steps);
    assert!(!recorder.events.contains(&"batch 3.1".to_string()), "{:?}", recorder.events);
    assert_eq!(recorder.events.last().unwrap(), "end");
}

/// Callbacks hear of an end by an error, too.
#[test]
fn callbacks_hear_of_every_end() {
    let mut recorder = Recorder::default();
    let mut model = article(Optimizer::sgd(30.0));
    let fit = Fit::new(50).batch_size(32).in_order().callback(&mut recorder);
    model.fit_blocking(&article_data(100), fit).expect_err("it diverges");
    assert_eq!(recorder.events.iter().filter(|event| *event == "end").count(), 1);
    assert_eq!(recorder.events.last().unwrap(), "end");
}

/// Callbacks are called in the order in which they were added, each batch and epoch.
#[test]
fn several_callbacks_take_turns() {
    use std::cell::RefCell;
    use std::rc::Rc;
    struct Named(&'static str, Rc<RefCell<Vec<String>>>);
    impl Callback for Named {
        fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
            self.1.borrow_mut().push(format!("{}{}", self.0, log.batch));
            Signal::Continue
        }
        fn on_epoch_end(&mut self, _: &EpochLog) -> Signal {
            self.1.borrow_mut().push(format!("{}!", self.0));
            Signal::Continue
        }
    }
    let calls = Rc::new(RefCell::new(Vec::new()));
    let (mut a, mut b) = (Named("a", calls.clone()), Named("b", calls.clone()));
    let fit = Fit::new(1).batch_size(32).callback(&mut a).callback(&mut b);
    article(Optimizer::sgd(0.05)).fit_blocking(&article_data(64), fit).unwrap();
    assert_eq!(*calls.borrow(), ["a1", "b1", "a2", "b2", "a!", "b!"]);
}

/// Targets of which a net that learns others' comes near first, and then away from.
fn passing_by() -> (Dataset, Dataset) {
    let data = article_data(200);
    let (features, width, targets) = article_data(100).into_parts();
    let Targets::Values { data: values, .. } = targets else { panic!("values") };
    let halves = values.iter().map(|t| 0.6 * t).collect();
    (data, Dataset::regression(features, width, halves, 1).unwrap())
}

/// Position of the least, from 0.
fn best_epoch(history: &History) -> usize {
    let losses = history.values("val_loss");
    (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap()
}

#[test]
fn early_stopping_puts_the_best_weights_back() {
    let (data, validation) = passing_by();
    let patience = 3;
    let mut stopping = EarlyStopping::new("val_loss", patience);
    let mut model = article(Optimizer::sgd(0.02));
    let fit = |epochs| Fit::new(epochs).batch_size(32).in_order();
    let history = model
        .fit_blocking(&data, fit(100).validation(&validation).callback(&mut stopping))
        .unwrap();
    let best = best_epoch(&history) + 1;
    assert!(history.stopped_early && history.epochs.len() < 100);
    assert!(best > 1, "the first epoch is not the best: {:?}", history.values("val_loss"));
    assert!(history.epochs.len() > best, "it waited");
    assert!(history.epochs.len() <= best + patience + 1, "but not for long");
    let (expected, _) = run(&data, Optimizer::sgd(0.02), fit(best));
    assert_eq!(weight_bits(&model), expected, "the weights of epoch {best}");
    // Evaluating now gives the best loss again.
    let evaluation = model.evaluate_blocking(&validation).unwrap();
    assert_eq!(evaluation.loss, history.values("val_loss")[best - 1]);
}

#[test]
fn keep_best_leaves_the_best_weights() {
    let (data, validation) = passing_by();
    let mut keep = KeepBest::new("val_loss");
    let mut model = article(Optimizer::sgd(0.02));
    let fit = |epochs| Fit::new(epochs).batch_size(32).in_order();
    let history =
        model.fit_blocking(&data, fit(80).validation(&validation).callback(&mut keep)).unwrap();
    assert_eq!(history.epochs.len(), 80, "it stops nothing");
    assert!(!history.stopped_early);
    let best = best_epoch(&history);
    assert!(best > 0 && best < 79, "best epoch {best}");
    let (expected, _) = run(&data, Optimizer::sgd(0.02), fit(best + 1));
    assert_eq!(weight_bits(&model), expected);
    assert_eq!(keep.best(), Some(history.values("val_loss")[best]));
}

/// Whatever ends training (another callback at an epoch's end or within an epoch, a callback that puts
/// weights of its own back, a loss that is not finite), the best weights are what is left.
#[test]
fn keep_best_survives_every_end() {
    let (data, validation) = passing_by();
    let fit = |epochs| Fit::new(epochs).batch_size(32).in_order();
    let expected = |best| run(&data, Optimizer::sgd(0.02), fit(best)).0;
    let end = |stopper: &mut dyn Callback, keep_first: bool| {
        let mut keep = KeepBest::new("val_loss");
        let mut model = article(Optimizer::sgd(0.02));
        let fit = fit(80).validation(&validation);
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
        end(&mut Recorder { stop_after_batch: Some(60 * 7 + 3), ..Recorder::default() }, keep_first);
        // Watches a figure that gets better and better, of which it remembers the last.
        end(&mut Impatient { epoch: 60 }, keep_first);
    }
    // A loss that overflows after some epochs.
    let mut keep = KeepBest::new("loss");
    let mut model = article(Optimizer::sgd(30.0));
    let full = |epochs| Fit::new(epochs).full_batch().in_order();
    let error = model.fit_blocking(&data, full(50).callback(&mut keep)).expect_err("it diverges");
    let Error::NotFinite { epoch, .. } = error else { panic!("{error:?}") };
    assert!(epoch > 2, "the first epoch is the best, and not the last good one: {error}");
    assert_eq!(weight_bits(&model), run(&data, Optimizer::sgd(30.0), full(1)).0);
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

#[test]
fn validation_is_evaluation_after_the_epoch() {
    let (data, validation) = passing_by();
    let compile = || {
        Compile::new(Loss::MeanSquaredError, Optimizer::sgd(0.02))
            .metric(Metric::RSquared)
            .metric(Metric::MeanAbsoluteError)
    };
    let mut model = article_net().compile_blocking(&gpu(), compile()).unwrap();
    let fit = || Fit::new(3).batch_size(32).in_order();
    let history = model.fit_blocking(&data, fit().validation(&validation)).unwrap();
    let last = history.last().unwrap().validation.clone().unwrap();
    assert_eq!(model.evaluate_blocking(&validation).unwrap(), last);
    assert_eq!(last.rows, 100);
    for name in ["val_loss", "val_r_squared", "val_mean_absolute_error"] {
        assert_eq!(history.values(name).len(), 3, "{name}");
    }
    // A split holds out the last rows, before any shuffling.
    let mut split = article_net().compile_blocking(&gpu(), compile()).unwrap();
    let history = split.fit_blocking(&data, fit().validation_split(0.25)).unwrap();
    let (first, rest) = data.split_at(150).unwrap();
    let mut by_hand = article_net().compile_blocking(&gpu(), compile()).unwrap();
    let same = by_hand.fit_blocking(&first, fit().validation(&rest)).unwrap();
    assert_eq!(weight_bits(&split), weight_bits(&by_hand));
    assert_eq!(history.values("val_loss"), same.values("val_loss"));
    assert_eq!(history.last().unwrap().validation.as_ref().unwrap().rows, 50);
}

/// Evaluation neither moves a parameter nor a state of the optimizer.
#[test]
fn evaluation_moves_nothing() {
    let data = article_data(100);
    let fit = |epochs| Fit::new(epochs).batch_size(32).in_order();
    let mut model = article(Optimizer::adam(1e-2));
    model.fit_blocking(&data, fit(1)).unwrap();
    let before = weight_bits(&model);
    model.evaluate_blocking(&data).unwrap();
    model.predict_blocking(data.features()).unwrap();
    assert_eq!(weight_bits(&model), before);
    model.fit_blocking(&data, fit(1)).unwrap();
    let (expected, _) = run(&data, Optimizer::adam(1e-2), fit(2));
    assert_eq!(weight_bits(&model), expected);
}

/// Predictions are the forward pass of the weights, whatever the number of rows.
#[test]
fn predictions_are_the_forward_pass_of_the_weights() {
    let data = article_data(1025);
    let optimizer = Optimizer::sgd(0.05);
    let mut model = article(optimizer.clone());
    model.fit_blocking(&data, Fit::new(2)).unwrap();
    let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
    net.set_parameters(&model.weights_blocking().unwrap());
    let all = model.predict_blocking(data.features()).unwrap();
    close("1025 rows", &all, &net.predict(data.features()), 1e-5, 1e-6);
    // One row at a time, and rows in blocks, are the same.
    for rows in [1, 2, 3, 100, 1024] {
        let some = model.predict_blocking(&data.features()[..rows * 10]).unwrap();
        close(&format!("{rows} rows"), &some, &support::f64s(&all[..rows]), 1e-6, 1e-7);
    }
}

#[test]
fn regression_metrics_are_those_of_the_predictions() {
    // More rows than an evaluation's batch, two targets of different means.
    let (features, width, targets) = article_data(1500).into_parts();
    let Targets::Values { data: values, .. } = targets else { panic!("values") };
    let pairs = values.iter().flat_map(|&t| [t, 3.0 - 2.0 * t * t]).collect();
    let data = Dataset::regression(features, width, pairs, 2).unwrap();
    let net = Sequential::new(10).dense(16).tanh().dense(2);
    for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError, Loss::Huber { delta: 0.5 }] {
        let compile = Compile::new(loss, Optimizer::adam(1e-2))
            .metric(Metric::RSquared)
            .metric(Metric::MeanAbsoluteError);
        let mut model = net.clone().compile_blocking(&gpu(), compile).unwrap();
        model.fit_blocking(&data, Fit::new(2)).unwrap();
        let found = model.evaluate_blocking(&data).unwrap();
        let predictions = support::f64s(&model.predict_blocking(data.features()).unwrap());
        let Targets::Values { data: targets, .. } = data.targets() else { panic!("values") };
        let targets = support::f64s(targets);
        let errors: Vec<f64> = predictions.iter().zip(&targets).map(|(p, t)| p - t).collect();
        let n = errors.len() as f64;
        let mean = |f: &dyn Fn(f64) -> f64| errors.iter().map(|&e| f(e)).sum::<f64>() / n;
        let expected_loss = match loss {
            Loss::MeanSquaredError => mean(&|e| e * e),
            Loss::MeanAbsoluteError => mean(&f64::abs),
            _ => mean(&|e| if e.abs() <= 0.5 { e * e / 2.0 } else { 0.5 * (e.abs() - 0.25) }),
        };
        let column_mean = |c: usize| targets.iter().skip(c).step_by(2).sum::<f64>() / 1500.0;
        let means = [column_mean(0), column_mean(1)];
        let total: f64 = targets.iter().enumerate().map(|(i, t)| (t - means[i % 2]).powi(2)).sum();
        let residual: f64 = errors.iter().map(|e| e * e).sum();
        let near = |name: &str, found: f64, expected: f64| {
            assert!(
                (found - expected).abs() <= 1e-5 * expected.abs().max(1.0),
                "{loss:?}, {name}: {found}, not {expected}"
            );
        };
        near("loss", found.loss, expected_loss);
        near("R²", found.metric(Metric::RSquared).unwrap(), 1.0 - residual / total);
        near("MAE", found.metric(Metric::MeanAbsoluteError).unwrap(), mean(&f64::abs));
        assert_eq!((found.rows, found.metric(Metric::Accuracy)), (1500, None));
    }
}

#[test]
fn accuracy_is_that_of_the_predictions() {
    let data = classes(1100);
    let net = Sequential::new(2).dense(8).tanh().dense(3);
    let compile =
        Compile::new(Loss::SoftmaxCrossEntropy, Optimizer::adam(1e-2)).metric(Metric::Accuracy);
    let mut model = net.compile_blocking(&gpu(), compile).unwrap();
    model.fit_blocking(&data, Fit::new(1)).unwrap();
    let Targets::Classes { labels, .. } = data.targets() else { panic!("classes") };
    let outputs = model.predict_blocking(data.features()).unwrap();
    let found = model.predict_classes_blocking(data.features()).unwrap();
    let probabilities = model.predict_probabilities_blocking(data.features()).unwrap();
    for ((row, &class), p) in outputs.chunks(3).zip(&found).zip(probabilities.chunks(3)) {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(row.iter().position(|&z| z == largest), Some(class as usize));
        let powers: Vec<f64> = row.iter().map(|&z| f64::from(z).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let expected: Vec<f64> = powers.iter().map(|p| p / sum).collect();
        close("probabilities", p, &expected, 1e-5, 1e-7);
    }
    let hits = found.iter().zip(labels).filter(|(a, b)| a == b).count();
    let accuracy = hits as f64 / 1100.0;
    assert!((0.4..1.0).contains(&accuracy), "{accuracy} proves something");
    assert_eq!(model.evaluate_blocking(&data).unwrap().metric(Metric::Accuracy), Some(accuracy));

    // Binary: a logit per row, right where its sign is the label's.
    let binary: Vec<f32> = labels.iter().map(|&c| f32::from(u8::from(c == 1))).collect();
    let data = Dataset::regression(data.features().to_vec(), 2, binary.clone(), 1).unwrap();
    let compile =
        Compile::new(Loss::BinaryCrossEntropy, Optimizer::adam(1e-2)).metric(Metric::Accuracy);
    let mut model =
        Sequential::new(2).dense(8).tanh().dense(1).compile_blocking(&gpu(), compile).unwrap();
    model.fit_blocking(&data, Fit::new(2)).unwrap();
    let outputs = model.predict_blocking(data.features()).unwrap();
    let hits = outputs.iter().zip(&binary).filter(|&(&z, &t)| (z > 0.0) == (t > 0.5)).count();
    let found = model.evaluate_blocking(&data).unwrap();
    assert_eq!(found.metric(Metric::Accuracy), Some(hits as f64 / 1100.0));
    let probabilities = model.predict_probabilities_blocking(data.features()).unwrap();
    let expected: Vec<f64> = outputs.iter().map(|&z| 1.0 / (1.0 + f64::from(-z).exp())).collect();
    close("sigmoids", &probabilities, &expected, 1e-5, 1e-7);
}

#[test]
fn weights_go_out_and_in() {
    let data = article_data(64);
    let mut model = article(Optimizer::sgd(0.05));
    model.fit_blocking(&data, Fit::new(1)).unwrap();
    let saved = model.weights_blocking().unwrap();
    let names: Vec<&str> = saved.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dense_0.weight", "dense_0.bias", "dense_2.weight", "dense_2.bias"]);
    let predictions = model.predict_blocking(data.features()).unwrap();
    let mut other = article(Optimizer::sgd(0.05));
    assert_ne!(weight_bits(&other), weight_bits(&model));
    let values: Vec<Vec<f32>> = saved.into_iter().map(|(_, values)| values).collect();
    other.set_weights(&values).unwrap();
    assert_eq!(weight_bits(&other), weight_bits(&model));
    assert_eq!(bits(&other.predict_blocking(data.features()).unwrap()), bits(&predictions));
    // A set that does not fit changes nothing.
    for wrong in [
        values[..3].to_vec(),
        {
            let mut short = values.clone();
            short[2].pop();
            short
        },
        {
            let mut nan = values.clone();
            nan[3][0] = f32::NAN;
            nan[0][0] = 7.0;
            nan
        },
    ] {
        assert!(matches!(other.set_weights(&wrong), Err(Error::Argument { .. })));
        assert_eq!(weight_bits(&other), weight_bits(&model));
    }
}

/// A device of the caller's, with default limits and no features.
fn callers_device() -> (wgpu::Device, wgpu::Queue) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    // The adapter that the tests run on.
    let name = gpu().info().name.clone();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == name);
    let adapter = adapter.expect("the adapter of the tests");
    pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))
        .expect("a device")
}

#[test]
fn a_callers_device_gives_the_same_bits() {
    let (device, queue) = callers_device();
    assert_eq!(device.features(), wgpu::Features::empty());
    let lent = Gpu::from_device(&device, &queue);
    let data = article_data(200);
    let run_on = |gpu: &Gpu| {
        let mut model =
            compile_on(gpu, article_net(), Loss::MeanSquaredError, Optimizer::adam(1e-2));
        let history = model.fit_blocking(&data, Fit::new(3).shuffle(4)).unwrap();
        (weight_bits(&model), bits(&history.batch_losses))
    };
    assert_eq!(run_on(&lent), run_on(&gpu()));
}

/// Destroys the device after some batches.
struct Destroyer(wgpu::Device, u64);

impl Callback for Destroyer {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if log.step == self.1 {
            self.0.destroy();
        }
        Signal::Continue
    }
}

/// Training on a device that goes away ends with an error, soon, and so does everything after it.
fn lose(gpu: Gpu) -> (Error, Vec<Error>) {
    within(60, move || {
        let data = article_data(300);
        let mut model =
            compile_on(&gpu, article_net(), Loss::MeanSquaredError, Optimizer::sgd(0.05));
        let mut destroyer = Destroyer(gpu.device().clone(), 40);
        let fit = Fit::new(50).batch_size(32).callback(&mut destroyer);
        let first = model.fit_blocking(&data, fit).expect_err("the device is gone");
        let row = data.row(0).unwrap();
        let mut later = vec![
            model.fit_blocking(&data, Fit::new(1)).expect_err("fit"),
            model.predict_blocking(row).expect_err("predict"),
            model.evaluate_blocking(&data).expect_err("evaluate"),
            model.weights_blocking().expect_err("weights"),
        ];
        let compile = Compile::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
        later.push(article_net().compile_blocking(&gpu, compile).map(drop).expect_err("compile"));
        (first, later)
    })
}

#[test]
fn losing_the_own_device_is_an_error() {
    let (first, later) = lose(Gpu::new_blocking().unwrap());
    for error in std::iter::once(&first).chain(&later) {
        assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
        assert!(error.to_string().contains("lost"), "{error}");
    }
}

#[test]
fn losing_a_callers_device_is_an_error() {
    let (device, queue) = callers_device();
    let (first, later) = lose(Gpu::from_device(&device, &queue));
    // The caller's device-lost callback is the caller's: what a call is refused with may be all
    // that is known. It is an error in any case.
    for error in std::iter::once(&first).chain(&later) {
        let fits = matches!(error, Error::DeviceLost { .. } | Error::Validation { .. });
        assert!(fits, "{error:?}");
    }
}

/// The caller's error handler and device-lost callback stay the caller's.
#[test]
fn a_callers_callbacks_are_left_alone() {
    let (device, queue) = callers_device();
    let (sender, receiver) = mpsc::channel();
    device.set_device_lost_callback(move |reason, _| {
        let _ = sender.send(reason);
    });
    let gpu = Gpu::from_device(&device, &queue);
    let mut model = compile_on(&gpu, article_net(), Loss::MeanSquaredError, Optimizer::sgd(0.05));
    model.fit_blocking(&article_data(64), Fit::new(1)).unwrap();
    device.destroy();
    let _ = device.poll(wgpu::PollType::Poll);
    assert_eq!(
        receiver.recv_timeout(Duration::from_secs(10)),
        Ok(wgpu::DeviceLostReason::Destroyed)
    );
}

/// What is larger than the device allows is refused before anything runs, and leaves the device in
/// order.
#[test]
fn too_large_is_an_error() {
    let gpu = gpu();
    let allowed = gpu.target().max_tensor_bytes();
    let units = 1 << 16;
    let inputs = usize::try_from(allowed / 4 / units + 1).unwrap();
    let net = Sequential::new(4).dense(1);
    let mut small = compile_on(&gpu, net, Loss::MeanSquaredError, Optimizer::sgd(0.05));
    if inputs < 1 << 14 {
        // The initial weights alone are drawn on the host: only where they fit it.
        let net = Sequential::new(inputs).dense_with(units as usize, Init::Zeros);
        let compile = Compile::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
        let error = net.compile_blocking(&gpu, compile).map(drop).expect_err("too large");
        assert!(matches!(error, Error::Limit { .. }), "{error:?}");
        assert!(error.to_string().contains("dense_0.weight"), "{error}");
    }
    assert_eq!(small.predict_blocking(&[1.0; 4]).unwrap().len(), 1);
}

/// Rules with parameters of their own are taken by `fit` as they are by graphs.
#[test]
fn any_rule_trains() {
    let data = article_data(64);
    let rule = UpdateRule::Adam {
        beta1: 0.8,
        beta2: 0.95,
        epsilon: 1e-3,
        weight_decay: 0.01,
        decoupled: true,
    };
    let optimizer = Optimizer::new(rule, 0.01);
    let mut model = article(optimizer.clone());
    let history = model.fit_blocking(&data, Fit::new(10).batch_size(20).in_order()).unwrap();
    let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
    close("losses", &history.batch_losses, &net.train(&data, 10, 20), 1e-5, 1e-6);
}
