// Adagrad: d = g + λ·w; v += d²; w -= η·d / (√v + ε).

fn moved(rule: Rule, w: Piece, g: Piece, v: Piece) -> Moved {
    let d = g + rule.weight_decay * w;
    let new_v = v + d * d;
    let new_w = w - rule.learning_rate * (d / (sqrt(new_v) + rule.epsilon));
    // A new_v that is infinite leaves w where it was.
    return Moved(new_w, new_v, finite(new_w) & finite(new_v));
}
