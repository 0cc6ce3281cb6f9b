// Gradients are taken as they are.

fn norm_is_finite() -> bool {
    return true;
}

fn clip() -> f32 {
    return 1.0;
}
