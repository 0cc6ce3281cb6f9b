// Parts: shared/prelude, update/report.
//
// values[offset + i] = x[i]: a parameter takes the value of a tensor, count elements, unless an earlier step went
// wrong or something before in this one. An element that is not finite stays as it was, and is told.

struct Dims {
    count: u32,
    offset: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i >= dims.count || stopped_before() || atomicLoad(&status[0]) == 3u) {
        return;
    }
    if (is_finite(x[i])) {
        values[dims.offset + i] = x[i];
    } else {
        report(2u);
    }
}
