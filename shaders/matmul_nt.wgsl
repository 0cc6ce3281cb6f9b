// C = A·Bᵀ: A is m×k, B is n×k, C is m×n. The gradient of a layer's input: dX = dY·Wᵀ.
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
        // Four rows of B are four columns of C; columns past k load as 0 in A and B.
        let b0 = load_b(at.column, k, dims.n, dims.k);
        let b1 = load_b(at.column + 1u, k, dims.n, dims.k);
        let b2 = load_b(at.column + 2u, k, dims.n, dims.k);
        let b3 = load_b(at.column + 3u, k, dims.n, dims.k);
        let a0 = load_a(at.row, k, dims.m, dims.k);
        c0 += vec4(dot(a0, b0), dot(a0, b1), dot(a0, b2), dot(a0, b3));
        let a1 = load_a(at.row + 1u, k, dims.m, dims.k);
        c1 += vec4(dot(a1, b0), dot(a1, b1), dot(a1, b2), dot(a1, b3));
        let a2 = load_a(at.row + 2u, k, dims.m, dims.k);
        c2 += vec4(dot(a2, b0), dot(a2, b1), dot(a2, b2), dot(a2, b3));
        let a3 = load_a(at.row + 3u, k, dims.m, dims.k);
        c3 += vec4(dot(a3, b0), dot(a3, b1), dot(a3, b2), dot(a3, b3));
        let a4 = load_a(at.row + 4u, k, dims.m, dims.k);
        c4 += vec4(dot(a4, b0), dot(a4, b1), dot(a4, b2), dot(a4, b3));
        let a5 = load_a(at.row + 5u, k, dims.m, dims.k);
        c5 += vec4(dot(a5, b0), dot(a5, b1), dot(a5, b2), dot(a5, b3));
        let a6 = load_a(at.row + 6u, k, dims.m, dims.k);
        c6 += vec4(dot(a6, b0), dot(a6, b1), dot(a6, b2), dot(a6, b3));
        let a7 = load_a(at.row + 7u, k, dims.m, dims.k);
        c7 += vec4(dot(a7, b0), dot(a7, b1), dot(a7, b2), dot(a7, b3));
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
