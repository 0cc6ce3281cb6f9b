// Parts: shared/prelude.
//
// out[i] = a[…] where mask[i] is not 0, else b[…]; NaN where mask[i] is NaN. mask and out have the same shape,
// count elements; a and b are each of that shape, a row, a column or a scalar: see binary.wgsl.

struct Dims {
    count: u32,
    a_stride: u32,
    a_count: u32,
    b_stride: u32,
    b_count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> mask: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

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
    let yes = a[i / dims.a_stride % dims.a_count];
    let no = b[i / dims.b_stride % dims.b_count];
    let which = mask[i];
    out[i] = select(select(no, yes, which != 0.0), which, is_nan(which));
}
