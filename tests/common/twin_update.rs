//! The update rules of the twin.

use wgrad::graph::UpdateRule;

use super::num::{Num, TINY};
use super::twin::{Value, ZERO};

/// One parameter's share of an update.
#[derive(Clone, Debug)]
pub struct Trained {
    pub value: Vec<Num>,
    pub gradient: Vec<Num>,
    /// The rule's first state. Zero before the first step.
    pub state1: Vec<Num>,
    /// Its second. Zero before the first step.
    pub state2: Vec<Num>,
}

impl Trained {
    pub fn new(value: &[f32]) -> Self {
        let zeros = vec![ZERO; value.len()];
        Trained {
            value: Value::exact(value).floats().to_vec(),
            gradient: zeros.clone(),
            state1: zeros.clone(),
            state2: zeros,
        }
    }
}

/// `g` where gradients are clipped so that their norm is at most `limit`. The norm is found of gradients
/// divided by a power of two near the largest, since f32 may not hold their squares.
fn clipped(parameters: &[Trained], limit: f32) -> impl Fn(Num) -> Num + use<> {
    let gradients = || parameters.iter().flat_map(|p| p.gradient.iter().copied());
    let largest = gradients().map(|g| g.value.abs()).fold(0.0, f64::max);
    let scale = if largest > 0.0 { largest.log2().floor().exp2() } else { 1.0 };
    let down = Num::exact(1.0 / scale);
    let norm = Num::sum(gradients().map(|g| (g * down).squared())).sqrt();
    let limit = Num::exact(f64::from(limit));
    let longest = limit.value / scale;
    move |g| {
        let shorter = g * down * (limit / norm);
        // Either factor's product with a gradient may be flushed to zero.
        let shorter = Num { error: shorter.error + TINY, ..shorter };
        Num::either(norm.value > longest, norm.unsure_about(longest), shorter, g)
    }
}

/// Moves `parameters` by `rule` in step number `step`, counted from 1.
pub fn update(
    rule: UpdateRule,
    clip_norm: Option<f32>,
    learning_rate: f32,
    step: u64,
    parameters: &mut [Trained],
) {
    let clip = clip_norm.map(|limit| clipped(parameters, limit));
    let rate = Num::exact(f64::from(learning_rate));
    for parameter in parameters {
        for i in 0..parameter.value.len() {
            let w = parameter.value[i];
            let g = parameter.gradient[i];
            let g = clip.as_ref().map_or(g, |clipped| clipped(g));
            let (state1, state2) = (&mut parameter.state1[i], &mut parameter.state2[i]);
            parameter.value[i] = move_one(rule, rate, step, w, g, state1, state2);
        }
    }
}

fn move_one(
    rule: UpdateRule,
    rate: Num,
    step: u64,
    w: Num,
    g: Num,
    state1: &mut Num,
    state2: &mut Num,
) -> Num {
    let exact = |x: f32| Num::exact(f64::from(x));
    match rule {
        UpdateRule::Sgd { weight_decay } => w - rate * (g + exact(weight_decay) * w),
        UpdateRule::Momentum { momentum, nesterov, weight_decay } => {
            let (momentum, decay) = (exact(momentum), exact(weight_decay));
            *state1 = momentum * *state1 + g + decay * w;
            if nesterov {
                w - rate * (g + decay * w + momentum * *state1)
            } else {
                w - rate * *state1
            }
        }
        UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
            let decay = exact(weight_decay);
            let g = if decoupled { g } else { g + decay * w };
            let w = if decoupled { w - rate * decay * w } else { w };
            let rest = |beta: f32| Num::rounded(1.0 - f64::from(beta));
            *state1 = exact(beta1) * *state1 + rest(beta1) * g;
            *state2 = exact(beta2) * *state2 + rest(beta2) * g.squared();
            // What is missing of the means because they started at zero.
            let power = |beta: f32| f64::from(beta).powf(step as f64);
            let mean = *state1 / Num::rounded(1.0 - power(beta1));
            let square = *state2 / Num::rounded(1.0 - power(beta2));
            w - rate * mean / (square.sqrt() + exact(epsilon))
        }
        UpdateRule::RmsProp { alpha, epsilon, weight_decay } => {
            let d = g + exact(weight_decay) * w;
            let rest = Num::rounded(1.0 - f64::from(alpha));
            *state1 = exact(alpha) * *state1 + rest * d.squared();
            w - rate * d / (state1.sqrt() + exact(epsilon))
        }
        UpdateRule::Adagrad { epsilon, weight_decay } => {
            let d = g + exact(weight_decay) * w;
            *state1 = *state1 + d.squared();
            w - rate * d / (state1.sqrt() + exact(epsilon))
        }
        other => panic!("the twin does not know {other:?}"),
    }
}
