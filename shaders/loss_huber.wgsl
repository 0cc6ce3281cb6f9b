// Item i of the Huber loss: e²/2 of element i where |e| ≤ δ, else δ·(|e| - δ/2),
// e = prediction - target; gradient: e, cut off at ±δ.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<f32>;

override DELTA: f32 = 1.0;

fn element(i: u32, scale: f32) -> f32 {
    let e = predictions[i] - targets[i];
    emit(i, clamp(e, -DELTA, DELTA) * scale);
    let size = abs(e);
    return select(DELTA * (size - 0.5 * DELTA), 0.5 * e * e, size <= DELTA);
}
