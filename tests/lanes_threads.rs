//! A system that gives no threads. That cannot be asked of the one that the tests run on, so each test
//! runs itself again as a process in which no thread can be had: its stack would not fit the memory.

use std::process::Command;
use std::sync::Arc;

use wgrad::data::Dataset;
use wgrad::lanes::Schedule;
use wgrad::lanes::{Parallel, ParallelOptions};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::TrainingConfig;
use wgrad::{Error, Gpu};

/// The standard library's name for the least bytes of a thread's stack.
const STACK: &str = "RUST_MIN_STACK";
/// More than the addresses of a process.
const TOO_LARGE: u64 = 1 << 47;

/// Runs `body` where no thread can be had: the test called `name` of this file, in a process of its own.
fn without_threads(name: &str, body: impl FnOnce()) {
    if std::env::var(STACK).as_deref() == Ok(&TOO_LARGE.to_string()) {
        std::thread::Builder::new().spawn(|| ()).map(drop).expect_err("a thread");
        return body();
    }
    let (_, file) = module_path!().split_once("::").unwrap();
    let process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{file}::{name}"), "--test-threads=1"])
        .env(STACK, TOO_LARGE.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&process.stdout);
    assert!(process.status.success() && said.contains("1 passed"), "{said}");
}

fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu::from_device(&device, &queue)
}

fn parallel(schedule: Schedule, lanes: usize) -> Parallel {
    let data = Dataset::regression(vec![0.5; 16], 2, vec![0.25; 8], 1).unwrap();
    let net = Sequential::new(2).dense(3).relu().dense(1);
    let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
    let gpus: Vec<Gpu> = (0..lanes).map(|_| noop()).collect();
    let options = ParallelOptions::new(4, 2, schedule);
    Parallel::new_blocking(net, compile, Arc::new(data), options, &gpus).unwrap()
}

/// A lane without a thread says so, with what to do; so do those that waited for it. No step is done.
#[test]
fn lanes_without_threads_say_so() {
    without_threads("lanes_without_threads_say_so", || {
        for (schedule, lanes) in [
            (Schedule::Serial, 1),
            (Schedule::Overlapped, 1),
            (Schedule::pipeline(), 2),
            (Schedule::data_parallel(), 3),
        ] {
            let mut parallel = parallel(schedule.clone(), lanes);
            let before = parallel.state().clone();
            for _ in 0..2 {
                let error = parallel.run(0..2).expect_err("no thread");
                let Error::Lane { lane: 0, step: 0, source, .. } = &error else {
                    panic!("{schedule:?}: {error:?}")
                };
                assert!(matches!(**source, Error::Thread { .. }), "{schedule:?}: {error:?}");
                let text = error.to_string();
                for part in ["no thread for lane 0", "use fewer lanes", "ulimit -u"] {
                    assert!(text.contains(part), "{schedule:?}: {text}");
                }
                assert_eq!(*parallel.state(), before, "{schedule:?}");
            }
        }
    });
}

/// Where there are threads, the same trains.
#[test]
fn lanes_with_threads_train() {
    let mut parallel = parallel(Schedule::data_parallel(), 3);
    assert_eq!(parallel.run(0..2).unwrap().len(), 2);
    assert_eq!(parallel.state().step, 2);
}
