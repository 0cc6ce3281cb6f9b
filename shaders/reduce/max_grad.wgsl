// Parts: shared/prelude.
//
// out[o, k, i] = dy[o, i] / n where x[o, k, i] = y[o, i], else 0; n is the number of such k. Where y is NaN,
// since an x is, every difference quotient is NaN, and so is out for all k.
// x and out are outer×span×inner; y (the maximum of x over the span) and dy are outer×inner.
// One workgroup per (o, i). Counting uses integers, so the order of the additions does not matter.

struct Dims {
    outer: u32,
    span: u32,
    inner: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const INVOCATIONS: u32 = 256u;

var<workgroup> equal: atomic<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let line = flat_workgroup(workgroup, workgroups);
    let inside = line < dims.outer * dims.inner;
    let first = (line / dims.inner) * dims.span * dims.inner + line % dims.inner;
    var mine = 0u;
    if (inside) {
        for (var k = invocation; k < dims.span; k += INVOCATIONS) {
            mine += select(0u, 1u, x[first + k * dims.inner] == y[line]);
        }
    }
    atomicAdd(&equal, mine);
    workgroupBarrier();
    if (inside) {
        let share = dy[line] / f32(max(atomicLoad(&equal), 1u));
        for (var k = invocation; k < dims.span; k += INVOCATIONS) {
            let at = first + k * dims.inner;
            out[at] = select(select(0.0, share, x[at] == y[line]), y[line], is_nan(y[line]));
        }
    }
}
