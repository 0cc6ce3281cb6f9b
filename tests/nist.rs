//! Curve fits with certified answers: NIST's Statistical Reference Datasets (`goldens/nist`), both
//! from each of their two starting points.
//!
//! The model is a graph in which every parameter has a copy per row, so that one backward pass of
//! the sum of all predictions yields the whole Jacobian, a column per parameter. The device computes
//! predictions and Jacobian in f32; the host takes the steps of Levenberg and Marquardt in f64.

use crate::common::num::Num;
use crate::common::twin::{self, Value, Values};
use crate::common::{compare, gpu, within_bounds, write};
use crate::support::{f32s, f64s, golden, json, numbers, text};
use serde_json::Value as Json;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Binary, Graph, Reduction, Tensor, Unary};
use wgrad::plan::Plan;

/// A model under construction: all tensors have one element per row.
struct Rows {
    graph: Graph,
    count: usize,
}

impl Rows {
    fn apply(&mut self, function: Unary, x: Tensor) -> Tensor {
        self.graph.unary(function, x).unwrap()
    }

    fn exp(&mut self, x: Tensor) -> Tensor {
        self.apply(Unary::Exp, x)
    }

    fn square(&mut self, x: Tensor) -> Tensor {
        self.apply(Unary::Square, x)
    }

    fn scale(&mut self, x: Tensor, factor: f32) -> Tensor {
        self.graph.scale(x, factor).unwrap()
    }

    fn binary(&mut self, binary: Binary, a: Tensor, b: Tensor) -> Tensor {
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
        let reciprocal = self.apply(Unary::Reciprocal, b);
        self.mul(a, reciprocal)
    }

    fn plus_one(&mut self, x: Tensor) -> Tensor {
        let one = self.graph.constant(1.0, [self.count]).unwrap();
        self.add(x, one)
    }

    /// `1 - x`.
    fn one_minus(&mut self, x: Tensor) -> Tensor {
        let negative = self.scale(x, -1.0);
        self.plus_one(negative)
    }

    /// `a·exp(-b·x)`.
    fn decay(&mut self, a: Tensor, b: Tensor, x: Tensor) -> Tensor {
        let product = self.mul(b, x);
        let exponent = self.scale(product, -1.0);
        let power = self.exp(exponent);
        self.mul(a, power)
    }

    /// `a·exp(-((x - at) / width)²)`.
    fn peak(&mut self, a: Tensor, at: Tensor, width: Tensor, x: Tensor) -> Tensor {
        let from = self.sub(x, at);
        let ratio = self.div(from, width);
        let square = self.square(ratio);
        let exponent = self.scale(square, -1.0);
        let power = self.exp(exponent);
        self.mul(a, power)
    }

    /// `b[0] + b[1]·x + b[2]·x² + …` by Horner's rule.
    fn polynomial(&mut self, b: &[Tensor], x: Tensor) -> Tensor {
        let (&last, rest) = b.split_last().expect("a coefficient");
        rest.iter().rev().fold(last, |sum, &b| {
            let product = self.mul(sum, x);
            self.add(product, b)
        })
    }
}

/// The models, as NIST writes them.
fn predictions(name: &str, rows: &mut Rows, x: Tensor, b: &[Tensor]) -> Tensor {
    match name {
        "Chwirut1" | "Chwirut2" => {
            let product = rows.mul(b[0], x);
            let exponent = rows.scale(product, -1.0);
            let numerator = rows.exp(exponent);
            let denominator = rows.polynomial(&b[1..], x);
            rows.div(numerator, denominator)
        }
        "DanWood" => {
            // x^b = exp(b·log x).
            let log = rows.apply(Unary::Log, x);
            let exponent = rows.mul(b[1], log);
            let power = rows.exp(exponent);
            rows.mul(b[0], power)
        }
        "Gauss1" | "Gauss2" => {
            let decay = rows.decay(b[0], b[1], x);
            let first = rows.peak(b[2], b[3], b[4], x);
            let second = rows.peak(b[5], b[6], b[7], x);
            let sum = rows.add(decay, first);
            rows.add(sum, second)
        }
        "Lanczos3" => {
            let terms = [0, 2, 4].map(|i| rows.decay(b[i], b[i + 1], x));
            let sum = rows.add(terms[0], terms[1]);
            rows.add(sum, terms[2])
        }
        "Misra1a" => {
            let product = rows.mul(b[1], x);
            let exponent = rows.scale(product, -1.0);
            let power = rows.exp(exponent);
            let rest = rows.one_minus(power);
            rows.mul(b[0], rest)
        }
        "Misra1b" => {
            let product = rows.mul(b[1], x);
            let half = rows.scale(product, 0.5);
            let sum = rows.plus_one(half);
            let reciprocal = rows.apply(Unary::Reciprocal, sum);
            let square = rows.square(reciprocal);
            let rest = rows.one_minus(square);
            rows.mul(b[0], rest)
        }
        "Thurber" => {
            let numerator = rows.polynomial(&b[..4], x);
            let product = rows.polynomial(&b[4..], x);
            let product = rows.mul(product, x);
            let denominator = rows.plus_one(product);
            rows.div(numerator, denominator)
        }
        "Norris" | "Pontius" => rows.polynomial(b, x),
        "NoInt1" | "NoInt2" => rows.mul(b[0], x),
        other => panic!("no model for {other}"),
    }
}

/// A data set with its model on the device.
struct Problem {
    name: String,
    graph: Graph,
    x: Tensor,
    b: Vec<Tensor>,
    predictions: Tensor,
    jacobian: Vec<Tensor>,
    executor: Executor,
    xs: Vec<f64>,
    ys: Vec<f64>,
    certified: Vec<f64>,
    standard_errors: Vec<f64>,
    certified_rss: f64,
}

/// Predictions and Jacobian at some parameters, as the device computed them.
#[derive(Clone)]
struct Point {
    b: Vec<f64>,
    residuals: Vec<f64>,
    jacobian: Vec<Vec<f64>>,
    rss: f64,
}

impl Problem {
    fn new(file: &Json) -> Self {
        let name = text(&file["name"]).to_string();
        let (xs, ys) = (numbers(&file["x"]), numbers(&file["y"]));
        assert_eq!(xs.len(), ys.len(), "{name}: one variable");
        let certified = numbers(&file["certified"]);
        let mut rows = Rows { graph: Graph::new(), count: ys.len() };
        let mut input = |name: &str| rows.graph.input(name, [ys.len()]).unwrap();
        let x = input("x");
        let b: Vec<Tensor> = (1..=certified.len()).map(|j| input(&format!("b{j}"))).collect();
        let predictions = predictions(&name, &mut rows, x, &b);
        let mut graph = rows.graph;
        let sum = graph.reduce(Reduction::Sum, predictions, 0, 1).unwrap();
        let jacobian = graph.gradients(sum, &b).unwrap();
        let mut outputs = vec![predictions];
        outputs.extend(&jacobian);
        let plan = Plan::new(&graph, &outputs, &gpu().target()).unwrap();
        let executor = Executor::new_blocking(&gpu(), plan).unwrap();
        let rss = file.get("cert_rss").or(file.get("rss_exact")).and_then(Json::as_f64);
        Self {
            executor,
            x,
            b,
            predictions,
            jacobian,
            standard_errors: numbers(&file["cert_stderr"]),
            certified_rss: rss.expect("a sum of squares"),
            name,
            graph,
            xs,
            ys,
            certified,
        }
    }

    /// What the inputs hold: the data rounded to f32 once, the parameters `f32`s.
    fn values(&self, b: &[f64]) -> Values {
        let mut values = Values::new();
        values.insert(self.x, Value::F(self.xs.iter().map(|&x| Num::rounded(x)).collect()));
        for (&tensor, &b) in self.b.iter().zip(b) {
            values.insert(tensor, Value::F(vec![Num::rounded(b); self.ys.len()]));
        }
        values
    }

    fn read(&self, tensor: Tensor) -> Vec<f32> {
        self.executor.read_blocking(tensor).unwrap()
    }

    fn at(&mut self, b: &[f64]) -> Point {
        // Where the device computes: at the nearest f32s.
        let b = f64s(&f32s(b));
        write(&self.executor, &self.values(&b));
        self.executor.run_blocking(&[Step::forward(0)]).unwrap();
        let predictions = self.read(self.predictions);
        let residual = |(y, p): (&f64, &f32)| y - f64::from(*p);
        let residuals: Vec<f64> = self.ys.iter().zip(&predictions).map(residual).collect();
        let rss = residuals.iter().map(|r| r * r).sum();
        let jacobian = self.jacobian.iter().map(|&column| f64s(&self.read(column))).collect();
        Point { b, residuals, jacobian, rss }
    }

    /// Levenberg and Marquardt: steps of Gauss and Newton, shortened until they help.
    fn fit(&mut self, start: &[f64]) -> Point {
        let mut best = self.at(start);
        let mut damping = 1e-3;
        for _ in 0..400 {
            if damping > 1e9 {
                break; // no step of any length helps
            }
            let step = damped_step(&best, damping);
            let to: Vec<f64> = best.b.iter().zip(&step).map(|(b, step)| b + step).collect();
            let next = self.at(&to);
            if next.rss.is_finite() && next.rss < best.rss {
                best = next;
                damping = (damping / 10.0).max(1e-15);
            } else {
                damping *= 10.0;
            }
        }
        best
    }

    /// The twin's predictions at `b`, with bounds on what f32 may be off.
    fn exact(&self, b: &[f64]) -> Vec<Num> {
        let all = twin::evaluate(&self.graph, &self.values(b), 0);
        twin::value_of(&self.graph, &all, self.predictions).floats().to_vec()
    }

    fn check_fit(&mut self, from: &str, start: &[f64]) {
        let fit = self.fit(start);
        let n = self.ys.len() as f64;
        let name = format!("{} from {from}", self.name);
        // With δ the error of the predictions, the sum of squares is off by at most
        // 2·|r|·|δ| + |δ|² (Cauchy and Schwarz).
        let delta = self.exact(&fit.b).iter().map(|p| p.error.powi(2)).sum::<f64>().sqrt();
        let reach = 2.0 * self.certified_rss.sqrt() * delta + delta.powi(2);
        let off = fit.rss - self.certified_rss;
        // A sum of squares that is larger by e lies within √e/σ standard errors, σ the residuals'
        // standard deviation; the minimum itself moves by up to |δ|/σ.
        let sigma = (self.certified_rss / (n - self.certified.len() as f64)).sqrt();
        let within = ((2.0 * reach).sqrt() + delta) / sigma;
        let digits = fit.b.iter().zip(&self.certified).map(|(b, c)| -((b - c) / c).abs().log10());
        let digits = digits.fold(f64::INFINITY, f64::min);
        let worst = fit.b.iter().zip(&self.certified).zip(&self.standard_errors);
        let worst = worst.map(|((b, c), s)| ((b - c) / s).abs()).fold(0.0, f64::max);
        println!(
            "{name}: RSS off by {:.1e} of itself (reach of f32: {:.1e}), parameters by {worst:.1e} standard errors \
             (reach: {within:.1e}), {digits:.1} digits",
            off / self.certified_rss,
            reach / self.certified_rss,
        );
        // Lanczos3's data have 5 digits more than its residuals; f32 sees two of those.
        let useful = if self.name == "Lanczos3" { 0.1 } else { 0.01 };
        assert!(
            reach <= useful * self.certified_rss,
            "{name}: a reach of {reach:.1e} tests nothing"
        );
        assert!(
            off.abs() <= reach,
            "{name}: RSS {:e}, certified {:e} ± {reach:.1e}",
            fit.rss,
            self.certified_rss
        );
        assert!(worst <= within, "{name}: {:?}, certified {:?}", fit.b, self.certified);
    }
}

/// `(JᵀJ + damping·diag JᵀJ)⁻¹·Jᵀr`, the columns scaled to length 1 first.
fn damped_step(point: &Point, damping: f64) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let columns = &point.jacobian;
    let lengths: Vec<f64> = columns.iter().map(|c| dot(c, c).sqrt().max(1e-300)).collect();
    let n = columns.len();
    let mut system: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let mut row: Vec<f64> =
                (0..n).map(|j| dot(&columns[i], &columns[j]) / (lengths[i] * lengths[j])).collect();
            row[i] += damping;
            row.push(dot(&columns[i], &point.residuals) / lengths[i]);
            row
        })
        .collect();
    for pivot in 0..n {
        let largest =
            (pivot..n).max_by(|&a, &b| system[a][pivot].abs().total_cmp(&system[b][pivot].abs()));
        system.swap(pivot, largest.expect("a row"));
        let (above, below) = system.split_at_mut(pivot + 1);
        for row in below {
            let factor = row[pivot] / above[pivot][pivot];
            row.iter_mut().zip(&above[pivot]).for_each(|(x, y)| *x -= factor * y);
        }
    }
    let mut step = vec![0.0; n];
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|column| system[row][column] * step[column]).sum();
        step[row] = (system[row][n] - known) / system[row][row];
    }
    step.iter().zip(&lengths).map(|(step, length)| step / length).collect()
}

fn problems(file: &str) -> Vec<(Problem, Json)> {
    let file = json(&golden("nist").join(file));
    file.as_array().expect("data sets").iter().map(|set| (Problem::new(set), set.clone())).collect()
}

fn all_problems() -> Vec<(Problem, Json)> {
    let mut all = problems("nonlinear_lower.json");
    all.extend(problems("linear_lower.json"));
    all
}

/// The graphs are NIST's models: at the certified parameters the twin, in f64, has the certified sum
/// of squares, to the digits that are certified.
#[test]
fn the_models_are_those_certified() {
    let all = all_problems();
    assert_eq!(all.len(), 9 + 4);
    for (problem, _) in all {
        let exact = problem.exact(&problem.certified);
        let residuals = problem.ys.iter().zip(&exact).map(|(y, p)| (y - p.value).powi(2));
        let rss: f64 = residuals.sum();
        let off = (rss / problem.certified_rss - 1.0).abs();
        // Eleven digits of the parameters are given; Lanczos3's residuals are 5 digits below its data.
        let tolerance = if problem.name == "Lanczos3" { 1e-7 } else { 1e-9 };
        assert!(
            off <= tolerance,
            "{}: {rss:e}, certified {:e}",
            problem.name,
            problem.certified_rss
        );
    }
}

/// Predictions and Jacobian at the certified parameters, on the device.
#[test]
fn predictions_and_jacobians_are_within_their_bounds() {
    for (mut problem, _) in all_problems() {
        let certified = f64s(&f32s(&problem.certified));
        problem.at(&certified);
        let all = twin::evaluate(&problem.graph, &problem.values(&certified), 0);
        within_bounds(
            &problem.name,
            &problem.read(problem.predictions),
            &problem.exact(&certified),
        );
        for &column in &problem.jacobian {
            let expected = twin::value_of(&problem.graph, &all, column);
            compare(&format!("{}, Jacobian", problem.name), &problem.read(column), &expected);
        }
    }
}

#[test]
fn nonlinear_fits_reach_the_certified_sums_of_squares() {
    for (mut problem, set) in problems("nonlinear_lower.json") {
        for start in ["start1", "start2"] {
            problem.check_fit(start, &numbers(&set[start]));
        }
    }
}

#[test]
fn linear_fits_reach_the_certified_sums_of_squares() {
    for (mut problem, _) in problems("linear_lower.json") {
        let start = vec![0.0; problem.certified.len()];
        problem.check_fit("zero", &start);
    }
}
