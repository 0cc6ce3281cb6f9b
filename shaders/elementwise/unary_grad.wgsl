// Parts: shared/log1p, shared/prelude, elementwise/functions, activation:*.
//
// out[i] = dy[i] · f'(x[i]), where saved holds x or f(x). All have the same shape, count elements.

struct Dims {
    count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> saved: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i < dims.count) {
        out[i] = dy[i] * activation_grad(saved[i]);
    }
}
