// Stochastic gradient descent: w -= η·(g + λ·w).

fn moved(rule: Rule, w: Piece, g: Piece) -> Moved {
    let d = g + rule.weight_decay * w;
    let new_w = w - rule.learning_rate * d;
    return Moved(new_w, finite(new_w));
}
