// Item i of the binary cross-entropy, from the logit z and the target t of element i:
// -(t·ln σ(z) + (1-t)·ln(1-σ(z))) = max(z, 0) - z·t + ln(1 + e^-|z|); gradient σ(z) - t.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<f32>;

fn element(i: u32, scale: f32) -> f32 {
    let z = predictions[i];
    let t = targets[i];
    let e = exp(-abs(z));
    // σ(z) - t, put so that nothing cancels where t is 0 or 1.
    let gradient = select(e * (1.0 - t) - t, (1.0 - t) - t * e, z >= 0.0) / (1.0 + e);
    emit(i, gradient * scale);
    return max(z, 0.0) - z * t + log1p(e);
}
