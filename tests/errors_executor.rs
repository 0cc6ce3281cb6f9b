//! What is written to an executor's inputs is looked at first. On the noop device.

use wgrad::exec::Executor;
use wgrad::graph::{Count, Graph, Loss, Tensor};
use wgrad::plan::{Plan, PlanOptions, Target};
use wgrad::{Error, Gpu, Result};

fn executor(graph: &Graph, results: &[Tensor]) -> Executor {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let gpu = Gpu::from_device(&device, &queue);
    let options = PlanOptions { results: results.to_vec(), ..PlanOptions::default() };
    let plan = Plan::with_options(graph, &options, &gpu.target()).unwrap();
    Executor::new_blocking(&gpu, plan).unwrap()
}

fn says(result: Result<()>, words: &[&str]) {
    let error = result.expect_err("must be refused");
    assert!(matches!(error, Error::Argument { .. }), "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "'{error}' does not say '{word}'");
    }
}

#[test]
fn inputs_are_finite() {
    let mut graph = Graph::new();
    let (x, t) = (graph.input("x", [3, 2]).unwrap(), graph.input("t", [3, 2]).unwrap());
    let loss = graph.loss(Loss::MeanSquaredError, x, t).unwrap();
    let executor = executor(&graph, &[loss]);
    for (bad, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let values = [0.0, 1.0, f32::MAX, -0.0, bad, bad];
        says(executor.write(x, &values), &["'x'[4]", word, "finite", "leave its row out"]);
    }
    executor.write(x, &[f32::MAX; 6]).unwrap();
}

/// Labels are checked against the classes of the loss that takes them, whether it takes them at once or
/// rows of them that are drawn in some order.
#[test]
fn labels_are_below_the_number_of_classes() {
    for drawn in [false, true] {
        let mut graph = Graph::new();
        let logits = graph.input("z", [2, 3]).unwrap();
        let labels = graph.index_input("labels", [if drawn { 5 } else { 2 }]).unwrap();
        let order = graph.index_input("order", [5]).unwrap();
        let targets = if drawn { graph.batch(labels, order, 2).unwrap() } else { labels };
        let loss = graph.loss(Loss::SoftmaxCrossEntropy, logits, targets).unwrap();
        let executor = executor(&graph, &[loss]);
        assert_eq!(executor.plan().classes(labels), Some(3));
        assert_eq!(executor.plan().classes(order), None);
        let (good, bad) = if drawn {
            (vec![0, 2, 1, 2, 0], vec![0, 2, 1, 3, 9])
        } else {
            (vec![2, 0], vec![0, 3])
        };
        executor.write_indices(labels, &good).unwrap();
        let place = if drawn { "label 'labels'[3]" } else { "label 'labels'[1]" };
        says(executor.write_indices(labels, &bad), &[place, " is 3;", "below 3", "from 0"]);
        if drawn {
            // Rows, not labels.
            assert_eq!(executor.plan().rows(order), Some(5));
            executor.write_indices(order, &[4; 5]).unwrap();
            let bad = executor.write_indices(order, &[0, 1, 5, 2, 7]);
            says(bad, &["index 'order'[2]", " is 5;", "below 5", "number of rows"]);
        }
    }
}

/// The narrower of two nets that share labels decides.
#[test]
fn the_fewest_classes_count() {
    let mut graph = Graph::new();
    let (wide, narrow) = (graph.input("a", [2, 7]).unwrap(), graph.input("b", [2, 4]).unwrap());
    let labels = graph.index_input("labels", [2]).unwrap();
    let loss = graph.loss(Loss::SoftmaxCrossEntropy, wide, labels).unwrap();
    let hits = graph.count(Count::Correct, narrow, labels).unwrap();
    let plan = Plan::new(&graph, &[loss, hits], &Target::default()).unwrap();
    assert_eq!(plan.classes(labels), Some(4));
}
