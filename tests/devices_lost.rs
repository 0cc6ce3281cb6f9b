//! Devices that go away: every public call says so, whoever owns the device, when it is destroyed before
//! the call and when it is destroyed at any moment of it. Never is it another error, a panic or a hang.
//!
//! A caller's devices are of wgpu's noop kind here: what a lost device is asked, wgpu refuses without
//! the driver. wgrad's own are those of the adapter that the tests run on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::common::fresh;
use crate::common::random::Random;
use crate::common::training::within;
use wgrad::data::Dataset;
use wgrad::exec::{Executor, ExecutorOptions, Parameters, Snapshot, Step};
use wgrad::gpu::{Bracket, DeviceClock, Timestamps};
use wgrad::graph::{Graph, Loss, Tensor, UpdateRule};
use wgrad::lanes::Schedule;
use wgrad::lanes::{Parallel, ParallelOptions};
use wgrad::nn::{Optimizer, Sequential};
use wgrad::plan::{Plan, PlanOptions, Precision};
use wgrad::train::{FitOptions, Kernels, Model, Residency, Trainer, TrainingConfig};
use wgrad::{Error, Gpu, Result};

const RULE: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };
/// Moments at which each call meets the loss of a caller's device.
const MOMENTS: u64 = 12;
/// With those of the test that takes a minute.
const ALL_MOMENTS: u64 = 50;

fn noop() -> Gpu {
    let descriptor = wgpu::DeviceDescriptor {
        required_features: wgpu::Features::TIMESTAMP_QUERY,
        ..Default::default()
    };
    let (device, queue) = wgpu::Device::noop(&descriptor);
    Gpu::from_device(&device, &queue)
}

fn data() -> Arc<Dataset> {
    let features: Vec<f32> = (0..120).map(|i| (i % 13) as f32 / 13.0).collect();
    Arc::new(Dataset::regression(features, 3, vec![0.5; 40], 1).unwrap())
}

fn compile() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.01)).kernels(Kernels::General)
}

fn step() -> Step {
    Step::training(RULE, 0, 0, 0.01)
}

fn net() -> Sequential {
    Sequential::new(3).dense(4).relu().dense(1)
}

/// What lives on a device, made when it is first asked for.
struct Scene {
    gpu: Gpu,
    plan: Plan,
    x: Tensor,
    labels: Tensor,
    parameters: Parameters,
    snapshot: Snapshot,
    data: Arc<Dataset>,
    executor: Option<Executor>,
    model: Option<Model>,
    trainer: Option<Trainer<Arc<Dataset>>>,
    parallel: Option<Parallel>,
    timestamps: Option<(Timestamps, DeviceClock)>,
}

impl Scene {
    fn new(gpu: Gpu) -> Self {
        let mut graph = Graph::new();
        let (w, x) = (graph.parameter("w", [4]).unwrap(), graph.input("x", [4]).unwrap());
        let labels = graph.index_input("labels", [2]).unwrap();
        let product = graph.mul(w, x).unwrap();
        let picked = graph.gather(product, labels).unwrap();
        let loss = graph.sum(picked, 0).unwrap();
        let gradients = graph.gradients(loss, &[w]).unwrap();
        graph.update(RULE, None, loss, &[(w, gradients[0])]).unwrap();
        // With mixed precision there are copies of the parameters besides.
        let precision = Precision::mixed();
        let options = PlanOptions { results: vec![loss], precision, ..PlanOptions::default() };
        let plan = Plan::with_options(&graph, &options, &gpu.target()).unwrap();
        let parameters =
            Parameters::with_precision_blocking(&gpu, plan.arena(), Some(0), precision).unwrap();
        let snapshot = parameters.snapshot_blocking().unwrap();
        let (executor, model, trainer, parallel, timestamps) = Default::default();
        let data = data();
        Self {
            gpu,
            plan,
            x,
            labels,
            parameters,
            snapshot,
            data,
            executor,
            model,
            trainer,
            parallel,
            timestamps,
        }
    }

    fn executor(&mut self) -> &mut Executor {
        let Self { gpu, plan, executor, .. } = self;
        executor.get_or_insert_with(|| Executor::new_blocking(gpu, plan.clone()).unwrap())
    }

    fn model(&mut self) -> &mut Model {
        let Self { gpu, model, .. } = self;
        model.get_or_insert_with(|| net().compile_blocking(gpu, compile()).unwrap())
    }

    fn trainer(&mut self) -> &mut Trainer<Arc<Dataset>> {
        if self.trainer.is_none() {
            let data = self.data.clone();
            let trainer = self.model().trainer(data, 16, Residency::Auto);
            self.trainer = Some(pollster::block_on(trainer).unwrap());
        }
        self.trainer.as_mut().unwrap()
    }

    fn parallel(&mut self) -> &mut Parallel {
        let Self { gpu, data, parallel, .. } = self;
        parallel.get_or_insert_with(|| parallel_on(gpu, data, Schedule::data_parallel()).unwrap())
    }

    fn timestamps(&mut self) -> Option<&mut (Timestamps, DeviceClock)> {
        if self.timestamps.is_none() {
            let clock = DeviceClock::calibrate_blocking(&self.gpu, Instant::now()).unwrap();
            // The noop device has no clock: any will do.
            let of_ticks = |ticks| Bracket { before: 0.0, begin: ticks, end: ticks, after: 1.0 };
            let clock = clock.or(DeviceClock::fit(Instant::now(), 1.0, &[of_ticks(1)]));
            self.timestamps = Timestamps::new_blocking(&self.gpu, 2).unwrap().zip(clock);
        }
        self.timestamps.as_mut()
    }

    /// Makes everything.
    fn fill(&mut self) {
        self.executor();
        self.trainer();
        self.parallel();
        self.timestamps();
    }
}

fn parallel_on(gpu: &Gpu, data: &Arc<Dataset>, schedule: Schedule) -> Result<Parallel> {
    let options = ParallelOptions::new(16, 2, schedule);
    let lanes = [gpu.clone(), gpu.clone()];
    pollster::block_on(Parallel::new(net(), compile(), data.clone(), options, &lanes))
}

type Call = fn(&mut Scene) -> Result<()>;

/// Every public call that asks something of the device.
const CALLS: &[(&str, Call)] = &[
    ("Executor::new", |s| Executor::new_blocking(&s.gpu, s.plan.clone()).map(drop)),
    ("Executor::with_options", |s| {
        let parameters = Some(s.parameters.clone());
        let options = ExecutorOptions { parameters, ..Default::default() };
        Executor::with_options_blocking(&s.gpu, s.plan.clone(), options).map(drop)
    }),
    ("Executor::write", |s| {
        let x = s.x;
        s.executor().write(x, &[1.0; 4])
    }),
    ("Executor::write_indices", |s| {
        let labels = s.labels;
        s.executor().write_indices(labels, &[1, 0])
    }),
    ("Executor::read", |s| {
        let x = s.x;
        s.executor().read_blocking(x).map(drop)
    }),
    ("Executor::read_indices", |s| {
        let labels = s.labels;
        s.executor().read_indices_blocking(labels).map(drop)
    }),
    ("Executor::submit and results", |s| {
        s.executor().submit_blocking(&[step(); 3])?;
        while s.executor().results_blocking()?.is_some() {}
        Ok(())
    }),
    ("Executor::results_ready", |s| {
        s.executor().submit_blocking(&[step(); 3])?;
        while s.executor().results_ready_blocking()?.is_none() {}
        Ok(())
    }),
    ("Executor::run", |s| s.executor().run_blocking(&[step(); 70]).map(drop)),
    ("Executor::record", |s| {
        let mut encoder = s.gpu.device().create_command_encoder(&Default::default());
        s.executor().record(&mut encoder, &[step()])?;
        // The encoder is the caller's, and so are its errors.
        let scope = s.gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        s.gpu.queue().submit([encoder.finish()]);
        drop(scope.pop());
        s.executor().submitted();
        s.executor().results_blocking().map(drop)
    }),
    ("Parameters::new", |s| Parameters::new_blocking(&s.gpu, s.plan.arena(), Some(2)).map(drop)),
    ("Parameters::with_precision", |s| {
        let (layout, mixed) = (s.plan.arena(), Precision::mixed());
        Parameters::with_precision_blocking(&s.gpu, layout, Some(2), mixed).map(drop)
    }),
    ("Parameters::write", |s| s.parameters.write(0, &[1.0; 4])),
    ("Parameters::read", |s| s.parameters.read_blocking(0).map(drop)),
    ("Parameters::read_gradient", |s| s.parameters.read_gradient_blocking(0).map(drop)),
    ("Parameters::read_all", |s| s.parameters.read_all_blocking().map(drop)),
    ("Parameters::refresh_copies", |s| s.parameters.refresh_copies_blocking()),
    ("Parameters::reset", |s| s.parameters.reset()),
    ("Parameters::clear_status", |s| s.parameters.clear_status()),
    ("Parameters::snapshot", |s| s.parameters.snapshot_blocking().map(drop)),
    ("Parameters::save_to", |s| s.parameters.save_to_blocking(&s.snapshot)),
    ("Parameters::restore", |s| s.parameters.restore_blocking(&s.snapshot)),
    ("Sequential::compile", |s| net().compile_blocking(&s.gpu, compile()).map(drop)),
    ("Model::weights", |s| s.model().weights_blocking().map(drop)),
    ("Model::set_weights", |s| {
        s.model().set_weights(&[vec![0.5; 12], vec![0.5; 4], vec![0.5; 4], vec![0.5]])
    }),
    ("Model::fit", |s| {
        let data = s.data.clone();
        s.model().fit_blocking(&data, FitOptions::new(2).batch_size(7)).map(drop)
    }),
    ("Model::fit, streamed", |s| {
        let fit = FitOptions::new(2).residency(Residency::Streamed).validation_split(0.3);
        let data = s.data.clone();
        s.model().fit_blocking(&data, fit).map(drop)
    }),
    ("Model::evaluate", |s| {
        let data = s.data.clone();
        s.model().evaluate_blocking(&data).map(drop)
    }),
    ("Model::predict, one row", |s| s.model().predict_blocking(&[0.5; 3]).map(drop)),
    ("Model::predict, many rows", |s| s.model().predict_blocking(&[0.5; 3 * 37]).map(drop)),
    ("Model::trainer", |s| {
        let data = s.data.clone();
        pollster::block_on(s.model().trainer(data, 8, Residency::Auto)).map(drop)
    }),
    ("Trainer::set_order", |s| s.trainer().set_order((0..40).rev().collect())),
    ("Trainer::submit and results", |s| {
        pollster::block_on(s.trainer().submit(0..3, |_| step()))?;
        while pollster::block_on(s.trainer().results())?.is_some() {}
        Ok(())
    }),
    ("Trainer::results_ready", |s| {
        pollster::block_on(s.trainer().submit(1..2, |_| step()))?;
        while pollster::block_on(s.trainer().results_ready())?.is_none() {}
        Ok(())
    }),
    ("Parallel::new", |s| parallel_on(&s.gpu, &s.data, Schedule::pipeline()).map(drop)),
    ("Parallel::run", |s| s.parallel().run(0..2).map(drop)),
    ("Parallel::set_state", |s| {
        let state = s.parallel().state().clone();
        pollster::block_on(s.parallel().set_state(state))
    }),
    ("Parallel::relay", |s| {
        let lanes = [s.gpu.clone(), s.gpu.clone()];
        pollster::block_on(s.parallel().relay(Schedule::pipeline(), &lanes))
    }),
    ("Timestamps::new", |s| match Timestamps::new_blocking(&s.gpu, 3)? {
        Some(_) => Ok(()),
        None => s.parameters.clear_status(),
    }),
    ("Timestamps::read", |s| match s.timestamps() {
        Some((timestamps, clock)) => timestamps.read_blocking(2, clock).map(drop),
        None => s.parameters.clear_status(),
    }),
    ("DeviceClock::calibrate", |s| {
        if DeviceClock::calibrate_blocking(&s.gpu, Instant::now())?.is_none() {
            return s.parameters.clear_status();
        }
        Ok(())
    }),
];

/// Whether it is said that a device is lost, if need be by the lane that lost it.
fn says_lost(error: &Error) -> bool {
    match error {
        Error::Lane { source, .. } => says_lost(source),
        error => matches!(error, Error::DeviceLost { .. }) && error.to_string().contains("lost"),
    }
}

fn is_lost(name: &str, result: Result<()>) {
    match result {
        Err(error) if says_lost(&error) => {}
        other => panic!("{name}: {other:?}"),
    }
}

/// The same of a call after another has met the loss: lanes that were given up are asked nothing any more.
fn is_lost_still(name: &str, result: Result<()>) {
    match result {
        // The state is the host's, for lanes to come.
        Ok(()) if name == "Parallel::set_state" => {}
        Err(Error::Argument { .. }) if name.starts_with("Parallel") => {}
        result => is_lost(name, result),
    }
}

/// Everything after `destroy()`, one call after another and each as the first.
#[test]
fn after_its_end_every_call_says_lost() {
    within(300, || {
        let mut scenes = vec![Scene::new(noop()), Scene::new(fresh())];
        for scene in &mut scenes {
            scene.fill();
            assert!(!scene.gpu.is_lost());
            scene.gpu.device().destroy();
            assert!(scene.gpu.is_lost());
            for (name, call) in CALLS {
                is_lost_still(name, call(scene));
            }
        }
        for (name, call) in CALLS {
            let mut scene = Scene::new(noop());
            call(&mut scene).unwrap();
            scene.gpu.device().destroy();
            is_lost(name, call(&mut scene));
            assert!(scene.gpu.is_lost(), "{name}");
        }
    });
}

/// Calls `call` until another thread, after so many durations of a call, has destroyed the device.
fn lose_during(name: &str, scene: &mut Scene, call: Call, moment: f64) {
    // The first one makes and compiles what is there for all others.
    call(scene).unwrap();
    let since = Instant::now();
    call(scene).unwrap();
    let delay = since.elapsed().mul_f64(moment);
    let device = scene.gpu.device().clone();
    let go = AtomicBool::new(false);
    let first = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !go.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            let since = Instant::now();
            while since.elapsed() < delay {
                std::hint::spin_loop();
            }
            device.destroy();
        });
        go.store(true, Ordering::Release);
        loop {
            if let Err(error) = call(scene) {
                break error;
            }
        }
    });
    assert!(says_lost(&first), "{name}: {first:?}");
    is_lost_still(name, call(scene));
    assert!(scene.gpu.is_lost(), "{name}");
}

/// Each loss has its own time: a call that hangs is told from a machine that is busy.
fn lost_at_some_moment(name: &'static str, call: Call, random: &mut Random, make: fn() -> Gpu) {
    let moment = 2.0 * f64::from(random.unit());
    within(300, move || lose_during(name, &mut Scene::new(make()), call, moment));
}

#[test]
fn callers_devices_lost_at_any_moment() {
    callers_devices_lost(MOMENTS, 1);
}

#[test]
#[ignore = "a minute of more cases"]
fn callers_devices_lost_at_more_moments() {
    callers_devices_lost(ALL_MOMENTS - MOMENTS, 3);
}

fn callers_devices_lost(moments: u64, seed: u64) {
    let mut random = Random::new(seed);
    for &(name, call) in CALLS {
        for _ in 0..moments {
            lost_at_some_moment(name, call, &mut random, noop);
        }
    }
}

#[test]
fn own_devices_lost_at_any_moment() {
    let mut random = Random::new(2);
    for run in 0..ALL_MOMENTS as usize {
        let (name, call) = CALLS[run % CALLS.len()];
        lost_at_some_moment(name, call, &mut random, fresh);
    }
}
