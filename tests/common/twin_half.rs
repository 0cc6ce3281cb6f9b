//! What a plan stores in 16 bits, for the twin.

use std::collections::{HashMap, HashSet};

use wgrad::graph::{DType, Graph, Node, Op, Role, Tensor};
use wgrad::plan::{Place, Plan};

use super::num::Num;
use super::twin::{Value, Values};

/// What lies in memory in 16 bits.
#[derive(Clone, Debug, Default)]
pub struct InHalf {
    /// Tensors, with what they are multiplied by while they lie there.
    scales: HashMap<Tensor, f64>,
    /// Numbers of the parameters of which products read copies.
    copies: HashSet<usize>,
}

impl InHalf {
    pub fn of(graph: &Graph, plan: &Plan) -> Self {
        let mut half = Self::default();
        for dispatch in plan.dispatches() {
            let constant = |name: &str| {
                let found = dispatch.launch.constants.iter().find(|(of, _)| *of == name);
                found.map(|&(_, value)| value)
            };
            for (binding, operand) in &dispatch.launch.operands {
                let wgrad::plan::Operand::Tensor(tensor) = *operand else { continue };
                let factor = constant(&format!("{}_FACTOR", binding.to_uppercase()));
                match plan.place(tensor) {
                    Place::Copy(number) => drop(half.copies.insert(number)),
                    _ if dispatch.writes.contains(&tensor) => {
                        half.scales.extend(factor.map(|scale| (tensor, scale)));
                    }
                    _ => {}
                }
            }
        }
        let of_graph = graph.nodes().iter().map(|node| node.output);
        let stored = |t: &Tensor| plan.info(*t).is_some_and(|info| info.dtype == DType::F16);
        let count = of_graph.filter(stored).filter(|t| half.scales.contains_key(t)).count();
        assert_eq!(count, half.scales.len(), "tensors in 16 bits are told so:\n{plan}");
        half
    }

    /// How many tensors and how many copies there are.
    pub fn counts(&self) -> [usize; 2] {
        [self.scales.len(), self.copies.len()]
    }

    /// What a product reads, if it reads copies.
    pub(super) fn operands(&self, graph: &Graph, node: &Node, all: &Values) -> Option<Values> {
        let is_copied = |t: &Tensor| match graph.info(*t).unwrap().role {
            Role::Parameter(number) => self.copies.contains(&number),
            _ => false,
        };
        if !matches!(node.op, Op::MatMul(_)) || !node.inputs.iter().any(is_copied) {
            return None;
        }
        let read = |t: &Tensor| {
            let value = all[t].clone();
            (*t, if is_copied(t) { in_half(value, 1.0) } else { value })
        };
        Some(node.inputs.iter().map(read).collect())
    }

    /// What others find of `tensor`.
    pub(super) fn rounded(&self, tensor: Tensor, value: Value) -> Value {
        match self.scales.get(&tensor) {
            Some(&scale) => in_half(value, scale),
            None => value,
        }
    }
}

/// The nearest number of 16 bits, of two equally near ones the even one: 11 digits, the last worth 2⁻²⁴ or more.
fn nearest(x: f64) -> f64 {
    if !x.is_finite() || x.abs() >= 65_520.0 {
        return x * f64::INFINITY;
    }
    let last = 2f64.powi(x.abs().log2().floor().max(-14.0) as i32 - 10);
    (x / last).round_ties_even() * last
}

fn in_half(value: Value, scale: f64) -> Value {
    let round = |x: f64| nearest(x * scale) / scale;
    let rounded = value.floats().iter().map(|&Num { value, error }| {
        let stored = round(value);
        // Rounding keeps the order of numbers.
        let off = (round(value + error) - stored).max(stored - round(value - error));
        // What is smaller than normal numbers a driver may load as 0.
        let flushed = if stored.abs() * scale < 2f64.powi(-14) { stored.abs() } else { 0.0 };
        Num { value: stored, error: off.max(flushed) }
    });
    Value::F(rounded.collect())
}

#[test]
fn numbers_of_32_bits_are_rounded_as_a_library_does() {
    for number in 0..u16::MAX {
        let [low, high] = [number, number + 1].map(|bits| half::f16::from_bits(bits).to_f64());
        if low.is_finite() && high.is_finite() {
            let middle = ((low + high) / 2.0) as f32;
            for x in [low as f32, middle, middle.next_down(), middle.next_up()] {
                assert_eq!(nearest(x.into()), half::f16::from_f32(x).to_f64(), "{x:e}");
            }
        }
    }
}
