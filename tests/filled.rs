//! What fills a GPU: measured, and what plans make of it.

use crate::common::gpu;
use wgrad::graph::Graph;
use wgrad::plan::{AdapterClass, Plan, Target};

fn plan(target: &Target) -> Plan {
    let mut graph = Graph::new();
    let (x, dy) = (graph.input("x", [4096, 64]).unwrap(), graph.input("dy", [4096, 64]).unwrap());
    let dw = graph.matmul_layout(wgrad::graph::Layout::TN, x, dy).unwrap();
    Plan::new(&graph, &[dw], target).unwrap()
}

/// A number of invocations that plans take, in little time and without a trace but pipelines.
#[test]
fn a_device_is_measured() {
    let gpu = gpu();
    let invocations = gpu.measure_blocking().unwrap();
    assert!((64..=3 << 19).contains(&invocations), "{invocations}");
    // 2ⁿ or 3·2ⁿ.
    let odd = invocations >> invocations.trailing_zeros();
    assert!(odd == 1 || odd == 3, "{invocations}");
    let before = gpu.counters();
    gpu.measure_blocking().unwrap();
    assert_eq!((gpu.counters() - before).pipelines, 0, "compiled once");
    let planned = gpu.clone().planned_as_gpu(32).filled_by(invocations);
    assert_eq!(planned.target().filled_by, invocations);
    let printed = plan(&planned.target()).to_string();
    assert!(
        printed.contains(&format!("for a GPU that {invocations} invocations fill")),
        "{printed}"
    );
}

/// The more it takes to fill a GPU, the more parts sums have; the plan says so, and is another one.
#[test]
fn plans_go_by_what_fills_a_gpu() {
    let of = |filled_by| plan(&Target { filled_by, ..Target::default() });
    let parts = |filled_by| of(filled_by).choices()[0].parts;
    assert_eq!([1, 1 << 12, 1 << 14, 1 << 16].map(parts), [1, 4, 16, 32]);
    let printed = of(1 << 14).to_string();
    assert!(printed.contains("16384/16384"), "invocations beside those that fill it:\n{printed}");
    assert_ne!(of(1 << 12).fingerprint(), of(1 << 14).fingerprint());
    // A software adapter has processors instead.
    let software =
        |filled_by| plan(&Target { class: AdapterClass::Software, filled_by, ..Target::default() });
    assert_eq!(software(1).fingerprint(), software(1 << 16).fingerprint());
    assert!(!software(1).to_string().contains("for a GPU"));
}
