// Parts: shared/prelude.
//
// out[to + o·to_outer + s·to_span + i·to_inner] = x[start + o·from_outer + s·from_span + i·from_inner] for all o, s
// and i of outer×span×inner, count elements: slices, what is joined of several tensors, transposed matrices.
// Copies bits, whatever they mean.

struct Dims {
    count: u32,
    span: u32,
    inner: u32,
    start: u32,
    from_outer: u32,
    from_span: u32,
    from_inner: u32,
    to: u32,
    to_outer: u32,
    to_span: u32,
    to_inner: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let n = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (n >= dims.count) {
        return;
    }
    let i = n % dims.inner;
    let s = n / dims.inner % dims.span;
    let o = n / dims.inner / dims.span;
    let at = dims.to + o * dims.to_outer + s * dims.to_span + i * dims.to_inner;
    out[at] = x[dims.start + o * dims.from_outer + s * dims.from_span + i * dims.from_inner];
}
