// Parts: shared/prelude.
//
// The sum of the gradients of two groups of micro-batches: sum[i] = earlier[i] + sum[i], i < count.
// earlier is of the micro-batches that come first, so that the order of additions is fixed.

struct Dims {
    count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> earlier: array<f32>;
@group(0) @binding(2) var<storage, read_write> sum: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i < dims.count) {
        sum[i] = earlier[i] + sum[i];
    }
}
