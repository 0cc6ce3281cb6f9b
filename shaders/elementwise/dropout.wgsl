// Parts: shared/prelude, shared/threefry.
//
// out[r, c] = factor · x[r, c] if the random word of r and c is not below `threshold`, else 0. x and out are
// rows×width. An invocation has two neighbours in a row, of which there are `pairs` per row and `count` in all,
// since words come in twos. What is dropped and no number stays none, so that it is not hidden.
//
// The word is a function of the seed, the number of the step, the row within the whole batch and the column.
// The gradient is the same operation on dy and finds the same words: no mask is kept.

struct Dims {
    count: u32,
    pairs: u32,
    width: u32,
    seed_low: u32,
    seed_high: u32,
    threshold: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn kept_or_zero(value: f32, word: u32) -> f32 {
    if (word >= dims.threshold) {
        return dims.factor * value;
    }
    return select(not_a_number(value), 0.0, is_finite(value));
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i >= dims.count) {
        return;
    }
    let row = i / dims.pairs;
    let pair = i % dims.pairs;
    // A key has 64 bits, which the seed takes: the step's key is made of it first.
    let seed = vec2<u32>(dims.seed_low, dims.seed_high);
    let key = threefry(seed, vec2<u32>(step.number_low, step.number_high));
    let words = threefry(key, vec2<u32>(step.first_row + row, pair));
    let column = 2u * pair;
    let at = row * dims.width + column;
    out[at] = kept_or_zero(x[at], words.x);
    if (column + 1u < dims.width) {
        out[at + 1u] = kept_or_zero(x[at + 1u], words.y);
    }
}
