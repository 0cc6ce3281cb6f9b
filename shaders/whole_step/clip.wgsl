// Gradients are scaled down so that the norm of all of them together is at most a limit.

fn clipped(by: Update, g: f32) -> f32 {
    return g * by.factors.x * by.factors.y;
}

fn with_square(squares: f32, x: f32) -> f32 {
    return fma(x, x, squares);
}
