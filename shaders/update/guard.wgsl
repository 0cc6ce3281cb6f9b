// Keeps what is not finite out of the parameters; what went wrong is told as `report` says.
// Every invocation decides alike, or for its own element alone, so timing has no influence.

@group(0) @binding(4) var<storage, read> loss: array<f32>;

// Whether this step must leave the parameters alone: an earlier one went wrong or something before in this
// one, or the loss or the norm of the gradients is not finite.
fn halted() -> bool {
    if (stopped_before() || atomicLoad(&status[0]) == 3u) {
        return true;
    }
    if (!is_finite(loss[step.result_row * dims.loss_stride + dims.loss_column])) {
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
