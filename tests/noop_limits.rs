//! Devices with less room than a model, its data or a block of it would take at once. On wgpu's noop
//! device.

use crate::counted::*;
use proptest::prelude::RngCore;
use wgrad::Error;
use wgrad::data::Dataset;
use wgrad::graph::Graph;
use wgrad::nn::{Optimizer, Sequential};
use wgrad::plan::{Plan, Target};
use wgrad::train::{FitOptions, Residency};

#[test]
fn tensors_over_the_binding_limit_are_refused() {
    let mut graph = Graph::new();
    let elements = (128 << 20) / 4 + 1;
    let x = graph.input("big", [elements]).unwrap();
    let y = graph.scale(x, 2.0).unwrap();
    let error = Plan::new(&graph, &[y], &Target::default()).expect_err("too large");
    let Error::Limit { what, needed, limit, allowed, remedy, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(what.contains("big"), "{what}");
    assert_eq!((*needed, *allowed), ((128 << 20) + 4, 128 << 20));
    assert_eq!(*limit, "the device's maxStorageBufferBindingSize");
    assert!(remedy.contains("smaller"), "{remedy}");
    // Exactly the limit is not over it.
    let mut graph = Graph::new();
    let x = graph.input("fits", [elements - 1]).unwrap();
    let y = graph.scale(x, 2.0).unwrap();
    assert!(Plan::new(&graph, &[y], &Target::default()).is_ok());
    // The same for a parameter, before anything is allocated.
    let gpu = noop();
    let net = Sequential::new(1 << 13).dense(1 << 13);
    let compile = general(Optimizer::sgd(0.1));
    let (counters, error) =
        counted(&gpu, || net.compile_blocking(&gpu, compile).expect_err("256 MiB"));
    assert!(matches!(error, Error::Limit { .. }), "{error:?}");
    assert!(error.to_string().contains("dense_0.weight"), "{error}");
    assert_eq!(counters.buffers, 0);
}

/// Parameters beyond one binding lie in several buffers; each is one more dispatch of the update.
#[test]
fn parameters_over_a_binding_lie_in_chunks() {
    let gpu = small(64 << 10);
    let data = Dataset::regression(vec![0.5; 100 * 4], 4, vec![0.5; 100], 1).unwrap();
    let dispatches = |units: usize| {
        let net = Sequential::new(4).dense(units).relu().dense(units).relu().dense(1);
        let compile = general(Optimizer::adam(1e-3));
        let mut model = net.compile_blocking(&gpu, compile).unwrap();
        let chunks = model.parameters().layout().chunks.len();
        let layout = model.parameters().layout().clone();
        for (number, entry) in layout.entries.iter().enumerate() {
            assert_eq!(entry.offset % 256, 0, "bindable");
            let end = entry.offset + entry.shape.bytes() as u64;
            assert!(end <= layout.chunks[entry.chunk] && end <= 64 << 10);
            let next = layout.entries.get(number + 1);
            assert!(next.is_none_or(|n| n.chunk > entry.chunk || n.offset >= end), "no overlap");
        }
        let fit = FitOptions::new(1).full_batch();
        let counters = counted(&gpu, || model.fit_blocking(&data, fit).unwrap()).0;
        (chunks, counters.dispatches)
    };
    let (one, few) = dispatches(8);
    let (several, more) = dispatches(128);
    assert_eq!((one, several), (1, 3));
    assert_eq!(more - few, 2, "one update for each further chunk");
}

#[test]
fn data_over_the_limit_is_streamed_or_refused() {
    let gpu = small(64 << 10);
    let rows = 5000;
    let data = Dataset::regression(vec![0.5; rows * 4], 4, vec![0.5; rows], 1).unwrap();
    let net = || Sequential::new(4).dense(4).dense(1);
    let compile = || general(Optimizer::sgd(0.1));
    let mut model = net().compile_blocking(&gpu, compile()).unwrap();
    let fit = |residency| FitOptions::new(1).batch_size(50).residency(residency);
    let error = model.fit_blocking(&data, fit(Residency::Resident)).expect_err("80,000 bytes");
    let Error::Limit { what, needed: 80_000, allowed: 65_536, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(what.contains("features"), "{what}");
    for residency in [Residency::Auto, Residency::Streamed] {
        let history = model.fit_blocking(&data, fit(residency)).unwrap();
        assert_eq!(history.batch_losses.len(), 100);
    }
    // A single batch that is too large cannot be streamed either.
    let error = model.fit_blocking(&data, FitOptions::new(1).full_batch()).expect_err("a batch");
    assert!(matches!(error, Error::Limit { .. }), "{error:?}");
    // A failed call leaves the model as it was.
    assert_eq!(model.steps(), 200);
}

/// A net whose hidden layer is so wide that 1024 rows of it fit no binding trains, is validated, evaluated
/// and predicts at WebGPU's default limits, whose blocks are as small as they must be.
#[test]
fn blocks_are_as_large_as_the_widest_layer_allows() {
    let gpu = noop();
    let net = Sequential::new(4).dense(40_000).dense(1);
    let mut model = net.compile_blocking(&gpu, general(Optimizer::sgd(0.05))).unwrap();
    let rows = 3000;
    let data = Dataset::regression(vec![0.5; rows * 4], 4, vec![0.5; rows], 1).unwrap();
    let history = model.fit_blocking(&data, FitOptions::new(1).validation_split(0.5)).unwrap();
    assert_eq!(history.last().unwrap().validation.as_ref().unwrap().rows, 1500);
    let (counters, evaluation) = counted(&gpu, || model.evaluate_blocking(&data).unwrap());
    assert_eq!(evaluation.rows, rows);
    // 32 MiB hold 209 rows of 160,000 bytes.
    assert_eq!(counters.dispatches, 3000_u64.div_ceil(209) * 5, "{counters:?}");
    assert_eq!(model.predict_blocking(&vec![0.5; rows * 4]).unwrap().len(), rows);
}

/// So it is on a device with less, and where the target is wider than the features.
#[test]
fn blocks_fit_smaller_devices() {
    let mut random = proptest::test_runner::TestRng::deterministic_rng(Default::default());
    for _ in 0..12 {
        let mut draw = |most: u32| 1 + (random.next_u32() % most) as usize;
        let gpu = small(1 << (15 + draw(5)));
        let (inputs, hidden, outputs, rows) = (draw(9), draw(700), draw(40), draw(2000));
        let net = Sequential::new(inputs).dense(hidden).relu().dense(outputs);
        let data = vec![0.5; rows * inputs];
        let data = Dataset::regression(data, inputs, vec![0.5; rows * outputs], outputs).unwrap();
        let said = format!("{inputs}-{hidden}-{outputs}, {rows} rows, {:?}", gpu.target());
        let mut model = match net.compile_blocking(&gpu, general(Optimizer::adam(0.05))) {
            Ok(model) => model,
            // A layer's weights that fit no binding are refused before anything runs.
            Err(Error::Limit { what, .. }) if what.contains("weight") => continue,
            Err(error) => panic!("{said}: {error}"),
        };
        for residency in [Residency::Auto, Residency::Streamed] {
            let fit = FitOptions::new(1).batch_size(1 + rows / 100).residency(residency);
            match model.fit_blocking(&data, fit.validation(&data)) {
                Ok(_) | Err(Error::Limit { .. }) => {}
                Err(error) => panic!("{said}: {error}"),
            }
        }
        let evaluation = model.evaluate_blocking(&data);
        assert_eq!(evaluation.unwrap_or_else(|error| panic!("{said}: {error}")).rows, rows);
        let predicted = model.predict_blocking(data.features());
        assert_eq!(
            predicted.unwrap_or_else(|error| panic!("{said}: {error}")).len(),
            rows * outputs
        );
    }
}
