// Keeps what is not finite out of the parameters; what went wrong is told as `report` says.
// Every invocation decides alike, or for its own element alone, so timing has no influence.

// Whether this step must leave the parameters alone: an earlier one went wrong or something before in this
// one, or the loss or the norm of the gradients is not finite.
fn halted(loss: f32) -> bool {
    if (stopped_before() || atomicLoad(&status[0]) == 3u) {
        return true;
    }
    if (!is_finite(loss)) {
        report(1u);
        return true;
    }
    if (!norm_is_finite()) {
        report(2u);
        return true;
    }
    return false;
}

// Which of four numbers are finite, found as in `is_finite`.
fn finite(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(x) << vec4(1u)) < vec4(0xff000000u);
}
