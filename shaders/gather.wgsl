// out[r, c] = x[indices[r], c]. x is rows×width, out is …×width, count words. Copies bits, whatever
// they mean. An index past the last row reads the last row.

struct Dims {
    count: u32,
    width: u32,
    rows: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + lane;
    if (i < dims.count) {
        let row = min(indices[i / dims.width], dims.rows - 1u);
        out[i] = x[row * dims.width + i % dims.width];
    }
}
