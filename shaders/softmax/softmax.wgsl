// Parts: shared/line, shared/prelude, softmax/view.
//
// out = exp(x - max x) / Σ exp(x - max x) along the span. x and out are outer×span×inner.

@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let line = line_of(flat_workgroup(workgroup, workgroups), invocation);
    var mine = Place();
    if (line.span > 0u) {
        mine.value = x[line.first];
    }
    for (var k = line.start; k < line.span; k += LINE_INVOCATIONS) {
        let value = x[line.first + k * dims.inner];
        if (beats(value, mine.value)) {
            mine = Place(value, k);
        }
    }
    let largest = line_top(invocation, mine).value;
    var part = 0.0;
    for (var k = line.start; k < line.span; k += LINE_INVOCATIONS) {
        part += exponential(x[line.first + k * dims.inner] - largest);
    }
    let sum = line_sum(invocation, part);
    for (var k = line.start; k < line.span; k += LINE_INVOCATIONS) {
        let at = line.first + k * dims.inner;
        out[at] = exponential(x[at] - largest) / sum;
    }
}
