//! What a device is asked to do, counted on wgpu's noop device: it accepts every call and computes
//! nothing, so every sum it reads back is 0. The counts hold on every GPU.

use crate::counted::*;
use proptest::prelude::RngCore;
use wgrad::exec::{Executor, MAX_STEPS, Step};
use wgrad::nn::{Metric, Optimizer, Sequential};
use wgrad::plan::{AdapterClass, Plan, PlanOptions, Target};
use wgrad::train::{FitOptions, Residency, TrainingConfig};
use wgrad::{Counters, Error};

#[test]
fn the_device_has_the_limits_that_every_device_has() {
    let target = noop().target();
    // wgpu calls its noop adapter a software one, and those work on the processors there are.
    let Target { busy, filled_by, texels_from, .. } = target;
    assert!(busy >= 1);
    let class = AdapterClass::Software;
    assert_eq!(target, Target { class, busy, filled_by, texels_from, ..Target::default() });
    assert_eq!(target.max_tensor_bytes(), 128 << 20);
}

#[test]
fn a_step_of_the_article_net_is_eight_dispatches() {
    let (gpu, data) = (noop(), article_data());
    let mut model = article(&gpu);
    let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Resident)).unwrap();
    assert_eq!(trainer.plan().dispatches().len(), 8);
    assert_eq!(trainer.batches(), 32);
    assert_eq!((trainer.batch_rows(30), trainer.batch_rows(31)), (32, 8));
    assert_eq!(trainer.batches_per_submission(), MAX_STEPS);
    let names: Vec<&str> =
        trainer.plan().dispatches().iter().map(|d| d.launch.name.as_str()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("update")).count(), 1);
    assert_eq!(names.iter().filter(|name| name.contains("relu")).count(), 2);
}

/// A submission holds what a device does in a fraction of a second, and one step at least.
#[test]
fn large_steps_make_short_submissions() {
    let (gpu, data) = (noop(), article_data());
    let batches = |units: usize, batch: usize| {
        let net = Sequential::new(10).dense(units).relu().dense(units).relu().dense(1);
        let compile = general(Optimizer::sgd(0.05));
        let mut model = net.compile_blocking(&gpu, compile).unwrap();
        let trainer = pollster::block_on(model.trainer(&data, batch, Residency::Resident)).unwrap();
        (trainer.batches_per_submission(), trainer.plan().multiply_adds())
    };
    assert_eq!(batches(64, 32).0, MAX_STEPS);
    let (steps, multiply_adds) = batches(512, 500);
    assert!((2..MAX_STEPS).contains(&steps), "{steps} steps of {multiply_adds}");
    assert!(steps as u64 * multiply_adds <= 1 << 31);
    assert_eq!(batches(2048, 1000).0, 1);
}

/// After the first step nothing is created, and nothing is uploaded but the record of each step.
#[test]
fn steps_create_nothing() {
    let gpu = noop();
    let (graph, _, x, loss) = descent(100);
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu.target()).unwrap();
    let dispatches = plan.dispatches().len() as u64;
    let (building, mut executor) = counted(&gpu, || Executor::new_blocking(&gpu, plan).unwrap());
    assert_eq!(building.bind_groups, dispatches);
    assert!(building.pipelines <= dispatches && building.pipelines > 0);
    assert_eq!((building.submissions, building.dispatches, building.host_waits), (0, 0, 0));
    let (writing, ()) = counted(&gpu, || executor.write(x, &[1.0; 100]).unwrap());
    assert_eq!(writing, Counters { bytes_uploaded: 400, ..Counters::default() });
    for steps in [1, 7, MAX_STEPS] {
        let records: Vec<Step> =
            (0..steps).map(|i| Step::training(SGD, i as u64, 0, 0.1)).collect();
        let (running, rows) = counted(&gpu, || executor.run_blocking(&records).unwrap());
        assert_eq!(rows, vec![vec![0.0]; steps]);
        assert_eq!(created(&running), [0; 3], "{steps} steps");
        assert_eq!(running.submissions, 1);
        assert_eq!(running.dispatches, steps as u64 * dispatches);
        assert_eq!(running.bytes_uploaded, steps as u64 * 256, "a record per step, aligned");
        assert_eq!(running.bytes_read_back, STATUS + 4 * steps as u64, "the status and the losses");
        assert!(running.host_waits <= 1);
    }
    // More steps than a submission holds.
    let records = vec![Step::training(SGD, 0, 0, 0.1); 2 * MAX_STEPS + 1];
    let (running, rows) = counted(&gpu, || executor.run_blocking(&records).unwrap());
    assert_eq!(
        (rows.len(), running.submissions, created(&running)),
        (2 * MAX_STEPS + 1, 3, [0; 3])
    );
}

/// 32 batches are one submission; epochs after the first create nothing.
#[test]
fn fit_submits_an_epoch_at_once() {
    let data = article_data();
    let fit = |epochs: usize| {
        let gpu = noop();
        let mut model = article(&gpu);
        let (counters, history) = counted(&gpu, || {
            model.fit_blocking(&data, FitOptions::new(epochs).batch_size(32).in_order()).unwrap()
        });
        assert_eq!(history.batch_losses, vec![0.0; 32 * epochs]);
        assert_eq!(model.steps(), 32 * epochs as u64);
        counters
    };
    let (one, ten) = (fit(1), fit(10));
    assert_eq!(created(&one), created(&ten), "buffers, bind groups, pipelines");
    let more = ten - one;
    assert_eq!(more.submissions, 9);
    assert_eq!(more.dispatches, 9 * 32 * 8);
    assert_eq!(more.bytes_uploaded, 9 * 32 * 256, "one record per step");
    // The loss of each step, and the status: of full batches and of the last one.
    assert_eq!(more.bytes_read_back, 9 * (32 * 4 + 2 * STATUS));
}

/// A shuffled epoch uploads the order, a streamed one the rows.
#[test]
fn what_an_epoch_uploads() {
    let data = article_data();
    let uploaded = |fit: fn(FitOptions<'static>) -> FitOptions<'static>| {
        let run = |epochs: usize| {
            let gpu = noop();
            let mut model = article(&gpu);
            let fit = fit(FitOptions::new(epochs).batch_size(32));
            counted(&gpu, || model.fit_blocking(&data, fit).unwrap()).0.bytes_uploaded
        };
        run(3) - run(2)
    };
    let records = 32 * 256;
    assert_eq!(uploaded(|fit| fit.in_order().residency(Residency::Resident)), records);
    assert_eq!(uploaded(|fit| fit.shuffle(1).residency(Residency::Resident)), records + 4000);
    assert_eq!(
        uploaded(|fit| fit.in_order().residency(Residency::Streamed)),
        records + 1000 * 11 * 4
    );
}

/// A metric is a column of the results table and no further reading.
#[test]
fn metrics_cost_a_dispatch_and_four_bytes() {
    let (gpu, data) = (noop(), article_data());
    let net = || Sequential::new(10).dense(64).relu().dense(1);
    let compile = || general(Optimizer::sgd(0.05));
    let run = |compile: TrainingConfig| {
        let mut model = net().compile_blocking(&gpu, compile).unwrap();
        let fit = || FitOptions::new(1).batch_size(250).in_order();
        counted(&gpu, || model.fit_blocking(&data, fit()).unwrap()).0
    };
    let (plain, measured) = (run(compile()), run(compile().metric(Metric::RSquared)));
    assert_eq!(measured.dispatches - plain.dispatches, 4);
    assert_eq!(measured.bytes_read_back - plain.bytes_read_back, 4 * 4);
    assert_eq!(measured.submissions, plain.submissions);
}

/// Nothing but the last batch waits: four submissions may be under way.
#[test]
fn submissions_do_not_wait_while_there_is_room() {
    let gpu = noop();
    let (graph, _, _, loss) = descent(8);
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu.target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
    let (submitting, ()) = counted(&gpu, || {
        for step in 0..4 {
            let record = Step::training(SGD, step, 0, 0.1);
            pollster::block_on(executor.submit(&[record])).unwrap();
        }
    });
    assert_eq!((submitting.submissions, submitting.host_waits), (4, 0));
    assert_eq!(submitting.bytes_read_back, 0);
    // A fifth takes the oldest results in first.
    pollster::block_on(executor.submit(&[Step::training(SGD, 4, 0, 0.1)])).unwrap();
    let mut taken = 0;
    while pollster::block_on(executor.results()).unwrap().is_some() {
        taken += 1;
    }
    assert_eq!(taken, 5);
}

#[test]
fn too_many_steps_or_untaken_results_are_refused() {
    let gpu = noop();
    let (graph, _, _, loss) = descent(8);
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu.target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
    for steps in [0, MAX_STEPS + 1] {
        let error =
            pollster::block_on(executor.submit(&vec![Step::training(SGD, 0, 0, 0.1); steps]));
        let message = error.expect_err("steps").to_string();
        assert!(message.contains(&steps.to_string()) && message.contains("64"), "{message}");
    }
    let record = |executor: &mut Executor| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let result = executor.record(&mut encoder, &[Step::training(SGD, 0, 0, 0.1)]);
        if result.is_ok() {
            gpu.queue().submit([encoder.finish()]);
            executor.submitted();
        }
        result
    };
    for _ in 0..4 {
        record(&mut executor).unwrap();
    }
    let error = record(&mut executor).expect_err("a fifth recording");
    assert!(matches!(error, Error::Argument { .. }), "{error:?}");
    assert!(error.to_string().contains("results"), "{error}");
    // Taking results makes room again.
    assert!(pollster::block_on(executor.results()).unwrap().is_some());
    record(&mut executor).unwrap();
}

/// Predictions reuse what they created, whatever the number of rows: there are plans of 1, 2, 4, … 1024
/// rows, and with the largest one more block for each 1024.
#[test]
fn predictors_are_kept() {
    let gpu = noop();
    let model = article(&gpu);
    let rows = |n: usize| vec![0.5; n * 10];
    let mut random = proptest::test_runner::TestRng::deterministic_rng(Default::default());
    let mut rounds = [Counters::default(); 2];
    for round in &mut rounds {
        *round = counted(&gpu, || {
            for _ in 0..100 {
                let n = (1 + random.next_u32() % 3000) >> (random.next_u32() % 12);
                let n = n.max(1) as usize;
                assert_eq!(model.predict_blocking(&rows(n)).unwrap().len(), n);
            }
        })
        .0;
    }
    // Eleven plans of two products each. Those of up to 8 rows, and of more, may be tiled differently.
    assert!((2..=22).contains(&rounds[0].bind_groups), "{:?}", rounds[0]);
    assert!((1..=8).contains(&rounds[0].pipelines), "{:?}", rounds[0]);
    for n in (0..=10).map(|k| 1 << k) {
        model.predict_blocking(&rows(n)).unwrap();
    }
    let last = counted(&gpu, || {
        (1..100).map(|n| model.predict_blocking(&rows(n * 31)).unwrap().len()).sum::<usize>()
    });
    assert_eq!((created(&last.0), last.1), ([0; 3], 31 * 99 * 100 / 2));
}
