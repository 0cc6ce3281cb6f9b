// Parts: shared/line, shared/prelude, softmax/view.
//
// out = dy - eʸ·Σ dy along the span; y is the log-softmax. All are outer×span×inner.

@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let line = line_of(flat_workgroup(workgroup, workgroups), invocation);
    var part = 0.0;
    for (var k = line.start; k < line.span; k += LINE_INVOCATIONS) {
        part += dy[line.first + k * dims.inner];
    }
    let sum = line_sum(invocation, part);
    for (var k = line.start; k < line.span; k += LINE_INVOCATIONS) {
        let at = line.first + k * dims.inner;
        out[at] = dy[at] - exponential(y[at]) * sum;
    }
}
