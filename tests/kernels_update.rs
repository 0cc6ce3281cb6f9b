//! Update rules against the twin: several steps, several parameters, clipping, and what must not
//! move.

use crate::common;
use crate::common::cases::Net;
use crate::common::num::Num;
use crate::common::twin::{self, Trained, Value};
use crate::common::{compare, gpu, narrowest, within_bounds, write, write_raw};
use approx::abs_diff_eq;
use wgrad::exec::{Executor, Results, Step};
use wgrad::graph::{Reduction, Tensor, Unary, UpdateRule};
use wgrad::plan::{Plan, PlanOptions, Target};

const ADAM: UpdateRule = UpdateRule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.0,
    decoupled: false,
};

fn rules() -> Vec<UpdateRule> {
    let mut rules = Vec::new();
    for weight_decay in [0.0, 0.03] {
        rules.push(UpdateRule::Sgd { weight_decay });
        for nesterov in [false, true] {
            rules.push(UpdateRule::Momentum { momentum: 0.9, nesterov, weight_decay });
        }
        for decoupled in [false, true] {
            for (beta1, beta2, epsilon) in [(0.9, 0.999, 1e-8), (0.5, 0.75, 1e-3)] {
                rules.push(UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled });
            }
        }
    }
    // Last: the number of a rule is the seed of its numbers.
    for (weight_decay, alpha, epsilon) in [(0.0, 0.99, 1e-8), (0.03, 0.5, 1e-3)] {
        rules.push(UpdateRule::RmsProp { alpha, epsilon, weight_decay });
    }
    for rule in UpdateRule::ALL {
        let other = !rules.iter().any(|listed| listed.name() == rule.name());
        rules.extend(
            other
                .then_some([0.0, 0.03])
                .into_iter()
                .flatten()
                .map(|decay| rule.with_weight_decay(decay)),
        );
    }
    rules
}

/// Parameters whose gradients the test sets, and a loss that it sets.
struct Training {
    net: Net,
    parameters: Vec<Tensor>,
    /// The input that is half the gradient.
    halves: Vec<Tensor>,
    loss: Tensor,
    target: Target,
}

impl Training {
    fn new(seed: u64, shapes: &[&[usize]]) -> Self {
        let mut net = Net::new(seed);
        let parameters: Vec<Tensor> = shapes.iter().map(|&shape| net.parameter(shape)).collect();
        let halves = shapes.iter().map(|&shape| net.input(shape)).collect();
        let loss = net.holding([1], &[1.0]);
        Training { net, parameters, halves, loss, target: gpu().target() }
    }

    fn executor(&mut self, rule: UpdateRule, clip: Option<f32>) -> Executor {
        let graph = &mut self.net.graph;
        let loss = graph.scale(self.loss, 1.0).unwrap();
        let gradients: Vec<(Tensor, Tensor)> = self
            .parameters
            .iter()
            .zip(&self.halves)
            .map(|(&parameter, &half)| (parameter, graph.scale(half, 2.0).unwrap()))
            .collect();
        graph.update(rule, clip, loss, &gradients).unwrap();
        let plan = Plan::with_options(graph, &PlanOptions::default(), &self.target).unwrap();
        let executor = Executor::new_blocking(&gpu(), plan).unwrap();
        write(&executor, &self.net.values);
        // No node reads the parameters, so the plan does not ask for them.
        for (number, parameter) in self.parameters.iter().enumerate() {
            let values = common::f32s(&self.net.values[parameter]);
            executor.parameters().write(number, &values).unwrap();
        }
        executor
    }

    /// What the twin starts from.
    fn trained(&self) -> Vec<Trained> {
        let values = self.parameters.iter().map(|w| &self.net.values[w]);
        values.map(|value| Trained::new(&common::f32s(value))).collect()
    }

    /// New gradients, on both sides. Some are 0, and they differ in size from step to step.
    fn draw_gradients(&mut self, scale: f32, executor: &Executor, trained: &mut [Trained]) {
        for (&half, trained) in self.halves.iter().zip(trained) {
            let elements = trained.value.len();
            let mut values = self.net.random.many(elements, |r| scale * r.off_zero());
            if elements > 2 {
                values[1] = 0.0;
            }
            executor.write(half, &values).unwrap();
            trained.gradient =
                values.iter().map(|&half| Num::exact(2.0 * f64::from(half))).collect();
        }
    }

    /// Compares all parameters; their movement since `before` must be well above the bounds. (Not
    /// that of each: where gradient and weight decay cancel, Adam divides noise by noise.)
    fn compare(&self, name: &str, executor: &Executor, trained: &[Trained], before: &[Trained]) {
        for (i, trained) in trained.iter().enumerate() {
            let found = read(executor, i);
            let name = format!("{name}, parameter {i}");
            within_bounds(&name, &found, &trained.value);
            let pairs = || trained.value.iter().zip(&before[i].value);
            let moved: f64 = pairs().map(|(new, old)| (new.value - old.value).abs()).sum();
            let bound: f64 = pairs().map(|(new, _)| new.error).sum();
            assert!(bound < 1e-2 * moved, "{name}: a bound of {bound:.2e}, moved by {moved:.2e}");
        }
    }
}

/// Parameter number `number`.
fn read(executor: &Executor, number: usize) -> Vec<f32> {
    pollster::block_on(executor.parameters().read(number)).unwrap()
}

fn read_all(executor: &Executor) -> Vec<Vec<f32>> {
    pollster::block_on(executor.parameters().read_all()).unwrap()
}

/// One element; primes; several parameters in one arena; enough for several partial sums.
const MODELS: [&[&[usize]]; 4] =
    [&[&[1]], &[&[5, 3], &[7], &[1]], &[&[65, 33], &[33], &[127, 1], &[2, 3, 5]], &[&[257, 65]]];

#[test]
fn rules_agree_with_the_twin() {
    for (number, rule) in rules().into_iter().enumerate() {
        for (i, shapes) in MODELS.into_iter().enumerate() {
            // No clipping; a norm that all gradients exceed; one that none does.
            for clip in [None, Some(1.0), Some(1e4)] {
                let mut training = Training::new((100 * number + i) as u64, shapes);
                let mut executor = training.executor(rule, clip);
                let mut trained = training.trained();
                let start = trained.clone();
                for step in 0..4 {
                    let rate = [0.1, 0.02, 0.05, 0.01][step as usize];
                    training.draw_gradients(0.5 / (1 + step) as f32, &executor, &mut trained);
                    executor.run_blocking(&[Step::training(rule, step, 0, rate)]).unwrap();
                    twin::update(rule, clip, rate, step + 1, &mut trained);
                    let name = format!("{rule:?}, clip {clip:?}, model {i}, step {step}");
                    training.compare(&name, &executor, &trained, &start);
                }
            }
        }
    }
}

/// Many steps in one submission, each with its own learning rate and correction.
#[test]
fn many_steps_in_one_submission() {
    for rule in rules() {
        let mut training = Training::new(1, &[&[5, 3], &[7]]);
        let mut executor = training.executor(rule, None);
        let mut trained = training.trained();
        let start = trained.clone();
        training.draw_gradients(0.25, &executor, &mut trained);
        let rate = |step: u64| 0.02 / (1 + step % 3) as f32;
        // More than one submission holds.
        let steps: Vec<Step> =
            (0..70).map(|step| Step::training(rule, step, 0, rate(step))).collect();
        executor.run_blocking(&steps).unwrap();
        for step in 0..70 {
            twin::update(rule, None, rate(step), step + 1, &mut trained);
        }
        training.compare(&format!("{rule:?}"), &executor, &trained, &start);
    }
}

/// Parameters in several buffers, as when they exceed a binding: clipping sees all of them.
#[test]
fn parameters_in_chunks() {
    for clip in [None, Some(0.5)] {
        let mut training = Training::new(1, &[&[13, 17], &[300], &[5], &[31, 8], &[1]]);
        training.target.max_binding_bytes = 1280;
        let mut executor = training.executor(ADAM, clip);
        assert!(executor.plan().arena().chunks.len() > 2);
        let mut trained = training.trained();
        let start = trained.clone();
        for step in 0..3 {
            training.draw_gradients(0.5, &executor, &mut trained);
            executor.run_blocking(&[Step::training(ADAM, step, 0, 0.05)]).unwrap();
            twin::update(ADAM, clip, 0.05, step + 1, &mut trained);
            training.compare(&format!("chunks, step {step}"), &executor, &trained, &start);
        }
    }
}

/// More than 65,535 workgroups of parameters.
#[test]
fn more_workgroups_than_one_dimension_holds() {
    let rule = UpdateRule::Momentum { momentum: 0.9, nesterov: true, weight_decay: 0.01 };
    let mut training = Training::new(1, &[&[65_535 * 64 + 1]]);
    // A workgroup moves 256 values.
    training.target.max_workgroups = 16_383;
    let mut executor = training.executor(rule, Some(1.0));
    let mut trained = training.trained();
    let start = trained.clone();
    training.draw_gradients(0.5, &executor, &mut trained);
    executor.run_blocking(&[Step::training(rule, 0, 0, 0.1)]).unwrap();
    twin::update(rule, Some(1.0), 0.1, 1, &mut trained);
    training.compare("millions", &executor, &trained, &start);
}

/// As few workgroups in a dimension as there can be, so that every rule needs the second one and has a
/// surplus: the same bits, with and without the norm of all gradients.
#[test]
fn workgroups_in_two_dimensions() {
    let models: [&[&[usize]]; 3] = [MODELS[2], MODELS[3], &[&[113, 113], &[113], &[250, 91]]];
    for rule in rules() {
        for clip in [None, Some(1.0)] {
            for shapes in models {
                let run = |most: Option<u32>| {
                    let mut training = Training::new(7, shapes);
                    training.target.max_workgroups = most.unwrap_or(training.target.max_workgroups);
                    // Several partial sums of several chunks, at places of their own.
                    training.target.max_binding_bytes = 1 << 17;
                    let mut executor = training.executor(rule, clip);
                    let steps: Vec<Step> =
                        (0..2).map(|step| Step::training(rule, step, 0, 0.1)).collect();
                    executor.run_blocking(&steps).unwrap();
                    let launches = executor.plan().dispatches().iter().map(|d| &d.launch);
                    let updates = launches.filter(|launch| launch.name.starts_with("update"));
                    assert!(updates.clone().any(|launch| launch.workgroups > 2));
                    let bits = read_all(&executor).concat().into_iter().map(f32::to_bits);
                    (bits.collect::<Vec<_>>(), narrowest(executor.plan()))
                };
                let (bits, narrowest) = run(None);
                assert_eq!(bits, run(Some(narrowest)).0, "{rule:?}, clip {clip:?}, {shapes:?}");
            }
        }
    }
}

/// Trains one step on `pairs` of parameters with gradients and compares parameters and `outputs`.
fn check_step(name: &str, net: &Net, pairs: &[(Tensor, Tensor)], loss: Tensor, outputs: &[Tensor]) {
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    let mut graph = net.graph.clone();
    graph.update(rule, Some(0.5), loss, pairs).unwrap();
    let plan = Plan::new(&graph, outputs, &gpu().target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
    write(&executor, &net.values);
    for (number, parameter) in graph.parameters().iter().enumerate() {
        executor.parameters().write(number, &common::f32s(&net.values[parameter])).unwrap();
    }
    executor.run_blocking(&[Step::training(rule, 0, 0, 0.5)]).expect(name);
    let all = twin::evaluate(&graph, &net.values, 0);
    let mut trained: Vec<Trained> = pairs
        .iter()
        .map(|&(w, gradient)| Trained {
            gradient: twin::value_of(&graph, &all, gradient).floats().to_vec(),
            ..Trained::new(&common::f32s(&net.values[&w]))
        })
        .collect();
    twin::update(rule, Some(0.5), 0.5, 1, &mut trained);
    for (&(w, _), trained) in pairs.iter().zip(trained) {
        let number = graph.parameters().iter().position(|&p| p == w).unwrap();
        let found = read(&executor, number);
        compare(&format!("{name}, parameter {number}"), &found, &Value::F(trained.value));
    }
    for &output in outputs {
        let found = executor.read_blocking(output).unwrap();
        let expected = twin::value_of(&graph, &all, output);
        within_bounds(&format!("{name}, an output"), &found, expected.floats());
    }
}

/// Gradients that are no tensors of their own: an input, a constant, a reshaped tensor, an output.
#[test]
fn gradients_from_anywhere() {
    let mut net = Net::new(1);
    let w: Vec<Tensor> = (0..4).map(|_| net.parameter([2, 3])).collect();
    let (input, flat) = (net.input([2, 3]), net.input([6]));
    let loss = net.graph.reduce(Reduction::Sum, input, 0, 2).unwrap();
    let scaled = net.graph.scale(input, 0.5).unwrap();
    let reshaped = net.graph.reshape(flat, [2, 3]).unwrap();
    let constant = net.graph.constant(0.25, [2, 3]).unwrap();
    let pairs = [(w[0], input), (w[1], scaled), (w[2], reshaped), (w[3], constant)];
    check_step("anywhere", &net, &pairs, loss, &[]);
    check_step("anywhere and outputs", &net, &pairs, loss, &[scaled, input, loss]);
    // Listed in another order than the parameters were added in.
    let pairs = [(w[3], scaled), (w[1], constant), (w[0], reshaped), (w[2], input)];
    check_step("another order", &net, &pairs, loss, &[]);
}

/// Two parameters that are added have the same tensor for their gradient.
#[test]
fn a_gradient_of_two_parameters() {
    let mut net = Net::new(1);
    let (v, w) = (net.parameter([5, 3]), net.parameter([5, 3]));
    let sum = net.graph.add(v, w).unwrap();
    let loss = net.weighted_sum(sum);
    let gradients = net.graph.gradients(loss, &[v, w]).unwrap();
    assert_eq!(gradients[0], gradients[1]);
    check_step("v + w", &net, &[(v, gradients[0]), (w, gradients[1])], loss, &[]);
}

/// The gradient of one parameter is what others are computed from, as where positions are added to
/// embeddings: the gradient of the positions flows on to the table.
#[test]
fn a_gradient_that_others_are_computed_from() {
    let mut net = Net::new(1);
    let (table, positions) = (net.parameter([7, 3]), net.parameter([5, 3]));
    let (w, gain) = (net.parameter([3, 4]), net.parameter([3]));
    let indices = net.indices([5], &[6, 0, 6, 3, 1]);
    let rows = net.graph.gather(table, indices).unwrap();
    let x = net.graph.add(rows, positions).unwrap();
    let scaled = net.graph.mul(x, gain).unwrap();
    let y = net.graph.matmul(scaled, w).unwrap();
    let loss = net.weighted_sum(y);
    let wrt = [table, positions, w, gain];
    let gradients = net.graph.gradients(loss, &wrt).unwrap();
    let pairs: Vec<(Tensor, Tensor)> = wrt.into_iter().zip(gradients).collect();
    check_step("embeddings", &net, &pairs, loss, &[]);
    check_step("embeddings with outputs", &net, &pairs, loss, &[pairs[1].1, y, loss]);

    let mut net = Net::new(2);
    let (v, w) = (net.parameter([5, 3]), net.parameter([5, 3]));
    let tanh = net.graph.unary(Unary::Tanh, w).unwrap();
    let sum = net.graph.add(tanh, v).unwrap();
    let loss = net.weighted_sum(sum);
    let gradients = net.graph.gradients(loss, &[v, w]).unwrap();
    check_step("v + tanh w", &net, &[(v, gradients[0]), (w, gradients[1])], loss, &[]);
}

/// Submits `steps` and takes their results.
fn submit(executor: &mut Executor, steps: &[Step]) -> Results {
    pollster::block_on(async {
        executor.submit(steps).await.unwrap();
        executor.results().await.unwrap().expect("the results of a submission")
    })
}

/// A loss that is not finite moves nothing, in this step and in those behind it.
#[test]
fn a_loss_that_is_not_finite_moves_nothing() {
    for rule in [UpdateRule::Sgd { weight_decay: 0.1 }, ADAM] {
        for loss in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for clip in [None, Some(0.5)] {
                let mut training = Training::new(1, &[&[5, 3], &[70]]);
                let mut executor = training.executor(rule, clip);
                let steps: Vec<Step> =
                    (0..6).map(|step| Step::training(rule, step, 0, 0.1)).collect();
                let good = submit(&mut executor, &steps[..2]);
                assert_eq!(good.halted_at, None);
                let before = read_all(&executor);
                write_raw(&executor, training.loss, &[loss]);
                let bad = submit(&mut executor, &steps[2..4]);
                assert_eq!((bad.halted_at, bad.halted_by_parameter), (Some(2), false), "{rule:?}");
                assert_eq!(read_all(&executor), before, "{rule:?}, loss {loss}");
                // The loss is well again, but the damage must be looked at first.
                executor.write(training.loss, &[1.0]).unwrap();
                let after = submit(&mut executor, &steps[4..]);
                assert_eq!(after.halted_at, Some(2));
                assert_eq!(read_all(&executor), before, "{rule:?}, after a loss of {loss}");
            }
        }
    }
}

/// A gradient that is not finite never enters a parameter; with clipping it stops the whole step,
/// since no norm is known.
#[test]
fn a_gradient_that_is_not_finite_enters_no_parameter() {
    for rule in [
        UpdateRule::Sgd { weight_decay: 0.0 },
        UpdateRule::Momentum { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
        UpdateRule::RmsProp { alpha: 0.99, epsilon: 1e-8, weight_decay: 0.0 },
        ADAM,
    ] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for clip in [None, Some(0.5)] {
                let mut training = Training::new(1, &[&[5, 3], &[70]]);
                let mut executor = training.executor(rule, clip);
                let name = format!("{rule:?}, clip {clip:?}, {bad}");
                let before = read(&executor, 1);
                let mut gradient = vec![0.5; 70];
                gradient[13] = bad;
                write_raw(&executor, training.halves[1], &gradient);
                let step = |number| Step::training(rule, number, 0, 0.1);
                let results = submit(&mut executor, &[step(0)]);
                let found = (results.halted_at, results.halted_by_parameter);
                assert_eq!(found, (Some(0), true), "{name}");
                let stopped = read(&executor, 1);
                assert_eq!(stopped[13], before[13], "{name}");
                assert!(stopped.iter().all(|w| w.is_finite()), "{name}");
                if clip.is_some() {
                    assert_eq!(stopped, before, "{name}");
                }
                executor.write(training.halves[1], &[0.5; 70]).unwrap();
                submit(&mut executor, &[step(1), step(2)]);
                assert_eq!(read(&executor, 1), stopped, "{name}: later steps must wait");
            }
        }
    }
}

/// No gradient at all: nothing to scale down, and no division by 0.
#[test]
fn zero_gradients() {
    for rule in rules() {
        for clip in [None, Some(0.5)] {
            let mut training = Training::new(1, &[&[5, 3]]);
            let mut executor = training.executor(rule, clip);
            let mut trained = training.trained();
            executor.write(training.halves[0], &[0.0; 15]).unwrap();
            let results = submit(&mut executor, &[Step::training(rule, 0, 0, 0.1)]);
            assert_eq!(results.halted_at, None, "{rule:?}");
            twin::update(rule, clip, 0.1, 1, &mut trained);
            let found = read(&executor, 0);
            compare(&format!("{rule:?}"), &found, &Value::F(trained[0].value.clone()));
        }
    }
}

/// The norm of gradients that is exactly the limit is left alone.
#[test]
fn a_norm_at_the_limit() {
    let rule = UpdateRule::Sgd { weight_decay: 0.0 };
    for (limit, moved) in [(5.0, [3.0, 4.0]), (2.5, [1.5, 2.0]), (10.0, [3.0, 4.0])] {
        let mut training = Training::new(1, &[&[2]]);
        training.net.set(training.parameters[0], &[0.0, 0.0]);
        training.net.set(training.halves[0], &[-1.5, -2.0]);
        let mut executor = training.executor(rule, Some(limit));
        executor.run_blocking(&[Step::training(rule, 0, 0, 1.0)]).unwrap();
        let found = read(&executor, 0);
        for (found, expected) in found.iter().zip(moved) {
            assert!(
                abs_diff_eq!(*found, expected, epsilon = 1e-5),
                "limit {limit}: {found}, not {expected}"
            );
        }
    }
}

/// Written twice, trained twice: the same bits.
#[test]
fn updates_are_deterministic() {
    let bits = || {
        let mut training = Training::new(3, &[&[65, 33], &[33], &[127, 1]]);
        let mut executor = training.executor(ADAM, Some(0.5));
        let steps: Vec<Step> = (0..9).map(|step| Step::training(ADAM, step, 0, 0.1)).collect();
        executor.run_blocking(&steps).unwrap();
        read_all(&executor).concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(bits(), bits());
}
