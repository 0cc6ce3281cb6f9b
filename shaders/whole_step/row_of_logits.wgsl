// The softmax of one row of outputs, for the losses that are built on it.
struct Logits {
    // Where the row begins in memory.
    first: u32,
    // The first largest output, and which it is.
    top: f32,
    at: u32,
    // Σ exp(p - top) over the others, or over all if that is not finite. A NaN, which comparisons may pass
    // over, is in that sum.
    rest: f32,
}

fn logits_at(first: u32, units: u32) -> Logits {
    var top = load_four(first).x;
    var at = 0u;
    for (var q = 0u; q < fours(units); q += 1u) {
        let p = load_four(first + q);
        for (var j = 0u; j < min(4u, units - 4u * q); j += 1u) {
            let o = 4u * q + j;
            at = select(at, o, p[j] > top);
            top = select(top, p[j], at == o);
        }
    }
    let left_out = select(OUTPUTS, at, is_finite(top));
    var rest = 0.0;
    for (var q = 0u; q < fours(units); q += 1u) {
        let p = load_four(first + q);
        for (var j = 0u; j < min(4u, units - 4u * q); j += 1u) {
            rest += select(exponential(p[j] - top), 0.0, left_out == 4u * q + j);
        }
    }
    return Logits(first, top, at, rest);
}
