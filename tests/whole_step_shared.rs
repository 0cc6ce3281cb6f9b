//! The whole-step kernel in memory where workgroups share the rows of a batch: against f64 loops, with more
//! workgroups than this machine has cores, and than a batch has rows.

use crate::common::gpu;
use crate::common::random::Random;
use crate::common::training::{weights, without_subgroups};
use crate::support::net::{Net, Unary};
use crate::support::{bits, close};
use approx::relative_eq;
use wgrad::data::{Dataset, Targets};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{Callback, FitOptions, Kernels, Model, Residency, TrainingConfig};
use wgrad::{Error, Gpu};

const INPUTS: usize = 20;
const CLASSES: usize = 3;
/// Two full batches and one of five rows.
const ROWS: usize = 2 * BATCH + 5;
const BATCH: usize = 260;

fn net() -> Sequential {
    let net = Sequential::new(INPUTS).dense(70).activation(Unary::Square).dense(64).tanh();
    net.dense(CLASSES).seed(3)
}

fn features() -> Vec<f32> {
    Random::new(1).many(ROWS * INPUTS, |r| r.uniform(-1.0, 1.0))
}

fn classes() -> Dataset {
    let mut random = Random::new(2);
    let labels = (0..ROWS).map(|_| random.below(CLASSES) as u32).collect();
    Dataset::classification(features(), INPUTS, labels, CLASSES).unwrap()
}

fn values() -> Dataset {
    let targets = Random::new(2).many(ROWS * CLASSES, |r| r.uniform(-1.0, 1.0));
    Dataset::regression(features(), INPUTS, targets, CLASSES).unwrap()
}

fn compiled(gpu: &Gpu, loss: Loss, optimizer: &Optimizer) -> Model {
    let metric = match loss {
        Loss::SoftmaxCrossEntropy => Metric::Accuracy,
        _ => Metric::MeanAbsoluteError,
    };
    let compile = TrainingConfig::new(loss, optimizer.clone()).kernels(Kernels::WholeStepInMemory);
    net().compile_blocking(gpu, compile.metric(metric)).unwrap()
}

fn batches() -> FitOptions<'static> {
    FitOptions::new(2).batch_size(BATCH).in_order()
}

/// The workgroups that the rule of kernels has a batch shared by.
fn workgroups(model: &mut Model, data: &Dataset) -> usize {
    let trainer = pollster::block_on(model.trainer(data, BATCH, Residency::Resident)).unwrap();
    let said = trainer.kernels();
    let number = said.split(", ").find_map(|part| part.strip_suffix(" workgroups"));
    number.map_or(1, |number| number.parse().unwrap())
}

#[test]
fn shared_rows_follow_the_reference() {
    let with = gpu();
    let without = without_subgroups();
    for (loss, data, optimizer) in [
        (Loss::SoftmaxCrossEntropy, classes(), Optimizer::sgd(0.05)),
        (Loss::MeanSquaredError, values(), Optimizer::adam(1e-3).clip_norm(0.1)),
        (Loss::Huber { delta: 0.5 }, values(), Optimizer::nesterov(0.02, 0.9).weight_decay(0.1)),
    ] {
        let mut reference = Net::new(&net(), loss, &optimizer);
        let losses = reference.train(&data, 2, BATCH);
        let mut metric = Vec::new();
        for busy in [1, 2, 3, 8] {
            let label = format!("{loss:?}, {busy} workgroups");
            let run = |gpu: Gpu| {
                let mut model = compiled(&gpu.busy(busy), loss, &optimizer);
                assert_eq!(workgroups(&mut model, &data), busy, "{label}");
                let history = model.fit_blocking(&data, batches()).unwrap();
                (history, weights(&model))
            };
            let (history, found) = run(with.clone());
            // Sums of at most 260 terms near 1, six steps; Adam divides by roots of small squares.
            close(&label, &history.batch_losses, &losses, 1e-5, 1e-6);
            close(&label, &found, reference.parameters(), 5e-5, 5e-5);
            // Twice the same bits, and the same with the other exchange.
            for gpu in [&with, &without] {
                let (again, same) = run(gpu.clone());
                assert_eq!(bits(&again.batch_losses), bits(&history.batch_losses), "{label}");
                assert_eq!(bits(&same), bits(&found), "{label}");
            }
            let name = history.epochs[0].metrics[0].0.name();
            metric.push(history.values(name).unwrap());
        }
        for other in &metric[1..] {
            for (found, alone) in other.iter().zip(&metric[0]) {
                assert!(
                    relative_eq!(found, alone, epsilon = 0.0, max_relative = 1e-5),
                    "{loss:?}: {metric:?}"
                );
            }
        }
    }
}

/// Trains through submissions, each of batches from one to before another; what the last weights are, and
/// the first error.
fn through(
    model: &mut Model,
    data: &Dataset,
    submissions: &[(usize, usize)],
) -> (Vec<u32>, Option<Error>) {
    let order = (0..ROWS as u32).collect();
    let mut error = None;
    pollster::block_on(async {
        let mut trainer = model.trainer(data, BATCH, Residency::Resident).await.unwrap();
        trainer.set_order(order).unwrap();
        let mut ahead = 0;
        for &(first, end) in submissions {
            let step = |batch: usize| model.next_step((ahead + batch - first) as u64);
            trainer.submit(first..end, step).await.unwrap();
            ahead += end - first;
        }
        while trainer.is_busy() {
            error = error.take().or(trainer.results().await.err());
        }
    });
    (bits(&weights(model)), error)
}

/// Every submission begins with the parameters of the last one and the first turn, whether an even or an
/// odd number of steps came before.
#[test]
fn submissions_follow_one_another() {
    let (optimizer, data) = (Optimizer::adam(1e-3).clip_norm(0.1), values());
    let trained = |submissions: &[(usize, usize)]| {
        let mut model = compiled(&gpu().busy(3), Loss::MeanSquaredError, &optimizer);
        let (found, error) = through(&mut model, &data, submissions);
        assert!(error.is_none(), "{error:?}");
        found
    };
    let whole = trained(&[(0, 3), (0, 2)]);
    assert_eq!(trained(&[(0, 1), (1, 3), (0, 1), (1, 2)]), whole);
    assert_eq!(trained(&[(0, 2), (2, 3), (0, 2)]), whole);
    assert_ne!(trained(&[(0, 3), (0, 1)]), whole);
    // A callback has each epoch in a submission of its own; streamed rows lie elsewhere.
    struct Quiet;
    impl Callback for Quiet {}
    let fitted = |callback: Option<&mut Quiet>, residency, parts: &[usize]| {
        let mut model = compiled(&gpu().busy(3), Loss::MeanSquaredError, &optimizer);
        let fit =
            |epochs| FitOptions::new(epochs).batch_size(BATCH).shuffle(1).residency(residency);
        match callback {
            Some(callback) => {
                model.fit_blocking(&data, fit(parts[0]).callback(callback)).unwrap();
            }
            None => {
                for &epochs in parts {
                    model.fit_blocking(&data, fit(epochs)).unwrap();
                }
            }
        }
        bits(&weights(&model))
    };
    let whole = fitted(None, Residency::Resident, &[3]);
    assert_eq!(fitted(Some(&mut Quiet), Residency::Resident, &[3]), whole);
    assert_eq!(fitted(None, Residency::Streamed, &[3]), whole);
    assert_eq!(fitted(None, Residency::Resident, &[1, 2]), whole);
}

/// One target overflows the loss: that step and those after it, in dispatches of the same submission and
/// of later ones, move nothing, in whichever workgroup its row is.
#[test]
fn nothing_moves_from_the_first_bad_step_on() {
    let optimizer = Optimizer::momentum(0.02, 0.9);
    let compiled = || compiled(&gpu().busy(3), Loss::MeanSquaredError, &optimizer);
    let (good, _) = through(&mut compiled(), &values(), &[(0, 1)]);
    for row in [BATCH, 2 * BATCH - 1] {
        let (features, width, targets) = values().into_parts();
        let Targets::Values { data: mut targets, .. } = targets else { panic!("values") };
        targets[row * CLASSES] = 1e30;
        let data = Dataset::regression(features, width, targets, CLASSES).unwrap();
        let submissions: [&[(usize, usize)]; 3] =
            [&[(0, 3)], &[(0, 1), (1, 2), (2, 3), (0, 1)], &[(0, 2), (2, 3)]];
        for submissions in submissions {
            let mut model = compiled();
            let (found, error) = through(&mut model, &data, submissions);
            let Some(Error::NotFinite { step: 1, loss: Some(loss), .. }) = error else {
                panic!("{error:?}")
            };
            assert_eq!(loss, f32::INFINITY);
            assert_eq!(found, good, "{submissions:?}");
            // Training goes on once the data is in order.
            let (found, error) = through(&mut model, &values(), &[(0, 1)]);
            assert!(error.is_none(), "{error:?}");
            assert_ne!(found, good);
        }
    }
}

/// The same parameters keep their values as with one workgroup, in the same step.
#[test]
fn overflowing_parameters_stop_training_alike() {
    let (features, width, targets) = values().into_parts();
    let Targets::Values { data: targets, .. } = targets else { panic!("values") };
    let targets = targets.iter().map(|t| 1000.0 * t).collect();
    let data = Dataset::regression(features, width, targets, CLASSES).unwrap();
    let run = |busy| {
        let optimizer = Optimizer::momentum(3e38, 0.5);
        let mut model = compiled(&gpu().busy(busy), Loss::MeanSquaredError, &optimizer);
        let start = weights(&model);
        let (_, error) = through(&mut model, &data, &[(0, 1), (1, 3)]);
        let Some(Error::NotFinite { step, loss: Some(loss), .. }) = error else {
            panic!("{error:?}")
        };
        assert!(loss.is_finite());
        let stayed: Vec<bool> =
            weights(&model).iter().zip(&start).map(|(w, s)| w == s && *s != 0.0).collect();
        (step, stayed)
    };
    let alone = run(1);
    assert!(alone.1.contains(&true) && alone.1.contains(&false));
    assert_eq!(run(3), alone);
}

/// A dispatch per step, and one for the last update; all of an epoch, or of several, in one submission. One
/// workgroup takes as many steps a dispatch as its loops have turns for.
#[test]
fn a_step_is_a_dispatch() {
    let data = values();
    let counted = |busy| {
        let gpu = gpu().busy(busy);
        let mut model = compiled(&gpu, Loss::MeanSquaredError, &Optimizer::sgd(0.01));
        let before = gpu.counters();
        model.fit_blocking(&data, batches()).unwrap();
        let counted = gpu.counters() - before;
        (counted.submissions, counted.dispatches)
    };
    assert_eq!(counted(2), (1, 6 + 1));
    let (submissions, dispatches) = counted(1);
    assert!(submissions == dispatches && dispatches < 6, "{submissions}, {dispatches}");
}
