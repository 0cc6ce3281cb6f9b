// Item i of the mean squared error: e² of element i, e = prediction - target; gradient 2·e.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<f32>;

fn element(i: u32, scale: f32) -> f32 {
    let e = predictions[i] - targets[i];
    emit(i, 2.0 * e * scale);
    return e * e;
}
