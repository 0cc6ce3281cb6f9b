// C = A·B: A is m×k, B is k×n, C is m×n. The forward pass of a dense layer.
@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = position(flat_workgroup(workgroup, workgroups), lane);
    if at.row >= dims.m || at.column >= dims.n || at.first >= dims.k { return; }
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    var c4 = vec4<f32>();
    var c5 = vec4<f32>();
    var c6 = vec4<f32>();
    var c7 = vec4<f32>();
    for (var k = at.first; k < at.last; k += 4u) {
        // Four rows of B; A's columns past k load as 0, so rows of B past k do not count.
        let b0 = load_b(k, at.column, dims.k, dims.n);
        let b1 = load_b(k + 1u, at.column, dims.k, dims.n);
        let b2 = load_b(k + 2u, at.column, dims.k, dims.n);
        let b3 = load_b(k + 3u, at.column, dims.k, dims.n);
        let a0 = load_a(at.row, k, dims.m, dims.k);
        c0 = fma(vec4(a0.w), b3, fma(vec4(a0.z), b2, fma(vec4(a0.y), b1, fma(vec4(a0.x), b0, c0))));
        let a1 = load_a(at.row + 1u, k, dims.m, dims.k);
        c1 = fma(vec4(a1.w), b3, fma(vec4(a1.z), b2, fma(vec4(a1.y), b1, fma(vec4(a1.x), b0, c1))));
        let a2 = load_a(at.row + 2u, k, dims.m, dims.k);
        c2 = fma(vec4(a2.w), b3, fma(vec4(a2.z), b2, fma(vec4(a2.y), b1, fma(vec4(a2.x), b0, c2))));
        let a3 = load_a(at.row + 3u, k, dims.m, dims.k);
        c3 = fma(vec4(a3.w), b3, fma(vec4(a3.z), b2, fma(vec4(a3.y), b1, fma(vec4(a3.x), b0, c3))));
        let a4 = load_a(at.row + 4u, k, dims.m, dims.k);
        c4 = fma(vec4(a4.w), b3, fma(vec4(a4.z), b2, fma(vec4(a4.y), b1, fma(vec4(a4.x), b0, c4))));
        let a5 = load_a(at.row + 5u, k, dims.m, dims.k);
        c5 = fma(vec4(a5.w), b3, fma(vec4(a5.z), b2, fma(vec4(a5.y), b1, fma(vec4(a5.x), b0, c5))));
        let a6 = load_a(at.row + 6u, k, dims.m, dims.k);
        c6 = fma(vec4(a6.w), b3, fma(vec4(a6.z), b2, fma(vec4(a6.y), b1, fma(vec4(a6.x), b0, c6))));
        let a7 = load_a(at.row + 7u, k, dims.m, dims.k);
        c7 = fma(vec4(a7.w), b3, fma(vec4(a7.z), b2, fma(vec4(a7.y), b1, fma(vec4(a7.x), b0, c7))));
    }
    store(at.part, at.row, at.column, c0);
    store(at.part, at.row + 1u, at.column, c1);
    store(at.part, at.row + 2u, at.column, c2);
    store(at.part, at.row + 3u, at.column, c3);
    store(at.part, at.row + 4u, at.column, c4);
    store(at.part, at.row + 5u, at.column, c5);
    store(at.part, at.row + 6u, at.column, c6);
    store(at.part, at.row + 7u, at.column, c7);
}
