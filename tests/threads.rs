//! Several threads share one device.

use crate::common;
use crate::common::cases::Net;
use wgrad::exec::{Executor, Step};
use wgrad::graph::Unary;
use wgrad::plan::Plan;

#[test]
fn threads_share_a_device() {
    let gpu = common::gpu();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let gpu = gpu.clone();
            scope.spawn(move || {
                let mut net = Net::new(thread);
                let x = net.input([500_000]);
                let y = net.graph.unary(Unary::Tanh, x).unwrap();
                let plan = Plan::new(&net.graph, &[y], &gpu.target()).unwrap();
                let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
                common::write(&executor, &net.values);
                let first = executor.run_blocking(&[Step::forward(0)]).map(|_| ());
                first.unwrap();
                let expected = executor.read_blocking(y).unwrap();
                for _ in 0..20 {
                    executor.run_blocking(&[Step::forward(0)]).unwrap();
                    assert!(executor.read_blocking(y).unwrap() == expected);
                }
            });
        }
    });
}

/// Some drivers crash when devices are made at the same time, so they are made one after another.
#[test]
fn threads_make_devices_at_once() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert!(!wgrad::Gpu::new_blocking().unwrap().is_lost());
                }
            });
        }
    });
}
