// partials[offset + g] = Σ gradients[i]² over the share elements from g·share on: the first
// dispatch of Σ g² over all parameters, in a fixed order. Gradients beyond about 1e19 overflow when
// squared; the sum is then infinite, which the update takes for a gradient that is not finite.

struct Dims {
    count: u32,
    share: u32,
    offset: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let end = min((group + 1u) * dims.share, dims.count);
    var sum = 0.0;
    for (var i = group * dims.share + lane; i < end; i += LANES) {
        sum += gradients[i] * gradients[i];
    }
    let total = tree_sum(lane, sum);
    // Every workgroup has elements, but for the surplus of the dispatch.
    if (lane == 0u && group * dims.share < dims.count) {
        partials[dims.offset + group] = total;
    }
}
