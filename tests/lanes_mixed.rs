//! Mixed precision over lanes.

use std::sync::Arc;

use crate::common::lanes;
use crate::support::bits;
use crate::support::parallel::{run_to, start, state_bits};
use crate::training_mixed::{config, data, model, net};
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::Optimizer;
use wgrad::train::{FitOptions, Precision};

/// Lanes come to the bits of one, and with one micro-batch to those of `fit`, also where a batch is not full; what
/// crosses from stage to stage would not.
#[test]
fn lanes_come_to_the_same_bits() {
    let (data, compile) = (Arc::new(data(103)), config(Optimizer::adam(0.01), Precision::mixed()));
    let of = |schedule, count, micro_batches| {
        let options = ParallelOptions::new(25, micro_batches, schedule);
        let mut parallel = start((net(), compile.clone(), &data), options, &lanes(count)).unwrap();
        let losses = run_to(&mut parallel, 15).unwrap();
        (bits(&losses), state_bits(parallel.state()))
    };
    let serial = of(Schedule::Serial, 1, 5);
    assert!(serial == of(Schedule::data_parallel(), 2, 5));
    assert!(serial == of(Schedule::Overlapped, 1, 5));
    let mut model = model(Optimizer::adam(0.01), Precision::mixed());
    let history = model.fit_blocking(&data, FitOptions::new(3).batch_size(25).in_order()).unwrap();
    assert_eq!(bits(&history.batch_losses), of(Schedule::Serial, 1, 1).0);
    let options = ParallelOptions::new(25, 5, Schedule::pipeline());
    let error = start((net(), compile.clone(), &data), options, &lanes(2)).unwrap_err().to_string();
    assert!(error.contains("use data-parallel, or `Precision::F32`"), "{error}");
}
