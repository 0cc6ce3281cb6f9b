//! ONNX nodes as operations of a graph: one function per operator, shapes and attributes as ONNX
//! defines them. What the graph has no operation for is composed of those it has: broadcasting is
//! `expand`, any rearrangement (transposing, slicing, tiling) is a `gather` with indices that the
//! host works out.

mod compound;
mod session;

use std::collections::HashMap;

use serde_json::Value as Json;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Layout, Tensor, Unary, UpdateRule};
use wgrad::kernel::Arena;
use wgrad::plan::Plan;

use session::{Item, Session};

use crate::support::safetensors::Array;
use crate::support::{evaluate, f32s, numbers, text};

/// A case of the backend test suite.
pub struct Case<'a> {
    pub entry: &'a Json,
    pub arrays: &'a HashMap<String, Array>,
}

impl Case<'_> {
    pub fn name(&self) -> &str {
        text(&self.entry["case"])
    }

    pub fn op(&self) -> &str {
        text(&self.entry["op"])
    }

    fn list(&self, key: &str) -> impl Iterator<Item = (&str, &Array)> {
        let items = self.entry[key].as_array().expect("a list");
        items.iter().map(|item| (text(&item["name"]), &self.arrays[text(&item["tensor"])]))
    }

    pub fn expected(&self) -> Vec<(&str, &Array)> {
        self.list("outputs").collect()
    }

    /// Runs the case; its outputs in order.
    pub fn run(&self, fuse: bool) -> Vec<Vec<f32>> {
        if let "Adam" | "Momentum" = self.op() {
            return self.run_optimizer();
        }
        let mut session = Session::default();
        for (name, array) in self.list("inputs").chain(self.list("inits")) {
            session.items.insert(name.into(), Item { array: Some(array.clone()), tensor: None });
        }
        for node in self.entry["nodes"].as_array().expect("nodes") {
            session.node(node);
        }
        let outputs: Vec<Tensor> = self
            .expected()
            .iter()
            .map(|(name, array)| {
                let tensor = session.tensor(name);
                let shape = session.graph.shape(tensor).unwrap();
                assert_eq!(shape.dims(), array.shape, "{}: shape of '{name}'", self.name());
                tensor
            })
            .collect();
        evaluate(&crate::common::gpu(), &session.graph, fuse, &session.feed, &outputs)
    }

    /// One update with the states that the case brings. All cases have `T = 0`, ONNX's first step,
    /// in which nothing is corrected: ε then stands beside the uncorrected root, as the graph's rule
    /// has it with corrections of 1.
    fn run_optimizer(&self) -> Vec<Vec<f32>> {
        let node = &self.entry["nodes"][0];
        let inputs: Vec<&Array> = self.list("inputs").map(|(_, array)| array).collect();
        let [rate, count, x, gradient, states @ ..] = inputs.as_slice() else {
            panic!("{}: inputs R, T, X, G and states", self.name())
        };
        assert_eq!(count.values, [0.0], "{}: T", self.name());
        let attribute = |name: &str| number(node, name).expect("an attribute") as f32;
        let weight_decay = attribute("norm_coefficient");
        let rule = match self.op() {
            "Adam" => UpdateRule::Adam {
                beta1: attribute("alpha"),
                beta2: attribute("beta"),
                epsilon: attribute("epsilon"),
                weight_decay,
                decoupled: false,
            },
            _ => {
                UpdateRule::Momentum { momentum: attribute("alpha"), nesterov: false, weight_decay }
            }
        };
        let mut graph = Graph::new();
        let p = graph.parameter("x", x.shape.as_slice()).unwrap();
        let g = graph.input("g", x.shape.as_slice()).unwrap();
        let product = graph.mul(p, g).unwrap();
        let loss = graph.sum(product, 0).unwrap();
        let gradients = graph.gradients(loss, &[p]).unwrap();
        graph.update(rule, None, loss, &[(p, gradients[0])]).unwrap();
        let gpu = crate::common::gpu();
        let plan = Plan::new(&graph, &[], &gpu.target()).unwrap();
        let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
        executor.write(p, &f32s(&x.values)).unwrap();
        executor.write(g, &f32s(&gradient.values)).unwrap();
        let arenas = [0, 1].map(Arena::State);
        for (state, arena) in states.iter().zip(arenas) {
            let buffer = executor.parameters().buffer(arena, 0).unwrap();
            let values = f32s(&state.values);
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            gpu.queue().write_buffer(buffer, 0, &bytes);
        }
        // So late that Adam's corrections are 1: ONNX has none.
        let step = Step::training(rule, u64::MAX, 0, rate.values[0] as f32);
        executor.run_blocking(&[step]).unwrap();
        let mut outputs = vec![executor.read_blocking(p).unwrap()];
        for (_, arena) in states.iter().zip(arenas) {
            outputs.push(read_buffer(&executor, arena, x.values.len()));
        }
        outputs
    }
}

fn read_buffer(executor: &Executor, arena: Arena, elements: usize) -> Vec<f32> {
    let (gpu, bytes) = (executor.gpu(), elements as u64 * 4);
    let staging = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let buffer = executor.parameters().buffer(arena, 0).unwrap();
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes);
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("mapped"));
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("the device");
    let view = staging.get_mapped_range(..).expect("mapped");
    view.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))).collect()
}

impl Session {
    fn node(&mut self, node: &Json) {
        let names = |key: &str| -> Vec<String> {
            node[key].as_array().expect("names").iter().map(|n| text(n).to_string()).collect()
        };
        let (inputs, outputs) = (names("inputs"), names("outputs"));
        let results = match text(&node["op"]) {
            "Constant" => {
                let value = &node["attrs"]["value"];
                let shape = numbers(&value["dims"]).iter().map(|&n| n as usize).collect();
                let values = numbers(&value["tensor"]);
                let array = Some(Array { shape, values, dtype: "F32".into() });
                self.items.insert(outputs[0].clone(), Item { array, tensor: None });
                return;
            }
            "Gradient" => {
                let wrt: Vec<Tensor> = inputs.iter().map(|name| self.tensor(name)).collect();
                let y = self.tensor(text(&node["attrs"]["y"]));
                self.graph.gradients(y, &wrt).unwrap()
            }
            op => self.operator(op, node, &inputs),
        };
        for (name, tensor) in outputs.into_iter().zip(results) {
            self.items.insert(name, Item { array: None, tensor: Some(tensor) });
        }
    }

    fn operator(&mut self, op: &str, node: &Json, inputs: &[String]) -> Vec<Tensor> {
        let x = self.tensor(&inputs[0]);
        let dims = self.dims(x);
        let second = |session: &mut Self| session.tensor(&inputs[1]);
        let attribute = |name: &str, default: f64| number(node, name).unwrap_or(default);
        let axis = |default: i64| axis_of(attribute("axis", default as f64) as i64, dims.len());
        vec![match op {
            "Abs" => self.unary(Unary::Abs, x),
            "Exp" => self.unary(Unary::Exp, x),
            "Log" => self.unary(Unary::Log, x),
            "Reciprocal" => self.unary(Unary::Reciprocal, x),
            "Relu" => self.unary(Unary::Relu, x),
            "Sigmoid" => self.unary(Unary::Sigmoid, x),
            "Sqrt" => self.unary(Unary::Sqrt, x),
            "Tanh" => self.unary(Unary::Tanh, x),
            "Gelu" => {
                let exact = node["attrs"].get("approximate").is_none_or(|a| text(a) == "none");
                self.unary(if exact { Unary::Gelu } else { Unary::GeluTanh }, x)
            }
            "LeakyRelu" => {
                let slope = attribute("alpha", 0.01) as f32;
                self.unary(Unary::LeakyRelu { slope }, x)
            }
            "PRelu" => {
                let slope = second(self);
                let (positive, negative) = self.parts(x);
                // A slope per channel stands along the second axis (operator set 6).
                let shape = self.dims(slope);
                let channels = dims.len() > 2 && shape.len() == 1 && shape[0] > 1;
                let slope = if channels { self.per_channel(slope, &dims) } else { slope };
                let negative = self.mul(negative, slope);
                self.add(positive, negative)
            }
            "Selu" => {
                let (alpha, gamma) = (
                    attribute("alpha", 1.6732632423543772),
                    attribute("gamma", 1.0507009873554805),
                );
                let (positive, negative) = self.parts(x);
                let power = self.unary(Unary::Exp, negative);
                let below = self.plus(power, -1.0);
                let below = self.scale(below, alpha);
                let sum = self.add(positive, below);
                self.scale(sum, gamma)
            }
            "HardSigmoid" => {
                let scaled = self.scale(x, attribute("alpha", 0.2));
                let line = self.plus(scaled, attribute("beta", 0.5));
                let above = self.plus(line, -1.0);
                let (line, above) = (self.unary(Unary::Relu, line), self.unary(Unary::Relu, above));
                self.sub(line, above)
            }
            "Softsign" => {
                let size = self.unary(Unary::Abs, x);
                let size = self.plus(size, 1.0);
                self.div(x, size)
            }
            "Clip" => {
                let (low, high) =
                    (self.host(&inputs[1]).values[0], self.host(&inputs[2]).values[0]);
                let above = self.plus(x, -low);
                let above = self.unary(Unary::Relu, above);
                let at_least = self.plus(above, low);
                let negated = self.scale(at_least, -1.0);
                let below = self.plus(negated, high);
                let below = self.unary(Unary::Relu, below);
                let below = self.scale(below, -1.0);
                self.plus(below, high)
            }
            "Add" => {
                let b = second(self);
                self.add(x, b)
            }
            "Sub" => {
                let b = second(self);
                self.sub(x, b)
            }
            "Mul" => {
                let b = second(self);
                self.mul(x, b)
            }
            "Div" => {
                let b = second(self);
                self.div(x, b)
            }
            "Sum" | "Mean" => {
                let share = if op == "Mean" { 1.0 / inputs.len() as f64 } else { 1.0 };
                let sum = inputs[1..].iter().fold(x, |sum, name| {
                    let b = self.tensor(name);
                    self.add(sum, b)
                });
                self.scale(sum, share)
            }
            "Softmax" | "LogSoftmax" => {
                let axis = axis(-1);
                match op {
                    "Softmax" => self.graph.softmax(x, axis).unwrap(),
                    _ => self.graph.log_softmax(x, axis).unwrap(),
                }
            }
            "MatMul" => {
                let b = second(self);
                self.graph.matmul(x, b).unwrap()
            }
            "Gemm" => {
                let b = second(self);
                let transposed = |name: &str| attribute(name, 0.0) != 0.0;
                let product = match (transposed("transA"), transposed("transB")) {
                    (false, false) => self.graph.matmul(x, b).unwrap(),
                    (false, true) => self.graph.matmul_layout(Layout::NT, x, b).unwrap(),
                    (true, false) => self.graph.matmul_layout(Layout::TN, x, b).unwrap(),
                    (true, true) => {
                        let shape = [dims[1], dims[0]];
                        let x = self.rearrange(x, &shape, |c| vec![c[1], c[0]]);
                        self.graph.matmul_layout(Layout::NT, x, b).unwrap()
                    }
                };
                let product = self.scale(product, attribute("alpha", 1.0));
                let c = self.tensor(&inputs[2]);
                let c = self.scale(c, attribute("beta", 1.0));
                self.add(product, c)
            }
            _ if op.starts_with("Reduce") => self.reduction(op, node, inputs, x),
            "Gather" => {
                let axis = axis(0);
                let indices = self.host(&inputs[1]).clone();
                if axis == 0 {
                    let rows = self.graph.index_input("rows", [indices.values.len()]).unwrap();
                    let values = indices.values.iter().map(|&i| i as u32).collect();
                    self.feed.indices.push((rows, values));
                    self.graph.gather(x, rows).unwrap()
                } else {
                    let mut shape = dims.clone();
                    shape[axis] = indices.values.len();
                    self.rearrange(x, &shape, |c| {
                        let mut from = c.to_vec();
                        from[axis] = indices.values[c[axis]] as usize;
                        from
                    })
                }
            }
            "Transpose" => {
                let perm: Vec<usize> =
                    numbers(&node["attrs"]["perm"]).iter().map(|&a| a as usize).collect();
                let shape: Vec<usize> = perm.iter().map(|&axis| dims[axis]).collect();
                self.rearrange(x, &shape, |c| {
                    let mut from = vec![0; c.len()];
                    perm.iter().zip(c).for_each(|(&axis, &at)| from[axis] = at);
                    from
                })
            }
            "Tile" => {
                let repeats = &self.host(&inputs[1]).values;
                let shape: Vec<usize> =
                    dims.iter().zip(repeats).map(|(&n, &times)| n * times as usize).collect();
                self.rearrange(x, &shape, |c| {
                    c.iter().zip(&dims).map(|(&at, &extent)| at % extent).collect()
                })
            }
            "Slice" => {
                let values = |i: usize| inputs.get(i).map(|name| self.host(name).values.clone());
                let (starts, ends) = (values(1).expect("starts"), values(2).expect("ends"));
                let axes = values(3).unwrap_or((0..starts.len()).map(|a| a as f64).collect());
                assert!(values(4).is_none_or(|steps| steps.iter().all(|&step| step == 1.0)));
                let (mut shape, mut first) = (dims.clone(), vec![0; dims.len()]);
                for ((start, end), axis) in starts.iter().zip(&ends).zip(&axes) {
                    let axis = axis_of(*axis as i64, dims.len());
                    let extent = dims[axis] as f64;
                    let clamp =
                        |at: f64| if at < 0.0 { at + extent } else { at }.clamp(0.0, extent);
                    first[axis] = clamp(*start) as usize;
                    shape[axis] = (clamp(*end) - clamp(*start)) as usize;
                }
                self.rearrange(x, &shape, |c| c.iter().zip(&first).map(|(a, b)| a + b).collect())
            }
            "Split" => return self.split(x, axis(0), node, inputs),
            "Reshape" => {
                let wanted = self.host(&inputs[1]).values.clone();
                let shape = wanted.iter().enumerate().map(|(axis, &n)| match n {
                    0.0 => dims[axis] as f64,
                    n => n,
                });
                let known: f64 = shape.clone().filter(|&n| n > 0.0).product();
                let rest = dims.iter().product::<usize>() as f64 / known;
                let shape: Vec<usize> =
                    shape.map(|n| if n < 0.0 { rest } else { n } as usize).collect();
                self.reshape(x, &shape)
            }
            "Flatten" => {
                let (rows, columns) = dims.split_at(axis(1));
                self.reshape(x, &[rows.iter().product(), columns.iter().product()])
            }
            "Unsqueeze" => {
                let mut shape = dims.clone();
                let axes = &self.host(&inputs[1]).values;
                for axis in axes {
                    shape.insert(axis_of(*axis as i64, dims.len() + axes.len()), 1);
                }
                self.reshape(x, &shape)
            }
            "Expand" => {
                let wanted = &self.host(&inputs[1]).values;
                let rank = dims.len().max(wanted.len());
                let extent = |dims: &[usize], axis: usize| {
                    (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
                };
                let wanted: Vec<usize> = wanted.iter().map(|&n| n as usize).collect();
                let shape: Vec<usize> =
                    (0..rank).map(|axis| extent(&dims, axis).max(extent(&wanted, axis))).collect();
                self.broadcast(x, &shape)
            }
            "LayerNormalization" | "RMSNormalization" => {
                return self.row_normalization(op, x, axis(-1), attribute("epsilon", 1e-5), inputs);
            }
            "BatchNormalization" => return self.batch_normalization(x, node, inputs),
            "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => {
                return self.cross_entropy(op, x, node, inputs);
            }
            other => panic!("operator {other} is not translated"),
        }]
    }
}

fn number(node: &Json, attribute: &str) -> Option<f64> {
    node["attrs"].get(attribute).and_then(Json::as_f64)
}

fn axis_of(axis: i64, rank: usize) -> usize {
    if axis < 0 { (axis + rank as i64) as usize } else { axis as usize }
}

/// All coordinates of a tensor, row-major.
fn all_coordinates(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let elements: usize = shape.iter().product();
    (0..elements).map(move |mut at| {
        let mut coordinates = vec![0; shape.len()];
        for (c, &extent) in coordinates.iter_mut().zip(shape).rev() {
            *c = at % extent;
            at /= extent;
        }
        coordinates
    })
}
