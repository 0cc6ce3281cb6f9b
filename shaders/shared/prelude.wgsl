// The prelude: every kernel begins with this file.

// What differs from one training step to the next. One record per step lies in a table; a dispatch
// binds the record of its step by a dynamic offset, so nothing is created while training runs.
struct Step {
    // What no other step of these parameters has; neither word is 0.
    serial_low: u32,
    serial_high: u32,
    // What the caller calls it.
    number_low: u32,
    number_high: u32,
    // First entry of the batch in the epoch's order of rows.
    batch_start: u32,
    // Which row of the whole batch is the first here: a micro-batch begins further down.
    first_row: u32,
    // Row of the results table that this step writes.
    result_row: u32,
    // η.
    learning_rate: f32,
    // Adam's corrections 1 / (1 - β₁ᵗ) and 1 / (1 - β₂ᵗ), t counted from 1.
    correction1: f32,
    correction2: f32,
}

// Invocations per workgroup of the one-dimensional kernels.
const WORKGROUP: u32 = 64u;

// Workgroups are laid over x and y, since a dispatch holds at most 65,535 per dimension.
fn flat_workgroup(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return workgroup.x + workgroup.y * workgroups.x;
}

// Whether x is a number: neither NaN nor infinite. Looks at the bits, because WGSL lets a compiler
// assume that comparisons never see either; and not by the usual mask of the exponent, since compilers
// that assume it of all they compute, as Metal's do, may recognise that.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) << 1u) < 0xff000000u;
}

// NaN, for what should not be asked: a number of which no operation is known. Made from x, because WGSL
// forbids constant expressions whose value is NaN.
fn not_a_number(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u);
}

// Whether x is NaN, found as in `is_finite`.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) << 1u) > 0xff000000u;
}

// Whether x takes the place of `best` as the largest number so far: NaN is above all numbers, so that it
// is not lost, and the first of equals stays.
fn beats(x: f32, best: f32) -> bool {
    return !is_nan(best) & ((x > best) | is_nan(x));
}

// The larger of two numbers; NaN if one is, where the built-in function may return the other.
fn larger(a: f32, b: f32) -> f32 {
    return select(a, b, beats(b, a));
}

// -1, 0 or 1; NaN for NaN, of which the built-in function may make a number.
fn sign_of(x: f32) -> f32 {
    return select(sign(x), x, is_nan(x));
}

// x between low and high; NaN for NaN, of which the built-in function may make a number.
fn between(x: f32, low: f32, high: f32) -> f32 {
    return select(clamp(x, low, high), x, is_nan(x));
}

// eˣ; NaN for NaN, of which the built-in function makes ∞ on some drivers.
fn exponential(x: f32) -> f32 {
    return select(exp(x), x, is_nan(x));
}

// ln x; NaN for NaN, of which the built-in function may make a number.
fn logarithm(x: f32) -> f32 {
    return select(log(x), x, is_nan(x));
}
