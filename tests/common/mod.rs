//! What the tests share: an f64 twin of every operation, numbers that carry their error bound, and
//! graphs in which each operation stands in the middle.
#![allow(dead_code, unused_imports)]

pub mod cases;
pub mod cases_arrays;
pub mod cases_layers;
pub mod device;
pub mod num;
pub mod random;
pub mod threefry;
pub mod training;
pub mod twin;
pub mod twin_arrays;
pub mod twin_half;
pub mod twin_losses;
pub mod twin_update;

pub use device::{
    Run, check, check_run, compare, fresh, gpu, lanes, narrowest, run, step_from, tilings,
    tilings_in_turn, within_bounds, write, write_raw,
};

use cases::Case;
use twin::Value;
use wgrad::graph::Tensor;

/// The derivative of the case's scalar by each element of `tensor`, which may be a value in
/// between: the five-point formula, in f64.
pub fn finite_differences(case: &Case, tensor: Tensor) -> Vec<f64> {
    let step = 5e-4;
    let mut values = case.values.clone();
    let all = twin::evaluate(&case.graph, &case.values, 0);
    let origin = all[&tensor].floats().to_vec();
    let mut at = |element: usize, offset: f64| {
        let mut moved = origin.clone();
        moved[element].value += offset;
        values.insert(tensor, Value::F(moved));
        twin::evaluate(&case.graph, &values, 0)[&case.of].floats()[0].value
    };
    (0..origin.len())
        .map(|i| {
            let near = at(i, step) - at(i, -step);
            let far = at(i, 2.0 * step) - at(i, -2.0 * step);
            (8.0 * near - far) / (12.0 * step)
        })
        .collect()
}

/// What a device is given of `value`.
pub fn f32s(value: &Value) -> Vec<f32> {
    value.floats().iter().map(|x| x.value as f32).collect()
}
