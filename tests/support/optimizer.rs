//! The update rules in f64.

use std::ops::Range;

use wgrad::graph::UpdateRule;

/// The rules as their papers (and PyTorch's pages) write them, in f64.
pub struct Reference {
    rule: UpdateRule,
    clip: Option<f64>,
    pub rate: f64,
    /// λ of the L1 penalty.
    pub l1: f64,
    /// Of each parameter.
    steps: Vec<i32>,
    pub p: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
}

impl Reference {
    pub fn new(rule: UpdateRule, clip: Option<f32>, rate: f32, start: &[f64]) -> Self {
        let (zeros, steps) = (vec![0.0; start.len()], vec![0; start.len()]);
        let (m, v) = (zeros.clone(), zeros);
        let clip = clip.map(f64::from);
        Self { rule, clip, rate: rate.into(), l1: 0.0, steps, p: start.to_vec(), m, v }
    }

    pub fn step(&mut self, gradient: &[f64]) {
        self.step_without(gradient, 0..0);
    }

    /// A step in which the parameters `frozen` have no part.
    pub fn step_without(&mut self, gradient: &[f64], frozen: Range<usize>) {
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let factor = self.clip.map_or(1.0, |clip| (clip / norm).min(1.0));
        for (i, &g) in gradient.iter().enumerate().filter(|(i, _)| !frozen.contains(i)) {
            self.steps[i] += 1;
            let (p, m, v) = (&mut self.p[i], &mut self.m[i], &mut self.v[i]);
            let sign = if *p == 0.0 { 0.0 } else { p.signum() };
            let g = g * factor + self.l1 * sign;
            match self.rule {
                UpdateRule::Sgd { weight_decay } => {
                    *p -= self.rate * (g + f64::from(weight_decay) * *p)
                }
                UpdateRule::Momentum { momentum, nesterov, weight_decay } => {
                    let (mu, g) = (f64::from(momentum), g + f64::from(weight_decay) * *p);
                    *m = mu * *m + g;
                    *p -= self.rate * if nesterov { g + mu * *m } else { *m };
                }
                UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
                    let (b1, b2) = (f64::from(beta1), f64::from(beta2));
                    let decay = f64::from(weight_decay);
                    let g = if decoupled { g } else { g + decay * *p };
                    if decoupled {
                        *p -= self.rate * decay * *p;
                    }
                    *m = b1 * *m + (1.0 - b1) * g;
                    *v = b2 * *v + (1.0 - b2) * g * g;
                    let m_hat = *m / (1.0 - b1.powi(self.steps[i]));
                    let v_hat = *v / (1.0 - b2.powi(self.steps[i]));
                    *p -= self.rate * m_hat / (v_hat.sqrt() + f64::from(epsilon));
                }
                UpdateRule::RmsProp { alpha, epsilon, weight_decay } => {
                    let (alpha, d) = (f64::from(alpha), g + f64::from(weight_decay) * *p);
                    *v = alpha * *v + (1.0 - alpha) * d * d;
                    *p -= self.rate * d / (v.sqrt() + f64::from(epsilon));
                }
                UpdateRule::Adagrad { epsilon, weight_decay } => {
                    let d = g + f64::from(weight_decay) * *p;
                    *v += d * d;
                    *p -= self.rate * d / (v.sqrt() + f64::from(epsilon));
                }
                other => panic!("the reference does not know {other:?}"),
            }
        }
    }
}
