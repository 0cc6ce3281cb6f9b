//! `fit` and loops of one's own against plain f64 loops and against themselves, with the general kernels
//! and with the whole-step one.

use crate::common::gpu;
use crate::common::training::{
    article, article_data, article_net, classes, compile_on, kinds, run, weight_bits, weights,
};
use crate::support;
use crate::support::net::Net;
use crate::support::{bits, close};
use approx::abs_diff_eq;
use wgrad::graph::UpdateRule;
use wgrad::nn::{Init, LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, Residency, TrainingConfig};

/// 10 epochs of 31 batches of 32 rows and a last one of 8: every loss is that of a plain f64 loop.
#[test]
fn every_loss_of_320_steps_is_that_of_the_reference() {
    for kernels in kinds() {
        let data = article_data(1000);
        let optimizer = Optimizer::sgd(0.05);
        let mut model = article(kernels, optimizer.clone());
        let history =
            model.fit_blocking(&data, FitOptions::new(10).batch_size(32).in_order()).unwrap();
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
            assert!(
                abs_diff_eq!(log.loss, sum / 1000.0, epsilon = 1e-12),
                "epoch {}: {}",
                epoch + 1,
                log.loss
            );
            assert_eq!((log.epoch, log.epochs, log.learning_rate), (epoch + 1, 10, 0.05));
        }
        assert!(history.values("loss").unwrap().windows(2).all(|pair| pair[1] < pair[0]));
    }
}

#[test]
fn batches_of_any_size_follow_the_reference() {
    for (place, kernels) in kinds().enumerate() {
        let data = article_data(75);
        let rules = [
            ("sgd", Optimizer::sgd(0.02)),
            ("nesterov", Optimizer::nesterov(0.01, 0.9).weight_decay(1e-3)),
            ("clipped", Optimizer::momentum(0.02, 0.9).clip_norm(0.5)),
            ("adam", Optimizer::adam(1e-2)),
            ("adamw", Optimizer::adamw(1e-2, 0.05)),
            ("rmsprop", Optimizer::rmsprop(1e-3).weight_decay(0.01)),
            ("adagrad", Optimizer::adagrad(1e-2).weight_decay(0.01)),
            (
                "schedule",
                Optimizer::sgd(0.1).schedule(LearningRateSchedule::cosine(20, 0.1).warm_up(5)),
            ),
        ];
        let nets = || Sequential::new(10).dense(12).tanh().dense(7).sigmoid().dense(1).seed(3);
        for (number, (name, optimizer)) in rules.into_iter().enumerate() {
            // Each rule with two of them in turn.
            for batch in [[1, 75], [32, 1000]][(number + place) % 2] {
                let epochs = if batch == 1 { 1 } else { 4 };
                let mut model =
                    compile_on(kernels, &gpu(), nets(), Loss::MeanSquaredError, optimizer.clone());
                let fit = FitOptions::new(epochs).batch_size(batch).in_order();
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
}

#[test]
fn full_batch_is_one_step_per_epoch() {
    for kernels in kinds() {
        let data = article_data(300);
        let full =
            run(kernels, &data, Optimizer::sgd(0.05), FitOptions::new(5).full_batch().in_order());
        let sized = run(
            kernels,
            &data,
            Optimizer::sgd(0.05),
            FitOptions::new(5).batch_size(300).in_order(),
        );
        assert_eq!(full, sized);
        assert_eq!(full.1.len(), 5);
    }
}

#[test]
fn classification_follows_the_reference() {
    for kernels in kinds() {
        let data = classes(100);
        let net = || Sequential::new(2).dense_with(16, Init::HeUniform).relu().dense(3).seed(5);
        let optimizer = Optimizer::sgd(0.1);
        let compile = TrainingConfig::new(Loss::SoftmaxCrossEntropy, optimizer.clone())
            .kernels(kernels)
            .metric(Metric::Accuracy);
        let mut model = net().compile_blocking(&gpu(), compile).unwrap();
        let history =
            model.fit_blocking(&data, FitOptions::new(8).batch_size(16).in_order()).unwrap();
        let mut reference = Net::new(&net(), Loss::SoftmaxCrossEntropy, &optimizer);
        close("losses", &history.batch_losses, &reference.train(&data, 8, 16), 1e-5, 0.0);
        close("weights", &weights(&model), reference.parameters(), 1e-5, 1e-5);
        let accuracy = history.values("accuracy").unwrap();
        assert!(
            accuracy.iter().all(|a| (0.0..=1.0).contains(a)) && accuracy[7] > 0.7,
            "{accuracy:?}"
        );
    }
}

/// Rules with parameters of their own are taken by `fit` as they are by graphs.
#[test]
fn any_rule_trains() {
    for kernels in kinds() {
        let data = article_data(64);
        let rule = UpdateRule::Adam {
            beta1: 0.8,
            beta2: 0.95,
            epsilon: 1e-3,
            weight_decay: 0.01,
            decoupled: true,
        };
        let optimizer = Optimizer::new(rule, 0.01);
        let mut model = article(kernels, optimizer.clone());
        let history =
            model.fit_blocking(&data, FitOptions::new(10).batch_size(20).in_order()).unwrap();
        let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
        close("losses", &history.batch_losses, &net.train(&data, 10, 20), 1e-5, 1e-6);
    }
}

/// Where the rows lie has no influence on a single bit.
#[test]
fn streamed_is_resident_bit_for_bit() {
    for kernels in kinds() {
        let data = article_data(333);
        for shuffled in [false, true] {
            for batch in [1, 10, 333] {
                let fit = |residency| {
                    let fit = FitOptions::new(2).batch_size(batch).residency(residency);
                    if shuffled { fit.shuffle(9) } else { fit.in_order() }
                };
                let optimizer = || Optimizer::adam(1e-3);
                let on_device = run(kernels, &data, optimizer(), fit(Residency::Resident));
                let streamed = run(kernels, &data, optimizer(), fit(Residency::Streamed));
                let auto = run(kernels, &data, optimizer(), fit(Residency::Auto));
                assert_eq!(on_device, streamed, "batches of {batch}, shuffled: {shuffled}");
                assert_eq!(on_device, auto);
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    for kernels in kinds() {
        let data = article_data(500);
        let once =
            |seed| run(kernels, &data, Optimizer::adam(1e-3), FitOptions::new(3).shuffle(seed));
        let first = once(1);
        assert_eq!(first, once(1));
        assert_ne!(first.1, once(2).1, "another order has other losses");
        // The order changes nothing of what is summed in a full batch but the rounding.
        let full = |fit: FitOptions| {
            let mut model = article(kernels, Optimizer::sgd(0.05));
            model.fit_blocking(&data, fit.full_batch()).unwrap().batch_losses
        };
        let (ordered, shuffled) =
            (full(FitOptions::new(3).in_order()), full(FitOptions::new(3).shuffle(1)));
        close("full batches", &shuffled, &support::f64s(&ordered), 1e-5, 0.0);
        // Epochs differ in their order.
        let mut model = article(kernels, Optimizer::sgd(1e-30));
        let losses =
            model.fit_blocking(&data, FitOptions::new(2).batch_size(50).shuffle(1)).unwrap();
        assert_ne!(losses.batch_losses[..10], losses.batch_losses[10..]);
        let [first, second] = [0, 1].map(|epoch| losses.epochs[epoch].loss);
        assert!(abs_diff_eq!(first, second, epsilon = 1e-6), "each epoch sees every row once");
    }
}

/// Training goes on where it stopped: states of the optimizer, steps and schedule included.
#[test]
fn fit_goes_on_where_it_stopped() {
    for kernels in kinds() {
        let data = article_data(100);
        let optimizer = || Optimizer::adam(1e-2).schedule(LearningRateSchedule::cosine(30, 0.1));
        let fit = |epochs| FitOptions::new(epochs).batch_size(32).in_order();
        let (whole, _) = run(kernels, &data, optimizer(), fit(5));
        let mut model = article(kernels, optimizer());
        model.fit_blocking(&data, fit(2)).unwrap();
        let history = model.fit_blocking(&data, fit(3)).unwrap();
        assert_eq!(weight_bits(&model), whole);
        assert_eq!(model.steps(), 20);
        let last = Optimizer::adam(1e-2)
            .schedule(LearningRateSchedule::cosine(30, 0.1))
            .learning_rate_at(19);
        assert_eq!(history.last().unwrap().learning_rate, last);
    }
}

/// A loop of one's own does what `fit` does.
#[test]
fn a_loop_of_ones_own_is_fit() {
    for kernels in kinds() {
        let data = article_data(100);
        let (expected, losses) = run(
            kernels,
            &data,
            Optimizer::adam(1e-2),
            FitOptions::new(2).batch_size(32).in_order(),
        );
        let mut model = article(kernels, Optimizer::adam(1e-2));
        let mut trainer =
            pollster::block_on(model.trainer(&data, 32, Residency::Resident)).unwrap();
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
}
