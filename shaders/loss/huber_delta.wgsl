// Huber's δ, set when a kernel is compiled.
override DELTA: f32;

fn huber_delta() -> f32 {
    return DELTA;
}
