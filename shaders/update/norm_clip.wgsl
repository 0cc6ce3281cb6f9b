// Parts: shared/norm, shared/prelude, shared/tree_norm.
//
// factors[0] and factors[1], by which gradients are multiplied so that the norm of all together, of which
// partials holds count parts, is at most CLIP_NORM: the second dispatch. One workgroup.

struct Dims {
    count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> partials: array<Norm>;
@group(0) @binding(2) var<storage, read_write> factors: array<f32>;

override CLIP_NORM: f32;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(local_invocation_index) invocation: u32) {
    var mine = no_numbers();
    for (var i = invocation; i < dims.count; i += INVOCATIONS) {
        mine = joined(mine, partials[i]);
    }
    let all = tree_norm(invocation, mine);
    if (invocation == 0u) {
        let both = clip_factors(all, CLIP_NORM);
        factors[0] = both.x;
        factors[1] = both.y;
    }
}
