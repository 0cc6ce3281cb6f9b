// Parts: shared/prelude.
//
// out[o, i] = sum, mean or maximum of x[o, k, i] over k. x is outer×span×inner, out is outer×inner.
// One invocation per element of out, with four running results: the variant for many outputs or
// short spans.

// False: sum (times factor, which makes it a mean); true: maximum.
override MAXIMUM: bool;

struct Dims {
    outer: u32,
    span: u32,
    inner: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

fn join(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    if (MAXIMUM) {
        return vec4(larger(a.x, b.x), larger(a.y, b.y), larger(a.z, b.z), larger(a.w, b.w));
    }
    return a + b;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i >= dims.outer * dims.inner) {
        return;
    }
    let stride = dims.inner;
    let first = (i / stride) * dims.span * stride + i % stride;
    // What leaves a result unchanged: 0 for a sum; any element for a maximum.
    let neutral = select(0.0, x[first], MAXIMUM);
    var results = vec4<f32>(neutral);
    let whole = dims.span - dims.span % 4u;
    for (var k = 0u; k < whole; k += 4u) {
        let at = first + k * stride;
        results = join(results, vec4<f32>(x[at], x[at + stride], x[at + 2u * stride], x[at + 3u * stride]));
    }
    for (var k = whole; k < dims.span; k++) {
        results = join(results, vec4<f32>(x[first + k * stride], neutral, neutral, neutral));
    }
    let half = join(results, results.zwxy);
    out[i] = join(half, half.yxwz).x * dims.factor;
}
