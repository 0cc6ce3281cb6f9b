// Gradients are scaled down so that the norm of all of them together is at most a limit, by the two factors
// that `clip_factors` of shared/norm.wgsl finds.

@group(0) @binding(6) var<storage, read> factors: array<f32>;

fn norm_is_finite() -> bool {
    return is_finite(factors[0]);
}

fn clipped(gradients: vec4<f32>) -> vec4<f32> {
    return gradients * factors[0] * factors[1];
}
