// Parts: shared/norm, shared/prelude, shared/tree_norm.
//
// partials[offset + g] = the norm of the share pieces of gradients from first + g·share on, up to end: the first
// dispatch of the norm of all gradients together, in a fixed order.

struct Dims {
    // Pieces of four gradients.
    first: u32,
    end: u32,
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
    let first = dims.first + group * dims.share;
    let end = min(first + dims.share, dims.end);
    var mine = no_numbers();
    for (var i = first + invocation; i < end; i += INVOCATIONS) {
        mine = with_four(mine, gradients[i]);
    }
    let all = tree_norm(invocation, mine);
    // Every workgroup has gradients, except for the surplus of the dispatch.
    if (invocation == 0u && first < dims.end) {
        partials[dims.offset + group] = all;
    }
}
