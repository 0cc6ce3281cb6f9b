// Keeps what is not finite out of the parameters. The status is of the first step that went wrong: what
// did (1 the loss, 2 a gradient or a new value), its serial number and its number; or zeros.
// Every invocation decides alike, or for its own element alone, so timing has no influence.

@group(0) @binding(4) var<storage, read> loss: array<f32>;
@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>;

fn report(kind: u32) {
    atomicStore(&status[0], kind);
    atomicStore(&status[1], step.serial_low);
    atomicStore(&status[2], step.serial_high);
    atomicStore(&status[3], step.number_low);
    atomicStore(&status[4], step.number_high);
}

// Whether an earlier step went wrong. If it is this very step that does, another invocation may just be
// writing the status: each word is then still 0, or this step's.
fn stopped_before() -> bool {
    let low = atomicLoad(&status[1]);
    let high = atomicLoad(&status[2]);
    return (low != 0u && low != step.serial_low) || (high != 0u && high != step.serial_high);
}

// Whether this step must leave the parameters alone: an earlier one went wrong, or the loss or the
// norm of the gradients is not finite.
fn halted() -> bool {
    if (stopped_before()) {
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
