// Huber's δ, which is not part of the code.
fn huber_delta() -> f32 {
    return run.delta;
}
