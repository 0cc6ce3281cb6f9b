// Parts: shared/prelude.
//
// out[r, c] = x[indices[r], c]. x is rows×width, out is …×width, count words. Copies bits, whatever
// they mean. The host checks indices; one past the last row gives a row of NaN.

struct Dims {
    count: u32,
    width: u32,
    rows: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

// The bits of NaN.
const NO_ROW: u32 = 0x7fc00000u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i < dims.count) {
        let row = indices[i / dims.width];
        var word = NO_ROW;
        if (row < dims.rows) {
            word = x[row * dims.width + i % dims.width];
        }
        out[i] = word;
    }
}
