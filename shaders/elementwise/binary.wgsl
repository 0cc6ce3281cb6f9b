// Parts: shared/log1p, shared/prelude, elementwise/functions, elementwise/pairs, binary:*.
//
// out[i] = a[i] ∘ b[i / b_stride mod b_count]. a and out have the same shape, count elements; b has that
// shape too (stride 1, b_count = count), or is a row (1, columns), a column (columns, rows) or a scalar (1, 1).

// Whether b is a column: the others need no second division.
override COLUMN: bool;

struct Dims {
    count: u32,
    b_stride: u32,
    b_count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

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
    var at = i;
    if (COLUMN) {
        at = i / dims.b_stride;
    }
    out[i] = combined(a[i], b[at % dims.b_count]);
}
