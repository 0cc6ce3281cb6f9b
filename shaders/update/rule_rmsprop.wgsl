// RMSprop: d = g + λ·w; v = α·v + (1-α)·d²; w -= η·d / (√v + ε).

fn moved(rule: Rule, w: Piece, g: Piece, v: Piece) -> Moved {
    let d = g + rule.weight_decay * w;
    // For α from ½ to 1, where it matters, 1 - α is exact.
    let new_v = rule.alpha * v + (1.0 - rule.alpha) * d * d;
    let new_w = w - rule.learning_rate * (d / (sqrt(new_v) + rule.epsilon));
    // A new_v that is infinite leaves w where it was.
    return Moved(new_w, new_v, finite(new_w) & finite(new_v));
}
