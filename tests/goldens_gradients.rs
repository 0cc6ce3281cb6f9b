//! A small network against logits, losses and gradients that jax computed in f64
//! (`goldens/mlp_grads.json`; checked there against numpy and finite differences).

use crate::common;
use crate::support::{Feed, ROUNDOFF, close, evaluate_with, f32s, golden, json, numbers, text};
use serde_json::Value as Json;
use wgrad::graph::{DType, Graph, Loss, Tensor, TensorInfo, Unary};
use wgrad::plan::{Plan, PlanOptions, Precision};

/// The net of the file: dense layers with an activation between them.
struct Net {
    graph: Graph,
    feed: Feed,
    x: Tensor,
    logits: Tensor,
    /// Weight and bias of each layer.
    layers: Vec<(Tensor, Tensor)>,
}

impl Net {
    fn new(file: &Json, activation: Unary) -> Self {
        let sizes: Vec<usize> = numbers(&file["sizes"]).iter().map(|&n| n as usize).collect();
        let batch = file["batch"].as_u64().expect("a number") as usize;
        let mut graph = Graph::new();
        let x = graph.input("x", [batch, sizes[0]]).unwrap();
        let mut feed = Feed::default();
        feed.floats.push((x, f32s(&numbers(&file["x"]))));
        let mut y = x;
        let mut layers = Vec::new();
        for (i, pair) in sizes.windows(2).enumerate() {
            let weight = graph.parameter(&format!("w{i}"), [pair[0], pair[1]]).unwrap();
            let bias = graph.parameter(&format!("b{i}"), [pair[1]]).unwrap();
            feed.floats.push((weight, f32s(&numbers(&file["W"][i]))));
            feed.floats.push((bias, f32s(&numbers(&file["b"][i]))));
            y = graph.matmul(y, weight).unwrap();
            y = graph.bias_add(y, bias).unwrap();
            if i + 2 < sizes.len() {
                y = graph.unary(activation, y).unwrap();
            }
            layers.push((weight, bias));
        }
        Self { graph, feed, x, logits: y, layers }
    }

    fn loss(&mut self, file: &Json, name: &str) -> Tensor {
        let shape = self.graph.shape(self.logits).unwrap().clone();
        let values = numbers(&file["y_reg"]);
        let graph = &mut self.graph;
        let (loss, targets) = match name {
            "softmax_ce_mean" => {
                let labels = graph.index_input("labels", [shape.rows()]).unwrap();
                let classes = numbers(&file["y_cls"]).iter().map(|&c| c as u32).collect();
                self.feed.indices.push((labels, classes));
                (Loss::SoftmaxCrossEntropy, labels)
            }
            "mse_mean" => {
                let targets = graph.input("targets", shape).unwrap();
                self.feed.floats.push((targets, f32s(&values)));
                (Loss::MeanSquaredError, targets)
            }
            other => panic!("the file has a loss '{other}' that this test does not know"),
        };
        graph.loss(loss, self.logits, targets).unwrap()
    }
}

fn activation(name: &str) -> Unary {
    match name {
        "relu" => Unary::Relu,
        "sigmoid" => Unary::Sigmoid,
        other => panic!("the file has an activation '{other}' that this test does not know"),
    }
}

#[test]
fn logits_losses_and_gradients_of_jax() {
    let file = json(&golden("mlp_grads.json"));
    let cases = file["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let (act, loss_name) = (text(&case["act"]), text(&case["loss"]));
        let mut net = Net::new(&file, activation(act));
        let loss = net.loss(&file, loss_name);
        let mut wrt = vec![net.x];
        wrt.extend(net.layers.iter().flat_map(|&(weight, bias)| [weight, bias]));
        let gradients = net.graph.gradients(loss, &wrt).unwrap();
        let mut outputs = vec![net.logits, loss];
        outputs.extend(gradients);
        let mut expected = vec![("logits".to_string(), numbers(&case["logits"]))];
        expected.push(("loss".into(), numbers(&case["value"])));
        expected.push(("gradient of x".into(), numbers(&case["grad_x"])));
        for (i, layer) in case["grads"].as_array().expect("layers").iter().enumerate() {
            expected.push((format!("gradient of w{i}"), numbers(&layer["W"])));
            expected.push((format!("gradient of b{i}"), numbers(&layer["b"])));
        }
        assert_eq!(outputs.len(), expected.len(), "every tensor of the case is compared");
        let ways = [
            (true, Precision::F32, 64.0 * ROUNDOFF),
            (false, Precision::F32, 64.0 * ROUNDOFF),
            // Of what is rounded to 11 digits a gradient has weights, activations, their gradients and those of the
            // loss on its way, four at most, and terms that cancel.
            (true, Precision::mixed(), 8.0 / 2048.0),
        ];
        // Plans of a page are of 32 bits.
        let ways = ways.into_iter().filter(|(_, precision, _)| {
            !cfg!(target_arch = "wasm32") || *precision == Precision::F32
        });
        for (fuse, precision, reach) in ways {
            let options =
                PlanOptions { outputs: outputs.clone(), fuse, precision, ..PlanOptions::default() };
            let plan = Plan::with_options(&net.graph, &options, &common::gpu().target()).unwrap();
            let is_half = |info: &&TensorInfo| info.dtype == DType::F16;
            let half = plan.tensors().iter().filter(is_half).count();
            assert_eq!(half > 0, precision != Precision::F32, "{half} tensors in 16 bits");
            let found = evaluate_with(&common::gpu(), &net.graph, &options, &net.feed);
            for ((name, expected), found) in expected.iter().zip(&found) {
                // Three layers forward and three back, each a sum of at most 8 terms: about 60
                // roundings, relative to the tensor's size since terms cancel.
                let largest = expected.iter().fold(0.0f64, |a, b| a.max(b.abs()));
                let name = format!("{act}, {loss_name}, {name} (fuse: {fuse}, {precision:?})");
                close(&name, found, expected, 0.0, reach * largest);
            }
        }
    }
}
