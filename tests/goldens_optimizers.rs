//! Update rules against trajectories that jax and optax computed in f64
//! (`goldens/optimizers.json`): 20 steps, one with zero gradients, one with tiny ones, one with huge
//! ones. What the file lacks (Nesterov, AdamW, weight decay, clipping, a large ε) is compared with a
//! plain f64 loop in this file.

use crate::common::gpu;
use crate::support::optimizer::Reference;
use crate::support::{ROUNDOFF, bits, f32s, golden, json, numbers};
use approx::{abs_diff_eq, relative_eq};
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Tensor, UpdateRule};
use wgrad::plan::Plan;

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

fn momentum(nesterov: bool, weight_decay: f32) -> UpdateRule {
    UpdateRule::Momentum { momentum: 0.9, nesterov, weight_decay }
}

fn adam(epsilon: f32, weight_decay: f32, decoupled: bool) -> UpdateRule {
    UpdateRule::Adam { beta1: 0.9, beta2: 0.999, epsilon, weight_decay, decoupled }
}

const ADAGRAD: UpdateRule = UpdateRule::Adagrad { epsilon: 1e-10, weight_decay: 0.0 };

fn rmsprop(weight_decay: f32) -> UpdateRule {
    UpdateRule::RmsProp { alpha: 0.99, epsilon: 1e-8, weight_decay }
}

/// Start and gradients of the file; all are `f32`s.
struct Golden {
    start: Vec<f64>,
    /// One row per step.
    gradients: Vec<Vec<f64>>,
    file: serde_json::Value,
}

impl Golden {
    fn load() -> Self {
        let file = json(&golden("optimizers.json"));
        let rows = file["grads"].as_array().expect("rows").iter().map(numbers).collect();
        Self { start: numbers(&file["p0"]), gradients: rows, file }
    }

    fn trajectory(&self, name: &str) -> Vec<Vec<f64>> {
        let rows = self.file["trajectories"][name].as_array().expect("rows");
        rows.iter().map(numbers).collect()
    }
}

/// `Σ p·g` with `g` the row of `table` at the step's batch start: its gradient by `p` is that row.
struct Descent {
    executor: Executor,
    parameters: Vec<Tensor>,
}

impl Descent {
    /// The parameters are cut into `cuts` tensors, so that one update moves several.
    fn new(
        rule: UpdateRule,
        clip: Option<f32>,
        start: &[f64],
        table: &[Vec<f64>],
        cuts: &[usize],
    ) -> Self {
        let (steps, width) = (table.len(), start.len());
        assert_eq!(cuts.iter().sum::<usize>(), width);
        let mut graph = Graph::new();
        let order = graph.index_input("order", [steps]).unwrap();
        let mut at = 0;
        let mut loss = None;
        let mut inputs = Vec::new();
        let mut parameters = Vec::new();
        for (number, &cut) in cuts.iter().enumerate() {
            let p = graph.parameter(&format!("p{number}"), [1, cut]).unwrap();
            let rows = graph.input(&format!("g{number}"), [steps, cut]).unwrap();
            let g = graph.batch(rows, order, 1).unwrap();
            let product = graph.mul(p, g).unwrap();
            let product = graph.reshape(product, [cut]).unwrap();
            let sum = graph.sum(product, 0).unwrap();
            loss = Some(match loss {
                None => sum,
                Some(loss) => graph.add(loss, sum).unwrap(),
            });
            let values: Vec<f64> =
                table.iter().flat_map(|row| row[at..at + cut].iter().copied()).collect();
            inputs.push((rows, f32s(&values)));
            inputs.push((p, f32s(&start[at..at + cut])));
            parameters.push(p);
            at += cut;
        }
        let loss = loss.expect("at least one parameter");
        let gradients = graph.gradients(loss, &parameters).unwrap();
        let pairs: Vec<_> = parameters.iter().copied().zip(gradients).collect();
        graph.update(rule, clip, loss, &pairs).unwrap();
        let plan = Plan::new(&graph, &[], &gpu().target()).unwrap();
        let executor = Executor::new_blocking(&gpu(), plan).unwrap();
        for (tensor, values) in inputs {
            executor.write(tensor, &values).unwrap();
        }
        let identity: Vec<u32> = (0..steps as u32).collect();
        executor.write_indices(order, &identity).unwrap();
        Self { executor, parameters }
    }

    fn values(&self) -> Vec<f32> {
        let read = |&p: &Tensor| self.executor.read_blocking(p).unwrap();
        self.parameters.iter().flat_map(read).collect()
    }
}

fn steps(rule: UpdateRule, rate: f32, count: usize) -> Vec<Step> {
    (0..count as u32).map(|step| Step::training(rule, step.into(), step, rate)).collect()
}

/// What rounding may do: each step rounds the parameter once (u of its size) and the way it moves
/// about a dozen times. A velocity or a mean carries its error on for 1 / (1 - 0.9) = 10 steps, so
/// an error in the movement counts up to tenfold.
fn bound(path: &[Vec<f64>], start: &[f64], step: usize, element: usize) -> f64 {
    let value = |step: usize| if step == 0 { start[element] } else { path[step - 1][element] };
    let steps = 1..=step + 1;
    steps
        .map(|s| {
            ROUNDOFF
                * (value(s).abs() + value(s - 1).abs() + 12.0 * (value(s) - value(s - 1)).abs())
        })
        .sum::<f64>()
        + 10.0 * ROUNDOFF * largest_move(path, start, step, element)
}

fn largest_move(path: &[Vec<f64>], start: &[f64], step: usize, element: usize) -> f64 {
    let value = |step: usize| if step == 0 { start[element] } else { path[step - 1][element] };
    (1..=step + 1).map(|s| (value(s) - value(s - 1)).abs()).fold(0.0, f64::max)
}

/// Runs the rule step by step against `path`, then all steps in one submission: the same bits.
fn follow(
    name: &str,
    rule: UpdateRule,
    clip: Option<f32>,
    rate: f32,
    golden: &Golden,
    path: &[Vec<f64>],
) {
    let start = &golden.start;
    for cuts in [vec![start.len()], vec![1, 3, 2]] {
        let mut descent = Descent::new(rule, clip, start, &golden.gradients, &cuts);
        let mut last = Vec::new();
        for (number, step) in steps(rule, rate, path.len()).into_iter().enumerate() {
            descent.executor.run_blocking(&[step]).unwrap();
            last = descent.values();
            for (i, (&found, &expected)) in last.iter().zip(&path[number]).enumerate() {
                let (off, bound) =
                    ((f64::from(found) - expected).abs(), bound(path, start, number, i));
                assert!(
                    off <= bound,
                    "{name}, step {number}, element {i}: {found:e}, not {expected:e} ± {bound:.1e} (off by {off:.1e})"
                );
            }
        }
        let mut at_once = Descent::new(rule, clip, start, &golden.gradients, &cuts);
        at_once.executor.run_blocking(&steps(rule, rate, path.len())).unwrap();
        assert_eq!(bits(&at_once.values()), bits(&last), "{name}: 20 steps in one submission");
    }
}

#[test]
fn trajectories_of_optax() {
    let golden = Golden::load();
    for (name, rule, rate) in [
        ("sgd", SGD, 0.05),
        ("momentum0.9", momentum(false, 0.0), 0.05),
        ("adam", adam(1e-8, 0.0, false), 0.01),
    ] {
        let path = golden.trajectory(name);
        assert_eq!(path.len(), 20);
        follow(name, rule, None, rate, &golden, &path);
    }
}

/// The f64 loop below agrees with optax, so that it may stand in where there is no golden.
#[test]
fn the_reference_agrees_with_optax() {
    let golden = Golden::load();
    for (name, rule, rate) in [
        ("sgd", SGD, 0.05),
        ("momentum0.9", momentum(false, 0.0), 0.05),
        ("adam", adam(1e-8, 0.0, false), 0.01),
    ] {
        let mut reference = Reference::new(rule, None, rate, &golden.start);
        for (gradient, expected) in golden.gradients.iter().zip(golden.trajectory(name)) {
            reference.step(gradient);
            for (found, expected) in reference.p.iter().zip(&expected) {
                // η, β₁ and β₂ are f32 here (off by up to 2⁻²⁵) and f64 in the file.
                let off = (found - expected).abs();
                assert!(off <= 1e-7 * (1.0 + expected.abs()), "{name}: {found} for {expected}");
            }
        }
    }
}

/// Every rule, with and without weight decay and clipping, on the gradients of the file.
#[test]
fn trajectories_of_the_reference() {
    let golden = Golden::load();
    let mut rules = vec![adam(1e-2, 0.0, false)];
    for decay in [0.0, 0.1] {
        rules.push(UpdateRule::Sgd { weight_decay: decay });
        rules.push(rmsprop(decay));
        rules.push(ADAGRAD.with_weight_decay(decay));
        rules.extend([false, true].map(|nesterov| momentum(nesterov, decay)));
        rules.extend([false, true].map(|decoupled| adam(1e-8, decay, decoupled)));
    }
    for rule in rules {
        // Every row of the file but the tiny one and the zeros has a norm between 0.9 and 2600.
        for clip in [None, Some(2.0), Some(1e4)] {
            let rate = 0.02;
            let mut reference = Reference::new(rule, clip, rate, &golden.start);
            let path: Vec<Vec<f64>> = golden
                .gradients
                .iter()
                .map(|gradient| {
                    reference.step(gradient);
                    reference.p.clone()
                })
                .collect();
            follow(&format!("{rule:?}, clip {clip:?}"), rule, clip, rate, &golden, &path);
        }
    }
}

/// ε is added to the corrected root: with gradients as small as ε the two places differ by tens of
/// percent, in the first step already.
#[test]
fn epsilon_is_added_to_the_corrected_root() {
    let rule = adam(1e-6, 0.0, false);
    let gradients = vec![vec![1e-6f32 as f64, -3e-7f32 as f64, 1e-4f32 as f64]; 5];
    let start = [0.5, -0.25, 0.125];
    let mut reference = Reference::new(rule, None, 0.5, &start);
    let mut descent = Descent::new(rule, None, &start, &gradients, &[3]);
    for (number, step) in steps(rule, 0.5, 5).into_iter().enumerate() {
        descent.executor.run_blocking(&[step]).unwrap();
        reference.step(&gradients[number]);
        let found = descent.values();
        for (found, expected) in found.iter().zip(&reference.p) {
            assert!(
                abs_diff_eq!(f64::from(*found), expected, epsilon = 1e-5),
                "step {number}: {found}, not {expected}"
            );
        }
        if number == 0 {
            // m̂ = g and v̂ = g², so the first element moves by η·g / (g + ε) = η / 2.
            assert!(abs_diff_eq!(found[0], 0.25, epsilon = 1e-5), "{}", found[0]);
        }
    }
}

/// The rule from a start of 0 under gradients of 2, step by step, as its formula has it in closed form: `moves`
/// is how far step n goes, counted from 1, in learning rates.
fn follows_in_closed_form(rule: UpdateRule, moves: impl Fn(i32) -> f64) {
    let gradients = vec![vec![2.0]; 6];
    let mut descent = Descent::new(rule, None, &[0.0], &gradients, &[1]);
    let mut expected = 0.0;
    for (number, step) in (1..).zip(steps(rule, 0.125, gradients.len())) {
        descent.executor.run_blocking(&[step]).unwrap();
        expected -= 0.125 * moves(number);
        let found = f64::from(descent.values()[0]);
        assert!(
            relative_eq!(found, expected, epsilon = 0.0, max_relative = 1e-6),
            "{found}, not {expected}"
        );
    }
}

/// The mean square of equal gradients g after n steps is (1 - αⁿ)·g²; α is an f32.
#[test]
fn rmsprop_of_equal_gradients() {
    let alpha = f64::from(0.99_f32);
    follows_in_closed_form(rmsprop(0.0), |n| 1.0 / (1.0 - alpha.powi(n)).sqrt());
}

/// The sum of squares of n equal gradients g is n·g².
#[test]
fn adagrad_of_equal_gradients() {
    follows_in_closed_form(ADAGRAD, |n| 1.0 / f64::from(n).sqrt());
}

/// Zero gradients and zero states: nothing moves, nothing becomes NaN.
#[test]
fn zero_gradients_move_nothing() {
    for &rule in UpdateRule::ALL {
        let rule = rule.with_weight_decay(0.0);
        for clip in [None, Some(1.0)] {
            let start = [0.5, -2.0, 1e-30, 0.0];
            let mut descent = Descent::new(rule, clip, &start, &vec![vec![0.0; 4]; 3], &[4]);
            descent.executor.run_blocking(&steps(rule, 0.1, 3)).unwrap();
            assert_eq!(bits(&descent.values()), bits(&f32s(&start)), "{rule:?}, clip {clip:?}");
        }
    }
}
