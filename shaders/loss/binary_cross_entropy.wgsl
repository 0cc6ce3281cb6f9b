// The binary cross-entropy of an element, from its logit z and its target t:
// -(t·ln σ(z) + (1-t)·ln(1-σ(z))) = |z|·s + ln(1 + e^-|z|), s = 1-t where z ≥ 0, else t; gradient σ(z) - t.

fn binary_cross_entropy(z: f32, t: f32) -> Found {
    let e = exponential(-abs(z));
    // σ(z) - t, put so that nothing cancels where t is 0 or 1.
    let gradient = select(e * (1.0 - t) - t, (1.0 - t) - t * e, z >= 0.0) / (1.0 + e);
    // How much of |z| counts. Where none of it does, |z| may be infinite.
    let s = select(t, 1.0 - t, z >= 0.0);
    return Found(s * select(abs(z), 0.0, s == 0.0) + log1p(e), gradient);
}
