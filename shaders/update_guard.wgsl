// Keeps what is not finite out of the parameters. status[0] is the number of the first step that
// went wrong, plus one, or 0; status[1] says what: 1 the loss, 2 a gradient or a new value.
// Every invocation decides alike, or for its own element alone, so timing has no influence.

@group(0) @binding(6) var<storage, read> loss: array<f32>;
@group(0) @binding(7) var<storage, read_write> status: array<atomic<u32>>;

fn report(kind: u32) {
    atomicMax(&status[0], step.number + 1u);
    atomicMax(&status[1], kind);
}

// Whether this step must leave the parameters alone: an earlier one went wrong, or the loss or the
// norm of the gradients is not finite.
fn halted() -> bool {
    let first_bad = atomicLoad(&status[0]);
    if (first_bad != 0u && first_bad <= step.number) {
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
