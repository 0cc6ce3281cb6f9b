// Item i of the mean absolute error: |e| of element i, e = prediction - target; gradient: the sign
// of e, 0 at 0.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<f32>;

fn element(i: u32, scale: f32) -> f32 {
    let e = predictions[i] - targets[i];
    emit(i, sign(e) * scale);
    return abs(e);
}
