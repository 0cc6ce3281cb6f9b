// Gradients are scaled down so that the norm of all of them together is at most clip_norm:
// by min(1, clip_norm / √norm[0]), norm[0] = Σ g² over all parameters.

@group(0) @binding(8) var<storage, read> norm: array<f32>;

override CLIP_NORM: f32;

fn norm_is_finite() -> bool {
    return is_finite(norm[0]);
}

fn clip() -> f32 {
    let length = sqrt(norm[0]);
    if (length > CLIP_NORM) {
        return CLIP_NORM / length;
    }
    return 1.0;
}
