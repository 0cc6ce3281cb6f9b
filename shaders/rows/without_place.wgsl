// Parts: shared/prelude, update/report.
//
// Reports the step as one that went wrong if a row has no place: NaN was among its numbers. places is count.

struct Dims {
    count: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> places: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i < dims.count && places[i] == 0xffffffffu && !stopped_before()) {
        report(3u);
    }
}
