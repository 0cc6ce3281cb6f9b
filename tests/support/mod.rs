//! What the tests on goldens share: files, JSON numbers, and plain runs of a graph.
#![allow(dead_code)]

#[cfg(not(target_arch = "wasm32"))]
pub mod memory;
pub mod net;
pub mod onnx;
pub mod optimizer;
#[cfg(not(target_arch = "wasm32"))]
pub mod parallel;
pub mod safetensors;
#[cfg(not(target_arch = "wasm32"))]
pub mod sealed;
#[cfg(not(target_arch = "wasm32"))]
pub mod tables;
#[cfg(not(target_arch = "wasm32"))]
pub mod world;

use approx::abs_diff_eq;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use wgrad::Gpu;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Tensor};
use wgrad::plan::{Place, Plan, PlanOptions};

/// u, the unit roundoff of `f32`: rounding changes a number by at most this share of it.
pub const ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

/// A file under `tests/goldens/`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// A file of the data folder beside the repository, which strangers do not have: then the test is
/// to end, and says so.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: ../shared/data/{name} not found");
    None
}

pub fn json(path: &Path) -> Json {
    let text = std::fs::read_to_string(path).expect("a readable file");
    serde_json::from_str(&text).expect("JSON")
}

/// All numbers of nested arrays, row by row.
pub fn numbers(json: &Json) -> Vec<f64> {
    match json {
        Json::Array(items) => items.iter().flat_map(numbers).collect(),
        Json::Number(number) => vec![number.as_f64().expect("a number")],
        other => panic!("{other} is no number"),
    }
}

pub fn text(json: &Json) -> &str {
    json.as_str().expect("a string")
}

/// The nearest `f32`s.
pub fn f32s(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

pub fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Values of inputs and parameters.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    pub floats: Vec<(Tensor, Vec<f32>)>,
    pub indices: Vec<(Tensor, Vec<u32>)>,
}

impl Feed {
    pub fn write(&self, executor: &Executor) {
        let used = |tensor: Tensor| executor.plan().place(tensor) != Place::Nowhere;
        for (tensor, values) in self.floats.iter().filter(|(tensor, _)| used(*tensor)) {
            executor.write(*tensor, values).expect("values that fit");
        }
        for (tensor, values) in self.indices.iter().filter(|(tensor, _)| used(*tensor)) {
            executor.write_indices(*tensor, values).expect("indices that fit");
        }
    }
}

/// One step of `graph`; returns `outputs`.
pub fn evaluate(
    gpu: &Gpu,
    graph: &Graph,
    fuse: bool,
    feed: &Feed,
    outputs: &[Tensor],
) -> Vec<Vec<f32>> {
    let options = PlanOptions { outputs: outputs.to_vec(), fuse, ..PlanOptions::default() };
    evaluate_with(gpu, graph, &options, feed)
}

/// One step of `graph` by a plan with these options; returns their outputs.
pub fn evaluate_with(
    gpu: &Gpu,
    graph: &Graph,
    options: &PlanOptions,
    feed: &Feed,
) -> Vec<Vec<f32>> {
    let plan = Plan::with_options(graph, options, &gpu.target()).expect("a plan");
    let mut executor = Executor::new_blocking(gpu, plan).expect("an executor");
    feed.write(&executor);
    executor.run_blocking(&[Step::forward(0)]).expect("a step");
    let outputs = options.outputs.iter();
    outputs.map(|&tensor| executor.read_blocking(tensor).expect("an output")).collect()
}

/// Fails unless every element of `found` is within `relative·|expected| + absolute`.
pub fn close(name: &str, found: &[f32], expected: &[f64], relative: f64, absolute: f64) {
    assert_eq!(found.len(), expected.len(), "{name}: number of elements");
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let found = f64::from(found);
        let same = found == expected || found.is_nan() && expected.is_nan();
        let bound = relative * expected.abs() + absolute;
        assert!(
            same || abs_diff_eq!(found, expected, epsilon = bound),
            "{name}, element {i}: {found:e}, not {expected:e} ± {bound:.2e}"
        );
    }
}
