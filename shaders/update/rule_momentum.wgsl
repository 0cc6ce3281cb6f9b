// Momentum: d = g + λ·w; v = μ·v + d; w -= η·v, or with Nesterov w -= η·(d + μ·v).

fn moved(rule: Rule, w: Piece, g: Piece, v: Piece) -> Moved {
    let d = g + rule.weight_decay * w;
    let new_v = rule.momentum * v + d;
    let direction = select(new_v, d + rule.momentum * new_v, NESTEROV);
    let new_w = w - rule.learning_rate * direction;
    // If new_v is not finite, neither is new_w.
    return Moved(new_w, new_v, finite(new_w));
}
