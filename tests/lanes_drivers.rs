//! Replicas and stages on two different drivers. `scripts/test` runs this with two Vulkan drivers enabled.

use approx::abs_diff_eq;
use std::sync::Arc;

use crate::support::parallel::start;
use wgrad::data::digits;
use wgrad::lanes::Schedule;
use wgrad::lanes::{ParallelOptions, advise};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, TrainingConfig};
use wgrad::{AdapterChoice, Gpu, adapters};

/// A device on the best adapter of each of two drivers.
fn two_drivers() -> Vec<Gpu> {
    let all = pollster::block_on(adapters());
    let first = all.first().expect("an adapter");
    let other = all.iter().position(|info| info.driver_info != first.driver_info);
    let other = other.unwrap_or_else(|| panic!("two drivers are needed; found only {all:#?}"));
    let device = |index| {
        let choice = AdapterChoice { index: Some(index), ..AdapterChoice::default() };
        let gpu = Gpu::with_adapter_blocking(&choice).expect("a device");
        eprintln!("lane on {}", gpu.describe());
        gpu
    };
    vec![device(0), device(other)]
}

#[test]
#[ignore = "needs two drivers at once; scripts/test provides them"]
fn lanes_on_two_drivers_learn_what_one_learns() {
    let lanes = two_drivers();
    let (train, test) = digits().unwrap().dataset.split(0.2, 42).unwrap();
    let train = Arc::new(train);
    let net = || Sequential::new(64).dense(32).relu().dense(10).seed(1);
    let how = || {
        TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::adam(0.005))
            .metric(Metric::Accuracy)
    };
    let learn = |schedule, lanes: &[Gpu]| {
        let options = ParallelOptions::new(64, 8, schedule);
        let mut parallel = start((net(), how(), &train), options, lanes).unwrap();
        parallel.fit_blocking(FitOptions::new(10).shuffle(3)).unwrap();
        let model = pollster::block_on(parallel.model(&lanes[0])).unwrap();
        let accuracy = model.evaluate_blocking(&test).unwrap().metric(Metric::Accuracy).unwrap();
        (parallel.state().clone(), accuracy)
    };
    let alone: Vec<_> =
        lanes.iter().map(|gpu| learn(Schedule::Serial, std::slice::from_ref(gpu))).collect();
    let shares = vec![5, 3];
    let together = learn(Schedule::DataParallel { shares }, &lanes);
    eprintln!("accuracy {} and {} alone, {} together", alone[0].1, alone[1].1, together.1);
    assert!(together.1 > 0.9, "accuracy {}", together.1);
    for (state, accuracy) in &alone {
        // Drivers round alike but for the order of some sums and a few functions: after 230 steps some
        // ten roundings of a weight, and one prediction or two that were a toss-up.
        assert!(
            abs_diff_eq!(*accuracy, together.1, epsilon = 2.0 / 359.0),
            "{accuracy}, {}",
            together.1
        );
        let pairs = state.values.iter().flatten().zip(together.0.values.iter().flatten());
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        eprintln!("a weight is off by {worst} at most");
        assert!(worst <= 1e-5, "a weight is off by {worst}");
    }

    // A pipeline, too: what each driver computes is as good as what the other does.
    for order in [[0, 1], [1, 0]] {
        let order = order.map(|lane| lanes[lane].clone());
        let piped = learn(Schedule::pipeline(), &order);
        assert!(
            abs_diff_eq!(piped.1, together.1, epsilon = 2.0 / 359.0),
            "{}, {}",
            piped.1,
            together.1
        );
        for (state, _) in &alone {
            let pairs = state.values.iter().flatten().zip(piped.0.values.iter().flatten());
            let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            eprintln!("in a pipeline a weight is off by {worst} at most");
            assert!(worst <= 1e-5, "a weight is off by {worst}");
        }
    }

    // Advice gives each lane a share that follows its speed.
    let options = ParallelOptions::new(64, 8, Schedule::Serial);
    let advice = advise(&net(), &how(), &train, &options, &lanes, 4).unwrap();
    eprintln!("{advice}");
    let by_speed = advice.trials.iter().rev().find(|trial| trial.schedule.is_some()).unwrap();
    let Some(Schedule::DataParallel { shares }) = &by_speed.schedule else {
        panic!("{by_speed:?}")
    };
    assert_eq!((shares.len(), shares.iter().sum::<usize>()), (2, 8), "{shares:?}");
}
