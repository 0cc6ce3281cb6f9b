//! How long loops run: software drivers end them all after so many turns, without a word. Every kernel
//! with loops is walked to the length at which they would take more turns than that, and beyond: there
//! the work is split, or the plan is refused.

use crate::common::gpu;
use crate::common::num::ULP;
use wgrad::Error;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Count, Graph, Loss, Tensor};
use wgrad::plan::{MOST_TURNS, Place, Plan, PlanOptions, Target};

/// An operation along `n` elements.
struct Long {
    name: &'static str,
    build: fn(&mut Built, usize) -> Result<Vec<Tensor>, Error>,
    /// What the last of its outputs is: `(n, i)` gives element `i`.
    expected: fn(usize, usize) -> f64,
    /// Whether it is split where its loops would be too long, rather than refused.
    splits: bool,
}

/// A graph, and what its inputs hold.
#[derive(Default)]
struct Built {
    graph: Graph,
    /// Zeros, but for the last number.
    zeros_and: Vec<(Tensor, f32)>,
    /// Everywhere the same index.
    indices: Vec<(Tensor, u32)>,
}

impl Built {
    fn zeros_and(&mut self, n: usize, last: f32) -> Result<Tensor, Error> {
        let tensor = self.graph.input("x", [1, n])?;
        self.zeros_and.push((tensor, last));
        Ok(tensor)
    }

    fn index(&mut self, n: usize, index: u32) -> Result<Tensor, Error> {
        let tensor = self.graph.index_input("indices", [n])?;
        self.indices.push((tensor, index));
        Ok(tensor)
    }

    /// The gradient of `y` by `x` times ones.
    fn gradient(&mut self, y: Tensor, x: Tensor) -> Result<Tensor, Error> {
        let ones = self.graph.constant(1.0, self.graph.shape(y)?.clone())?;
        Ok(self.graph.vector_jacobian(y, ones, &[x])?.remove(0))
    }
}

fn of_target(target: &Target, graph: &Graph, outputs: &[Tensor]) -> Result<Plan, Error> {
    let options = PlanOptions { outputs: outputs.to_vec(), ..PlanOptions::default() };
    Plan::with_options(graph, &options, target)
}

impl Long {
    /// The plan of `n` elements, wherever they may lie.
    fn plan(&self, n: usize) -> Result<Plan, Error> {
        let roomy =
            Target { max_binding_bytes: 1 << 34, max_buffer_bytes: 1 << 34, ..gpu().target() };
        let mut built = Built::default();
        let outputs = (self.build)(&mut built, n).unwrap();
        of_target(&roomy, &built.graph, &outputs)
    }

    /// The most elements whose loops are neither split nor too long.
    fn limit(&self) -> usize {
        let dispatches = self.plan(100).unwrap().dispatches().len();
        let whole = |n| self.plan(n).is_ok_and(|plan| plan.dispatches().len() == dispatches);
        let (mut fits, mut too_long) = (100, 1 << 27);
        assert!(!whole(too_long), "{}: no limit", self.name);
        while too_long - fits > 1 {
            let middle = (fits + too_long) / 2;
            *if whole(middle) { &mut fits } else { &mut too_long } = middle;
        }
        fits
    }

    /// Runs it over `n` elements on the device.
    fn check(&self, n: usize) {
        let mut built = Built::default();
        let outputs = (self.build)(&mut built, n).unwrap();
        let plan = of_target(&gpu().target(), &built.graph, &outputs).unwrap();
        let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
        let is_read = |executor: &Executor, t| executor.plan().place(t) != Place::Nowhere;
        for &(tensor, last) in built.zeros_and.iter().filter(|(t, _)| is_read(&executor, *t)) {
            let mut values = vec![0.0; n];
            values[n - 1] = last;
            executor.write(tensor, &values).unwrap();
        }
        for &(tensor, index) in built.indices.iter().filter(|(t, _)| is_read(&executor, *t)) {
            let count = built.graph.shape(tensor).unwrap().elements();
            executor.write_indices(tensor, &vec![index; count]).unwrap();
        }
        executor.run_blocking(&[Step::forward(0)]).unwrap();
        let found = executor.read_blocking(*outputs.last().unwrap()).unwrap();
        for (i, &found) in found.iter().enumerate() {
            // e^x may be off by 3 + 2·|x| units, |x| < 18, and a quotient or a logarithm by a few more;
            // a sum by one for each of the n/256 terms that an invocation adds up. Those of ones are exact.
            let expected = (self.expected)(n, i);
            let off = (f64::from(found) - expected).abs();
            let units = 64.0 + if self.splits { 0.0 } else { n as f64 / 256.0 };
            let name = self.name;
            assert!(
                off <= units * ULP * expected.abs(),
                "{name} of {n}: [{i}] is {found}, not {expected}"
            );
        }
    }
}

/// A logit that weighs about as much as `n` zeros together.
fn stands_out(n: usize) -> f32 {
    (n as f32).ln()
}

/// e to that, and the sum of all.
fn weights(n: usize) -> (f64, f64) {
    let weight = f64::from(stands_out(n)).exp();
    (weight, weight + (n - 1) as f64)
}

fn softmax_of(n: usize, i: usize) -> f64 {
    let (last, sum) = weights(n);
    if i + 1 == n { last / sum } else { 1.0 / sum }
}

fn cross_entropy_of(n: usize, _: usize) -> f64 {
    weights(n).1.ln() - f64::from(stands_out(n))
}

fn cross_entropy_gradient_of(n: usize, i: usize) -> f64 {
    let (_, sum) = weights(n);
    // At the label: p - 1.
    if i + 1 == n { -((n - 1) as f64) / sum } else { 1.0 / sum }
}

fn ones(n: usize, _: usize) -> f64 {
    n as f64
}

/// Softmax cross-entropy of a row whose last class is right.
fn cross_entropy(built: &mut Built, n: usize, loss: Loss) -> Result<[Tensor; 2], Error> {
    let logits = built.zeros_and(n, stands_out(n))?;
    let targets = match loss.takes_classes() {
        true => built.index(1, n as u32 - 1)?,
        false => built.zeros_and(n, 1.0)?,
    };
    let value = built.graph.loss(loss, logits, targets)?;
    let gradient = built.graph.gradients(value, &[logits])?.remove(0);
    Ok([value, gradient])
}

const LONG: [Long; 14] = [
    Long {
        name: "sum",
        build: |built, n| {
            let x = built.graph.constant(1.0, [n, 17])?;
            Ok(vec![built.graph.sum(x, 0)?])
        },
        expected: ones,
        splits: true,
    },
    Long {
        name: "gradient of gathered rows",
        build: |built, n| {
            let (x, indices) = (built.graph.input("x", [2, 1])?, built.index(n, 1)?);
            let y = built.graph.gather(x, indices)?;
            Ok(vec![built.gradient(y, x)?])
        },
        expected: |n, i| (n * i) as f64,
        splits: true,
    },
    Long {
        name: "gradient of a maximum",
        build: |built, n| {
            // All are the largest, and share.
            let x = built.graph.constant(0.0, [n])?;
            let y = built.graph.max(x, 0)?;
            Ok(vec![built.gradient(y, x)?])
        },
        expected: |n, _| 1.0 / n as f64,
        splits: false,
    },
    Long {
        name: "softmax",
        build: |built, n| {
            let x = built.zeros_and(n, stands_out(n))?;
            Ok(vec![built.graph.softmax(x, 1)?])
        },
        expected: softmax_of,
        splits: false,
    },
    Long {
        name: "log_softmax",
        build: |built, n| {
            let x = built.zeros_and(n, stands_out(n))?;
            Ok(vec![built.graph.log_softmax(x, 1)?])
        },
        expected: |n, i| softmax_of(n, i).ln(),
        splits: false,
    },
    Long {
        name: "gradient of softmax",
        build: |built, n| {
            let x = built.zeros_and(n, stands_out(n))?;
            let y = built.graph.softmax(x, 1)?;
            let dy = built.zeros_and(n, 1.0)?;
            built.graph.vector_jacobian(y, dy, &[x])
        },
        expected: |n, i| {
            let last = softmax_of(n, n - 1);
            let is_last = if i + 1 == n { 1.0 } else { 0.0 };
            softmax_of(n, i) * (is_last - last)
        },
        splits: false,
    },
    Long {
        name: "gradient of log_softmax",
        build: |built, n| {
            let x = built.zeros_and(n, stands_out(n))?;
            let y = built.graph.log_softmax(x, 1)?;
            let dy = built.zeros_and(n, 1.0)?;
            built.graph.vector_jacobian(y, dy, &[x])
        },
        expected: |n, i| -cross_entropy_gradient_of(n, i),
        splits: false,
    },
    Long {
        name: "cross-entropy",
        build: |built, n| {
            let [value, _] = cross_entropy(built, n, Loss::SoftmaxCrossEntropy)?;
            Ok(vec![value])
        },
        expected: cross_entropy_of,
        splits: false,
    },
    Long {
        name: "cross-entropy and its gradient",
        build: |built, n| Ok(cross_entropy(built, n, Loss::SoftmaxCrossEntropy)?.to_vec()),
        expected: cross_entropy_gradient_of,
        splits: false,
    },
    Long {
        name: "gradient of cross-entropy",
        build: |built, n| {
            let [_, gradient] = cross_entropy(built, n, Loss::SoftmaxCrossEntropy)?;
            Ok(vec![gradient])
        },
        expected: cross_entropy_gradient_of,
        splits: false,
    },
    Long {
        name: "cross-entropy of probabilities",
        build: |built, n| {
            let [value, _] = cross_entropy(built, n, Loss::SoftmaxCrossEntropyProbabilities)?;
            Ok(vec![value])
        },
        expected: cross_entropy_of,
        splits: false,
    },
    Long {
        name: "cross-entropy of probabilities and its gradient",
        build: |built, n| {
            Ok(cross_entropy(built, n, Loss::SoftmaxCrossEntropyProbabilities)?.to_vec())
        },
        expected: cross_entropy_gradient_of,
        splits: false,
    },
    Long {
        name: "correct classes",
        build: |built, n| {
            let (logits, labels) = (built.zeros_and(n, 1.0)?, built.index(1, n as u32 - 1)?);
            Ok(vec![built.graph.count(Count::Correct, logits, labels)?])
        },
        expected: |_, _| 1.0,
        splits: false,
    },
    Long {
        name: "correct probabilities",
        build: |built, n| {
            let (logits, targets) = (built.zeros_and(n, 1.0)?, built.zeros_and(n, 0.5)?);
            Ok(vec![built.graph.count(Count::CorrectProbabilities, logits, targets)?])
        },
        expected: |_, _| 1.0,
        splits: false,
    },
];

#[test]
fn every_kernel_at_its_limit_and_beyond() {
    for long in &LONG {
        let limit = long.limit();
        long.check(limit - 1);
        long.check(limit);
        if long.splits {
            long.check(limit + 1);
            // As much further as a binding holds.
            long.check((17 * limit).min(((128 << 20) / 4) / 17));
        } else {
            for n in [limit + 1, 17 * limit] {
                let error = long.plan(n).unwrap_err();
                let Error::Limit { needed, unit, allowed, .. } = &error else { panic!("{error}") };
                assert_eq!((*unit, *allowed), ("turns of its loops", MOST_TURNS));
                assert!(*needed > MOST_TURNS);
                let said = error.to_string();
                assert!(said.contains(&n.to_string()) && said.contains("reshape"), "{said}");
            }
        }
    }
}

/// A column of 1,680,800 ones adds up to that; what comes last counts as much as what comes first.
#[test]
fn long_columns() {
    let (n, columns) = (1_680_800, 17);
    let mut graph = Graph::new();
    let ones = graph.constant(1.0, [n, columns]).unwrap();
    let (x, row) =
        (graph.input("x", [n, columns]).unwrap(), graph.input("row", [columns]).unwrap());
    let outputs = [
        graph.sum(ones, 0).unwrap(),
        graph.mean(ones, 0).unwrap(),
        graph.max(x, 0).unwrap(),
        // Gradients of a bias, and of a row that was added to all.
        {
            let y = graph.bias_add(x, row).unwrap();
            graph.vector_jacobian(y, ones, &[row]).unwrap().remove(0)
        },
        {
            let y = graph.sub(x, row).unwrap();
            graph.vector_jacobian(y, ones, &[row]).unwrap().remove(0)
        },
    ];
    // -n and n are exact, 1/n and the product with it are rounded.
    let expected =
        [(n as f32, 0.0), (1.0, 2.0 * ULP), (2.0, 0.0), (n as f32, 0.0), (-(n as f32), 0.0)];
    let mut values = vec![1.0; n * columns];
    values[(n - 1) * columns..].fill(2.0);
    for (output, (expected, units)) in outputs.into_iter().zip(expected) {
        let plan = of_target(&gpu().target(), &graph, &[output]).unwrap();
        let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
        if executor.plan().place(x) != Place::Nowhere {
            executor.write(x, &values).unwrap();
        }
        executor.run_blocking(&[Step::forward(0)]).unwrap();
        let found = executor.read_blocking(output).unwrap();
        let off = |&found: &f32| f64::from((found - expected).abs()) <= units;
        assert!(found.len() == columns && found.iter().all(off), "{found:?}, not {expected}");
    }
}
