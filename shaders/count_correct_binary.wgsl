// Item i: 1 if the logit of element i is on its target's side, (z > 0) = (t > ½), else 0.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<f32>;

fn element(i: u32, scale: f32) -> f32 {
    return select(0.0, 1.0, (predictions[i] > 0.0) == (targets[i] > 0.5));
}
