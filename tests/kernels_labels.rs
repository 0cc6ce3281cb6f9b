//! Class labels past the last class, in a buffer that an app owns: nobody but the device sees them. The
//! loss is NaN, the row counts as wrong, and training halts.

use crate::common::gpu;
use crate::common::random::Random;
use proptest::prelude::*;
use wgrad::exec::{Executor, ExecutorOptions, Step};
use wgrad::graph::{Count, Graph, Loss, Tensor, UpdateRule};
use wgrad::plan::{Plan, PlanOptions};
use wgrad::{Error, Gpu};

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

/// A buffer of the app's with these words.
fn lent(gpu: &Gpu, words: &[u32]) -> wgpu::Buffer {
    use wgpu::BufferUsages as Usage;
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4 * words.len() as u64,
        usage: Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC,
        mapped_at_creation: false,
    });
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    gpu.queue().write_buffer(&buffer, 0, &bytes);
    buffer
}

/// Loss, rows that are right and gradient of `logits` (rows×columns) for the app's `labels`.
fn classified(logits: &[f32], labels: &[u32], fuse: bool) -> [Vec<f32>; 3] {
    let (gpu, rows) = (gpu(), labels.len());
    let mut graph = Graph::new();
    let z = graph.input("z", [rows, logits.len() / rows]).unwrap();
    let t = graph.index_input("labels", [rows]).unwrap();
    let loss = graph.loss(Loss::SoftmaxCrossEntropy, z, t).unwrap();
    let right = graph.count(Count::Correct, z, t).unwrap();
    let dz = graph.gradients(loss, &[z]).unwrap()[0];
    let outputs = [loss, right, dz];
    let options = PlanOptions { outputs: outputs.to_vec(), fuse, ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu.target()).unwrap();
    let inputs = vec![(t, lent(&gpu, labels))];
    let options = ExecutorOptions { inputs, ..ExecutorOptions::default() };
    let mut executor = Executor::with_options_blocking(&gpu, plan, options).unwrap();
    executor.write(z, logits).unwrap();
    executor.run_blocking(&[Step::forward(0)]).unwrap();
    outputs.map(|tensor| executor.read_blocking(tensor).unwrap())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// One row's label is replaced by one that there is not.
fn check(rows: usize, columns: usize, bad_row: usize, bad_label: u32, seed: u64) {
    let mut random = Random::new(seed);
    let logits = random.many(rows * columns, |r| r.uniform(-3.0, 3.0));
    let mut labels: Vec<u32> = (0..rows).map(|_| random.below(columns) as u32).collect();
    // Were it taken for the last class, that would be right.
    let row = &logits[bad_row * columns..(bad_row + 1) * columns];
    let best = (0..columns).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    labels[bad_row] = best as u32;
    for fuse in [true, false] {
        let [loss, right, gradient] = classified(&logits, &labels, fuse);
        assert!(loss[0].is_finite());
        let mut wrong = labels.clone();
        wrong[bad_row] = bad_label;
        let [bad_loss, bad_right, bad_gradient] = classified(&logits, &wrong, fuse);
        let name =
            format!("label {bad_label} of {columns} in row {bad_row} of {rows}, fused: {fuse}");
        assert!(bad_loss[0].is_nan(), "{name}: loss {}", bad_loss[0]);
        assert_eq!(bad_right[0], right[0] - 1.0, "{name}");
        let (own, others): (Vec<usize>, Vec<usize>) =
            (0..gradient.len()).partition(|at| at / columns == bad_row);
        assert!(own.iter().all(|&at| bad_gradient[at].is_nan()), "{name}: {bad_gradient:?}");
        let of = |values: &[f32]| bits(&others.iter().map(|&at| values[at]).collect::<Vec<_>>());
        assert_eq!(of(&bad_gradient), of(&gradient), "{name}");
    }
}

#[test]
fn a_label_past_the_last_class_is_no_class() {
    for (rows, columns) in [(1, 2), (5, 3), (4, 10), (3, 300), (70, 7)] {
        for bad_label in [columns as u32, columns as u32 + 1, 0x7fc0_0000, u32::MAX] {
            check(rows, columns, rows / 2, bad_label, 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn no_label_past_the_last_class_is_a_class(
        rows in 1..40usize,
        columns in 2..600usize,
        row in any::<prop::sample::Index>(),
        past in prop_oneof![0..4u32, any::<u32>()],
        seed in any::<u64>(),
    ) {
        let label = (columns as u32).saturating_add(past);
        check(rows, columns, row.index(rows), label, seed);
    }
}

/// A step on such a label moves nothing, and no later one does; labels that are drawn through an order
/// of rows past the end, too.
#[test]
fn training_halts() {
    let gpu = gpu();
    let (rows, batch, columns) = (12, 4, 3);
    for (labels, order) in [
        ((0..12).map(|row| if row == 6 { 3 } else { row % 3 }).collect::<Vec<u32>>(), None),
        ((0..12).map(|row| row % 3).collect(), Some(6)),
    ] {
        let mut graph = Graph::new();
        let x = graph.input("x", [rows, 2]).unwrap();
        let t = graph.index_input("labels", [rows]).unwrap();
        let drawn = graph.index_input("order", [rows]).unwrap();
        let w = graph.parameter("w", [2, columns]).unwrap();
        let (xs, ts) =
            (graph.batch(x, drawn, batch).unwrap(), graph.batch(t, drawn, batch).unwrap());
        let z = graph.matmul(xs, w).unwrap();
        let loss = graph.loss(Loss::SoftmaxCrossEntropy, z, ts).unwrap();
        let gradient = graph.gradients(loss, &[w]).unwrap()[0];
        graph.update(SGD, None, loss, &[(w, gradient)]).unwrap();
        let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
        let plan = Plan::with_options(&graph, &options, &gpu.target()).unwrap();
        let rows_of = |at: u32| if order == Some(at) { 12 } else { at };
        let words: Vec<u32> = (0..12).map(rows_of).collect();
        let inputs: Vec<(Tensor, wgpu::Buffer)> =
            vec![(t, lent(&gpu, &labels)), (drawn, lent(&gpu, &words))];
        let options = ExecutorOptions { inputs, ..ExecutorOptions::default() };
        let mut executor = Executor::with_options_blocking(&gpu, plan, options).unwrap();
        executor.write(x, &Random::new(3).many(rows * 2, |r| r.uniform(-1.0, 1.0))).unwrap();
        executor.write(w, &[0.1, -0.2, 0.3, 0.2, 0.0, -0.1]).unwrap();
        let step = |number: u64| Step::training(SGD, number, (number as u32 % 3) * 4, 0.1);
        executor.run_blocking(&[step(0)]).unwrap();
        let good = executor.read_blocking(w).unwrap();
        let error = executor.run_blocking(&[step(1), step(2), step(3)]).expect_err("no such class");
        let Error::NotFinite { step: 1, loss: Some(loss), .. } = error else { panic!("{error:?}") };
        assert!(loss.is_nan(), "{loss}");
        assert_eq!(bits(&executor.read_blocking(w).unwrap()), bits(&good));
    }
}
