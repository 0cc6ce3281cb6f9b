// Parts: shared/norm, shared/prelude, shared/tree_norm.
//
// partials[offset + g] = the norm of the share pieces of gradients from g·share on: the first dispatch of
// the norm of all gradients together, in a fixed order.

struct Dims {
    // Pieces of four gradients.
    count: u32,
    share: u32,
    offset: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<Norm>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let end = min((group + 1u) * dims.share, dims.count);
    var mine = no_numbers();
    for (var i = group * dims.share + invocation; i < end; i += INVOCATIONS) {
        mine = with_four(mine, gradients[i]);
    }
    let all = tree_norm(invocation, mine);
    // Every workgroup has gradients, except for the surplus of the dispatch.
    if (invocation == 0u && group * dims.share < dims.count) {
        partials[dims.offset + group] = all;
    }
}
