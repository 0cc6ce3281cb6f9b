//! Losses, gradients and parameters that are not finite: training stops, says where, and keeps the last
//! good weights, with either kind of kernels.

use crate::common::gpu;
use crate::common::training::{
    article, article_data, article_net, kinds, weight_bits, weights, weights_after,
};
use crate::support::net::Net;
use crate::support::{bits, close};
use wgrad::Error;
use wgrad::data::{Dataset, Targets};
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Tensor, UpdateRule};
use wgrad::nn::{Loss, Optimizer};
use wgrad::plan::{Plan, PlanOptions};
use wgrad::train::{Callback, FitOptions, Residency};

/// A loss that overflows: the error says where, and the weights are those before it.
#[test]
fn a_loss_that_is_not_finite_stops_training() {
    for kernels in kinds() {
        let data = article_data(100);
        let model = || article(kernels, Optimizer::sgd(30.0));
        let mut diverging = model();
        let fit = || FitOptions::new(50).batch_size(32).in_order();
        let error = diverging.fit_blocking(&data, fit()).expect_err("it diverges");
        let Error::NotFinite { step, epoch, loss: Some(loss), .. } = error else {
            panic!("{error:?}")
        };
        assert!(!loss.is_finite(), "{loss}");
        assert!(step > 1, "some steps were good");
        assert_eq!(epoch as u64, step / 4 + 1, "step {step} of 4 a epoch");
        assert_eq!(diverging.steps(), step);
        let kept = weights(&diverging);
        assert!(kept.iter().all(|w| w.is_finite()));
        assert_eq!(bits(&kept), weights_after(model(), &data, 32, step), "after {step} steps");
        let text = Error::NotFinite { step, epoch, loss: Some(loss), mixed: false }.to_string();
        for part in [step.to_string(), epoch.to_string(), "learning rate".into()] {
            assert!(text.contains(&part), "{text}");
        }
        // The model can be used on: it predicts, it is evaluated, and with other weights it trains.
        let outputs = diverging.predict_blocking(data.row(0).unwrap()).unwrap();
        assert_eq!(outputs.len(), 1);
        let start: Vec<Vec<f32>> =
            article_net().parameters().unwrap().into_iter().map(|spec| spec.initial).collect();
        diverging.set_weights(&start).unwrap();
        let history =
            diverging.fit_blocking(&data, FitOptions::new(1).full_batch().in_order()).unwrap();
        assert!(history.batch_losses[0].is_finite());
        assert_eq!(diverging.steps(), step + 1);
    }
}

/// One batch overflows, those after it do not: they must not train all the same.
#[test]
fn nothing_trains_after_a_bad_step() {
    for kernels in kinds() {
        let (features, width, targets) = article_data(160).into_parts();
        let Targets::Values { data: mut values, .. } = targets else { panic!("values") };
        values[70] = 1e30; // its square is no f32
        let data = Dataset::regression(features, width, values, 1).unwrap();
        let rules = [Optimizer::sgd(0.05), Optimizer::momentum(0.05, 0.9), Optimizer::adam(1e-2)];
        for optimizer in rules {
            for clipped in [false, true] {
                let optimizer = optimizer.clone();
                let optimizer = if clipped { optimizer.clip_norm(1.0) } else { optimizer };
                let mut model = article(kernels, optimizer.clone());
                let fit = FitOptions::new(3).batch_size(32).in_order();
                let error = model.fit_blocking(&data, fit).expect_err("a square of 1e60");
                let Error::NotFinite { step: 2, epoch: 1, loss: Some(loss), .. } = error else {
                    panic!("{error:?}")
                };
                assert_eq!(loss, f32::INFINITY);
                let expected = weights_after(article(kernels, optimizer.clone()), &data, 32, 2);
                assert_eq!(weight_bits(&model), expected, "{optimizer:?}");
            }
        }
    }
}

/// The same with a callback, with shuffling and with streaming: the host is then not ahead of the
/// device, or draws other rows; the weights still are those before the bad step.
#[test]
fn not_finite_is_found_however_the_rows_come() {
    for kernels in kinds() {
        struct Quiet;
        impl Callback for Quiet {}
        let data = article_data(100);
        for streamed in [false, true] {
            let mut model = article(kernels, Optimizer::sgd(30.0));
            let residency = if streamed { Residency::Streamed } else { Residency::Resident };
            let mut quiet = Quiet;
            let fit = FitOptions::new(50)
                .batch_size(32)
                .shuffle(3)
                .residency(residency)
                .callback(&mut quiet);
            let error = model.fit_blocking(&data, fit).expect_err("it diverges");
            let Error::NotFinite { step, epoch, .. } = error else { panic!("{error:?}") };
            assert_eq!((epoch as u64, model.steps()), (step / 4 + 1, step));
            assert!(weights(&model).iter().all(|w| w.is_finite()));
        }
    }
}

/// The loss is finite, but a step would take parameters out of range: those keep their values, and
/// the error says so.
#[test]
fn a_parameter_that_is_not_finite_stops_training() {
    for kernels in kinds() {
        // Targets around 1000: with this rate some parameters would pass f32's 3.4e38, most would not.
        let (features, width, targets) = article_data(64).into_parts();
        let Targets::Values { data: values, .. } = targets else { panic!("values") };
        let values = values.iter().map(|t| 1000.0 * t).collect();
        let data = Dataset::regression(features, width, values, 1).unwrap();
        for optimizer in [Optimizer::sgd(1e37), Optimizer::momentum(1e37, 0.5)] {
            let mut model = article(kernels, optimizer);
            let start = weight_bits(&model);
            let fit = FitOptions::new(3).batch_size(32).in_order();
            let error = model.fit_blocking(&data, fit).expect_err("parameters beyond 1e39");
            let Error::NotFinite { step, epoch, loss: Some(loss), .. } = error else {
                panic!("{error:?}")
            };
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
                    assert!(
                        off <= 1e-4 * step.abs() + 1e33,
                        "parameter {i}: {kept:e}, not {step:e}"
                    );
                }
            }
            assert!(overflowed > 0);
            close("the loss of step 0", &[loss], &[expected], 1e-5, 0.0);
        }
    }
}

/// A step of one's own: least squares in one parameter, with the loss among the results or not.
fn descent(shows_loss: bool) -> (Executor, Tensor) {
    let mut graph = Graph::new();
    let (x, t) = (graph.input("x", [4, 2]).unwrap(), graph.input("t", [4, 1]).unwrap());
    let w = graph.parameter("w", [2, 1]).unwrap();
    let y = graph.matmul(x, w).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, t).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    graph.update(SGD, None, loss, &[(w, gradients[0])]).unwrap();
    let results = if shows_loss { vec![loss] } else { vec![] };
    let options = PlanOptions { results, ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu().target()).unwrap();
    let executor = Executor::new_blocking(&gpu(), plan).unwrap();
    executor.write(x, &[1.0, 0.5, -1.0, 2.0, 0.0, 1.0, 0.25, -0.5]).unwrap();
    executor.write(t, &[1.0, 2.0, 3.0, 4.0]).unwrap();
    (executor, w)
}

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

/// Below `fit`, too, a run whose loss or parameters are not finite ends with an error that names the
/// step; what is left are the parameters before it.
#[test]
fn runs_of_an_executor_say_which_step_was_not_finite() {
    let rate = |step| if step == 70 { 1e25 } else { 1e-3 };
    let steps: Vec<Step> = (0..90).map(|step| Step::training(SGD, step, 0, rate(step))).collect();
    for shows_loss in [true, false] {
        let (mut executor, w) = descent(shows_loss);
        // Step 70 makes a parameter of 1e25, whose square is no f32.
        let error = executor.run_blocking(&steps).expect_err("step 71");
        let Error::NotFinite { step: 71, epoch: 0, loss, .. } = error else { panic!("{error:?}") };
        assert_eq!(loss, shows_loss.then_some(f32::INFINITY));
        let kept = executor.read_blocking(w).unwrap();
        let (mut good, same) = descent(shows_loss);
        let rows = good.run_blocking(&steps[..71]).unwrap();
        assert_eq!(rows.len(), 71);
        assert!(rows.iter().all(|row| row.len() == usize::from(shows_loss)));
        assert_eq!(bits(&kept), bits(&good.read_blocking(same).unwrap()));
        assert!(kept.iter().any(|w| w.abs() > 1e20), "{kept:?}");
        // Nothing trains before the damage was looked at.
        let again = executor.run_blocking(&steps[72..74]).expect_err("still");
        assert!(matches!(again, Error::NotFinite { step: 71, .. }), "{again:?}");
        executor.write(w, &[0.5, 0.5]).unwrap();
        executor.parameters().clear_status().unwrap();
        executor.run_blocking(&steps[75..77]).unwrap();
        assert_ne!(executor.read_blocking(w).unwrap(), [0.5, 0.5]);
    }
    // A parameter that would overflow, although the loss is finite.
    let (mut executor, _) = descent(true);
    let step = Step::training(SGD, 0, 0, 3e38);
    let error = executor.run_blocking(&[step]).expect_err("a step of more than 3e38");
    let Error::NotFinite { step: 0, epoch: 0, loss: Some(loss), .. } = error else {
        panic!("{error:?}")
    };
    close("the loss of step 0", &[loss], &[7.5], 1e-6, 0.0);
}
