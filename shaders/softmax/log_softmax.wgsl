// Parts: shared/line, shared/log1p, shared/prelude, softmax/view.
//
// out = (x - max x) - ln Σ exp(x - max x) along the span. x and out are outer×span×inner.
// The largest element adds exactly 1 to the sum, so the sum of the others goes through log1p and
// the result keeps its digits where it is near 0.

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
    let top = line_top(invocation, mine);
    let left_out = left_out_of_sum(top);
    var part = 0.0;
    for (var k = line.start; k < line.span; k += LINE_INVOCATIONS) {
        if (k != left_out) {
            part += exponential(x[line.first + k * dims.inner] - top.value);
        }
    }
    let log_sum = log1p(line_sum(invocation, part));
    for (var k = line.start; k < line.span; k += LINE_INVOCATIONS) {
        let at = line.first + k * dims.inner;
        out[at] = (x[at] - top.value) - log_sum;
    }
}
