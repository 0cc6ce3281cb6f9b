// C = Aᵀ·B: A is k×m, B is k×n, C is m×n. The gradient of a layer's weights: dW = Xᵀ·dY, with k
// the rows of the batch; and beside it, where wanted, the column sums of B: the bias's gradient.
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
    var sums = vec4<f32>();
    for (var k = at.first; k < at.last; k += 1u) {
        let b0 = load_b(k, at.column, dims.k, dims.n);
        let low = load_a(k, at.row, dims.k, dims.m);
        let high = load_a(k, at.row + 4u, dims.k, dims.m);
        sums += b0;
        c0 = fma(vec4(low.x), b0, c0);
        c1 = fma(vec4(low.y), b0, c1);
        c2 = fma(vec4(low.z), b0, c2);
        c3 = fma(vec4(low.w), b0, c3);
        c4 = fma(vec4(high.x), b0, c4);
        c5 = fma(vec4(high.y), b0, c5);
        c6 = fma(vec4(high.z), b0, c6);
        c7 = fma(vec4(high.w), b0, c7);
    }
    store_column_sums(at.part, at.row, at.column, sums);
    store(at.part, at.row, at.column, c0);
    store(at.part, at.row + 1u, at.column, c1);
    store(at.part, at.row + 2u, at.column, c2);
    store(at.part, at.row + 3u, at.column, c3);
    store(at.part, at.row + 4u, at.column, c4);
    store(at.part, at.row + 5u, at.column, c5);
    store(at.part, at.row + 6u, at.column, c6);
    store(at.part, at.row + 7u, at.column, c7);
}
