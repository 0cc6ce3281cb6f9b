// Adam: d = g + λ·w; m = β₁·m + (1-β₁)·d; v = β₂·v + (1-β₂)·d²;
// w -= η·(m·c₁) / (√(v·c₂) + ε), c₁ and c₂ the step's corrections.
// Decoupled (AdamW): d = g, and w -= η·λ·w besides.

fn moved(rule: Rule, w: Piece, g: Piece, m: Piece, v: Piece) -> Moved {
    let decay = rule.weight_decay * w;
    let d = select(g + decay, g, DECOUPLED);
    // For β from ½ to 1, where it matters, 1 - β is exact.
    let new_m = rule.beta1 * m + (1.0 - rule.beta1) * d;
    let new_v = rule.beta2 * v + (1.0 - rule.beta2) * d * d;
    let direction = (new_m * rule.correction1) / (sqrt(new_v * rule.correction2) + rule.epsilon);
    let new_w = w - rule.learning_rate * select(direction, direction + decay, DECOUPLED);
    // If new_m is not finite, new_w or new_v is not.
    return Moved(new_w, new_m, new_v, finite(new_w) & finite(new_v));
}
