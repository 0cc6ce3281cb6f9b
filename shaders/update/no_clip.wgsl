// Gradients are taken as they are.

fn norm_is_finite() -> bool {
    return true;
}

fn clipped(gradients: vec4<f32>) -> vec4<f32> {
    return gradients;
}
