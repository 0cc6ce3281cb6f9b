// Parts: shared/prelude.
//
// out[i] = a[i] ∘ b[i mod b_count]. a and out have the same shape, count elements; b has that shape
// too (b_count = count), or is a row (b_count = columns) or a scalar (b_count = 1).

// 0: a + b, 1: a - b, 2: a · b.
override OPERATION: u32;

struct Dims {
    count: u32,
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
    let left = a[i];
    let right = b[i % dims.b_count];
    switch (OPERATION) {
        case 0u: { out[i] = left + right; }
        case 1u: { out[i] = left - right; }
        case 2u: { out[i] = left * right; }
        default: { out[i] = not_a_number(left); }
    }
}
