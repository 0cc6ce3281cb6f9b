// The binary cross-entropy of an element, from its logit z and its target t:
// -(t·ln σ(z) + (1-t)·ln(1-σ(z))) = max(z, 0) - z·t + ln(1 + e^-|z|); gradient σ(z) - t.

fn element(z: f32, t: f32) -> Found {
    let e = exp(-abs(z));
    // σ(z) - t, put so that nothing cancels where t is 0 or 1.
    let gradient = select(e * (1.0 - t) - t, (1.0 - t) - t * e, z >= 0.0) / (1.0 + e);
    return Found(max(z, 0.0) - z * t + log1p(e), gradient);
}
