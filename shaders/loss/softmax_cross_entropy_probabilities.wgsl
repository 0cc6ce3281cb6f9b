// The softmax cross-entropy of a row of logits z with target probabilities t: -Σ t·ln softmax(z)
// = Σ t·(ln Σ exp(z - top) - (z - top)), where top is the largest logit; gradient softmax(z)·Σt - t (targets
// need not sum to 1). `rest` is Σ exp(z - top) over all logits but the first largest, which would add exactly 1.

// What a logit adds, of which `away` is z - top; `log_sum` is log1p(rest).
fn softmax_cross_entropy_probabilities(log_sum: f32, away: f32, t: f32) -> f32 {
    // Where t is 0, the logit does not count, which may be -∞.
    return t * select(log_sum - away, log_sum, t == 0.0);
}

// The derivative by a logit, of which `power` is exp(z - top); `weight` is Σ t.
fn softmax_cross_entropy_probabilities_gradient(power: f32, rest: f32, weight: f32, t: f32) -> f32 {
    return power / (1.0 + rest) * weight - t;
}
