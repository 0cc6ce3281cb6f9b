//! ONNX nodes as operations of a graph: one function per operator, shapes and attributes as ONNX
//! defines them. What the graph has no operation for is composed of those it has: broadcasting is
//! `expand`, any rearrangement (transposing, slicing, tiling) is a `gather` with indices that the
//! host works out.

use std::collections::HashMap;

use serde_json::Value as Json;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Binary, Graph, Layout, Loss, Reduction, Tensor, Unary, UpdateRule};
use wgrad::kernel::Arena;
use wgrad::plan::Plan;

use crate::support::safetensors::Array;
use crate::support::{Feed, evaluate, f32s, numbers, text};

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
                let shape = session.graph.shape(tensor);
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
        let arenas = [Arena::State1, Arena::State2];
        for (state, arena) in states.iter().zip(arenas) {
            let buffer = executor.parameters().buffer(arena, 0).unwrap();
            let values = f32s(&state.values);
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            gpu.queue().write_buffer(buffer, 0, &bytes);
        }
        let mut step = Step::training(rule, 0, 0, rate.values[0] as f32);
        (step.correction1, step.correction2) = (1.0, 1.0);
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

/// What a name stands for: numbers of the case, a tensor of the graph, or both.
struct Item {
    array: Option<Array>,
    tensor: Option<Tensor>,
}

#[derive(Default)]
struct Session {
    graph: Graph,
    feed: Feed,
    items: HashMap<String, Item>,
}

impl Session {
    /// Numbers that the host needs: axes, shapes, indices, labels.
    fn host(&self, name: &str) -> &Array {
        self.items[name].array.as_ref().expect("numbers of the case")
    }

    fn tensor(&mut self, name: &str) -> Tensor {
        let item = self.items.get_mut(name).unwrap_or_else(|| panic!("nothing is named '{name}'"));
        if let Some(tensor) = item.tensor {
            return tensor;
        }
        let array = item.array.as_ref().expect("a tensor or numbers");
        let tensor = self.graph.input(name, array.shape.as_slice()).unwrap();
        self.feed.floats.push((tensor, f32s(&array.values)));
        item.tensor = Some(tensor);
        tensor
    }

    fn held(&mut self, shape: &[usize], values: &[f64]) -> Tensor {
        let tensor = self.graph.input("host", shape).unwrap();
        self.feed.floats.push((tensor, f32s(values)));
        tensor
    }

    fn dims(&self, x: Tensor) -> Vec<usize> {
        self.graph.shape(x).dims().to_vec()
    }

    fn unary(&mut self, function: Unary, x: Tensor) -> Tensor {
        self.graph.unary(function, x).unwrap()
    }

    fn scale(&mut self, x: Tensor, factor: f64) -> Tensor {
        self.graph.scale(x, factor as f32).unwrap()
    }

    /// `x + value`.
    fn plus(&mut self, x: Tensor, value: f64) -> Tensor {
        let constant = self.graph.constant(value as f32, []).unwrap();
        self.graph.add(x, constant).unwrap()
    }

    fn reshape(&mut self, x: Tensor, shape: &[usize]) -> Tensor {
        self.graph.reshape(x, shape).unwrap()
    }

    /// Repeats `x` to `to`, by numpy's rule.
    fn broadcast(&mut self, x: Tensor, to: &[usize]) -> Tensor {
        let dims = self.dims(x);
        let mut from = vec![1; to.len() - dims.len()];
        from.extend(&dims);
        let kept: Vec<usize> = (0..to.len()).filter(|&axis| from[axis] == to[axis]).collect();
        let mut shape: Vec<usize> = kept.iter().map(|&axis| to[axis]).collect();
        let mut y = if shape == dims { x } else { self.reshape(x, &shape) };
        for axis in (0..to.len()).filter(|axis| !kept.contains(axis)) {
            assert_eq!(from[axis], 1, "{dims:?} does not repeat to {to:?}");
            shape.insert(axis, to[axis]);
            y = self.graph.expand(y, shape.as_slice(), axis, axis + 1, 1.0).unwrap();
        }
        y
    }

    fn binary(&mut self, binary: Binary, a: Tensor, b: Tensor) -> Tensor {
        let (da, db) = (self.dims(a), self.dims(b));
        let row = db.len() == 1 && db.last() == da.last();
        // What the graph repeats itself.
        if da == db || row || db.iter().product::<usize>() == 1 && db.len() <= da.len() {
            return self.graph.binary(binary, a, b).unwrap();
        }
        let rank = da.len().max(db.len());
        let extent = |dims: &[usize], axis: usize| {
            (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
        };
        let shape: Vec<usize> =
            (0..rank).map(|axis| extent(&da, axis).max(extent(&db, axis))).collect();
        let (a, b) = (self.broadcast(a, &shape), self.broadcast(b, &shape));
        self.graph.binary(binary, a, b).unwrap()
    }

    fn add(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Add, a, b)
    }

    fn sub(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Sub, a, b)
    }

    fn mul(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Mul, a, b)
    }

    fn div(&mut self, a: Tensor, b: Tensor) -> Tensor {
        let reciprocal = self.unary(Unary::Reciprocal, b);
        self.mul(a, reciprocal)
    }

    /// `max(x, 0)` and `min(x, 0)`.
    fn parts(&mut self, x: Tensor) -> (Tensor, Tensor) {
        let positive = self.unary(Unary::Relu, x);
        let negated = self.scale(x, -1.0);
        let negative = self.unary(Unary::Relu, negated);
        (positive, self.scale(negative, -1.0))
    }

    /// Any axes, neighbours at a time, the last first.
    fn reduce(&mut self, kind: Reduction, x: Tensor, axes: &[usize], keep: bool) -> Tensor {
        let mut shape = self.dims(x);
        let mut y = x;
        let mut rest = axes.to_vec();
        rest.sort_unstable();
        while let Some(last) = rest.pop() {
            let mut first = last;
            while first > 0 && rest.last() == Some(&(first - 1)) {
                first -= 1;
                rest.pop();
            }
            y = self.graph.reduce(kind, y, first, last + 1).unwrap();
        }
        if !keep {
            return y;
        }
        for &axis in axes {
            shape[axis] = 1;
        }
        self.reshape(y, &shape)
    }

    /// The elements of `x` at `indices` (row-major positions), as a tensor of `shape`.
    fn pick(&mut self, x: Tensor, indices: Vec<usize>, shape: &[usize]) -> Tensor {
        let elements = self.graph.shape(x).elements();
        let flat = self.reshape(x, &[elements, 1]);
        let positions = self.graph.index_input("positions", [indices.len()]).unwrap();
        let indices = indices.into_iter().map(|i| i as u32).collect();
        self.feed.indices.push((positions, indices));
        let picked = self.graph.gather(flat, positions).unwrap();
        self.reshape(picked, shape)
    }

    /// The tensor of `shape` whose element at some coordinates is the one of `x` at `from` of them.
    fn rearrange(
        &mut self,
        x: Tensor,
        shape: &[usize],
        from: impl Fn(&[usize]) -> Vec<usize>,
    ) -> Tensor {
        let dims = self.dims(x);
        let position = |coordinates: &[usize]| {
            coordinates.iter().zip(&dims).fold(0, |at, (&c, &extent)| at * extent + c)
        };
        let indices = all_coordinates(shape).map(|c| position(&from(&c))).collect();
        self.pick(x, indices, shape)
    }

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

    fn reduction(&mut self, op: &str, node: &Json, inputs: &[String], x: Tensor) -> Tensor {
        let rank = self.dims(x).len();
        let attribute = node["attrs"].get("axes").map(numbers);
        let input = inputs.get(1).map(|name| self.host(name).values.clone());
        // No axes are all axes.
        let axes = attribute.or(input).filter(|axes| !axes.is_empty());
        let axes: Vec<usize> = match axes {
            Some(axes) => axes.iter().map(|&axis| axis_of(axis as i64, rank)).collect(),
            None => (0..rank).collect(),
        };
        let keep = number(node, "keepdims").unwrap_or(1.0) != 0.0;
        let sum = |session: &mut Self, x| session.reduce(Reduction::Sum, x, &axes, keep);
        match op {
            "ReduceSum" => sum(self, x),
            "ReduceMean" => self.reduce(Reduction::Mean, x, &axes, keep),
            "ReduceMax" => self.reduce(Reduction::Max, x, &axes, keep),
            "ReduceMin" => {
                let negated = self.scale(x, -1.0);
                let largest = self.reduce(Reduction::Max, negated, &axes, keep);
                self.scale(largest, -1.0)
            }
            "ReduceL1" => {
                let size = self.unary(Unary::Abs, x);
                sum(self, size)
            }
            "ReduceSumSquare" => {
                let square = self.unary(Unary::Square, x);
                sum(self, square)
            }
            "ReduceL2" => {
                let square = self.unary(Unary::Square, x);
                let total = sum(self, square);
                self.unary(Unary::Sqrt, total)
            }
            "ReduceLogSum" => {
                let total = sum(self, x);
                self.unary(Unary::Log, total)
            }
            "ReduceLogSumExp" => {
                let power = self.unary(Unary::Exp, x);
                let total = sum(self, power);
                self.unary(Unary::Log, total)
            }
            // Of positive numbers.
            "ReduceProd" => {
                let log = self.unary(Unary::Log, x);
                let total = sum(self, log);
                self.unary(Unary::Exp, total)
            }
            other => panic!("operator {other} is not translated"),
        }
    }

    fn split(&mut self, x: Tensor, axis: usize, node: &Json, inputs: &[String]) -> Vec<Tensor> {
        let dims = self.dims(x);
        let parts = node["outputs"].as_array().expect("names").len();
        let sizes: Vec<usize> = match inputs.get(1) {
            Some(name) => self.host(name).values.iter().map(|&n| n as usize).collect(),
            None => vec![dims[axis] / parts; parts],
        };
        let mut first = 0;
        let mut results = Vec::new();
        for size in sizes {
            let mut shape = dims.clone();
            shape[axis] = size;
            results.push(self.rearrange(x, &shape, |c| {
                let mut from = c.to_vec();
                from[axis] += first;
                from
            }));
            first += size;
        }
        results
    }

    /// Over everything from `axis` on.
    fn row_normalization(
        &mut self,
        op: &str,
        x: Tensor,
        axis: usize,
        epsilon: f64,
        inputs: &[String],
    ) -> Vec<Tensor> {
        let dims = self.dims(x);
        let (rows, columns) = dims.split_at(axis);
        let (outer, inner) = (rows.iter().product::<usize>(), columns.iter().product::<usize>());
        let flat = self.reshape(x, &[outer, inner]);
        let mean = self.graph.mean(flat, 1).unwrap();
        let centred = if op == "LayerNormalization" {
            let repeated = self.graph.expand(mean, [outer, inner], 1, 2, 1.0).unwrap();
            self.sub(flat, repeated)
        } else {
            flat
        };
        let square = self.unary(Unary::Square, centred);
        let variance = self.graph.mean(square, 1).unwrap();
        let variance = self.plus(variance, epsilon);
        let deviation = self.unary(Unary::Sqrt, variance);
        let inverse = self.unary(Unary::Reciprocal, deviation);
        let repeated = self.graph.expand(inverse, [outer, inner], 1, 2, 1.0).unwrap();
        let mut y = self.mul(centred, repeated);
        for (name, binary) in inputs[1..].iter().zip([Binary::Mul, Binary::Add]) {
            let row = self.tensor(name);
            let row = self.reshape(row, &[inner]);
            y = self.binary(binary, y, row);
        }
        let mut kept = dims.clone();
        kept[axis..].fill(1);
        vec![self.reshape(y, &dims), self.reshape(mean, &kept), self.reshape(inverse, &kept)]
    }

    /// A number per channel, repeated over the other axes.
    fn per_channel(&mut self, x: Tensor, dims: &[usize]) -> Tensor {
        let mut shape = vec![1; dims.len()];
        shape[1] = dims[1];
        let x = self.reshape(x, &shape);
        self.broadcast(x, dims)
    }

    fn batch_normalization(&mut self, x: Tensor, node: &Json, inputs: &[String]) -> Vec<Tensor> {
        let dims = self.dims(x);
        let operands: Vec<Tensor> = inputs[1..].iter().map(|name| self.tensor(name)).collect();
        let [scale, bias, old_mean, old_variance] = operands[..] else { panic!("5 inputs") };
        let trains = number(node, "training_mode").unwrap_or(0.0) != 0.0;
        let others: Vec<usize> = (0..dims.len()).filter(|&axis| axis != 1).collect();
        let (mut mean, mut variance) = (old_mean, old_variance);
        if trains {
            mean = self.reduce(Reduction::Mean, x, &others, false);
            let repeated = self.per_channel(mean, &dims);
            let centred = self.sub(x, repeated);
            let square = self.unary(Unary::Square, centred);
            variance = self.reduce(Reduction::Mean, square, &others, false);
        }
        let padded = self.plus(variance, number(node, "epsilon").unwrap_or(1e-5));
        let deviation = self.unary(Unary::Sqrt, padded);
        let factor = self.div(scale, deviation);
        let repeated = self.per_channel(mean, &dims);
        let centred = self.sub(x, repeated);
        let factor = self.per_channel(factor, &dims);
        let product = self.mul(centred, factor);
        let bias = self.per_channel(bias, &dims);
        let y = self.add(product, bias);
        if !trains {
            return vec![y];
        }
        let momentum = number(node, "momentum").unwrap_or(0.9);
        let mut running = |old, new| {
            let (old, new) = (self.scale(old, momentum), self.scale(new, 1.0 - momentum));
            self.add(old, new)
        };
        vec![y, running(old_mean, mean), running(old_variance, variance)]
    }

    /// `x` is N×C×D…, labels N×D…. Rows are made of the channels by a gather; weights and ignored
    /// labels are weights per row, which the host works out.
    fn cross_entropy(
        &mut self,
        op: &str,
        x: Tensor,
        node: &Json,
        inputs: &[String],
    ) -> Vec<Tensor> {
        let dims = self.dims(x);
        let (classes, inner) = (dims[1], dims[2..].iter().product::<usize>());
        let labels = self.host(&inputs[1]).clone();
        let rows = labels.values.len();
        let ignored = number(node, "ignore_index");
        let class_weights = inputs.get(2).map(|name| self.host(name).values.clone());
        let weights: Vec<f64> = labels
            .values
            .iter()
            .map(|&label| match &class_weights {
                _ if Some(label) == ignored => 0.0,
                Some(weights) => weights[label as usize],
                None => 1.0,
            })
            .collect();
        let total: f64 = weights.iter().sum();
        let label = |row: usize| labels.values[row].max(0.0) as usize;
        let at = |row: usize, class: usize| (row / inner * classes + class) * inner + row % inner;
        let reduction = node["attrs"].get("reduction").map_or("mean", text);
        let log_p = match op {
            "SoftmaxCrossEntropyLoss" => self.graph.log_softmax(x, 1).unwrap(),
            _ => x,
        };
        let every = |f: &dyn Fn(usize, usize) -> usize| -> Vec<usize> {
            (0..rows)
                .flat_map(|row| (0..classes).map(move |c| (row, c)))
                .map(|(r, c)| f(r, c))
                .collect()
        };
        // Log-probabilities are no logits; and a loss per row is not what the graph's losses are.
        let loss = if op == "NegativeLogLikelihoodLoss" || reduction == "none" {
            let picked = (0..rows).map(|row| at(row, label(row))).collect();
            let picked = self.pick(log_p, picked, &labels.shape);
            let negative: Vec<f64> = weights.iter().map(|w| -w).collect();
            let factors = self.held(&labels.shape, &negative);
            let each = self.mul(picked, factors);
            match reduction {
                "none" => each,
                _ => {
                    let all: Vec<usize> = (0..labels.shape.len()).collect();
                    let sum = self.reduce(Reduction::Sum, each, &all, false);
                    self.scale(sum, if reduction == "mean" { 1.0 / total } else { 1.0 })
                }
            }
        } else {
            let logits = self.pick(x, every(&at), &[rows, classes]);
            let mean = if weights.iter().all(|&w| w == 1.0) {
                let targets = self.graph.index_input("labels", [rows]).unwrap();
                let values = (0..rows).map(|row| label(row) as u32).collect();
                self.feed.indices.push((targets, values));
                self.graph.loss(Loss::SoftmaxCrossEntropy, logits, targets).unwrap()
            } else {
                let mut probabilities = vec![0.0; rows * classes];
                for (row, weight) in weights.iter().enumerate() {
                    probabilities[row * classes + label(row)] = *weight;
                }
                let targets = self.held(&[rows, classes], &probabilities);
                let loss = Loss::SoftmaxCrossEntropyProbabilities;
                self.graph.loss(loss, logits, targets).unwrap()
            };
            let rows = rows as f64;
            self.scale(mean, if reduction == "mean" { rows / total } else { rows })
        };
        vec![loss, log_p]
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
