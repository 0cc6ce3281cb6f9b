// C = A·Bᵀ: A is m×k, B is n×k, C is m×n. The gradient of a layer's input: dX = dY·Wᵀ.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let part = group / dims.tiles;
    let tile = group % dims.tiles;
    let row = block_row(tile, lane);
    let column = block_column(tile, lane);
    let first = part * dims.share;
    let last = min(first + dims.share, dims.k);
    if row >= dims.m || first >= dims.k { return; }
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    var c4 = vec4<f32>();
    var c5 = vec4<f32>();
    var c6 = vec4<f32>();
    var c7 = vec4<f32>();
    for (var k = first; k < last; k += 4u) {
        // Four rows of B are four columns of C; both are 0 past k.
        let b0 = load_b(column, k, dims.n, dims.k);
        let b1 = load_b(column + 1u, k, dims.n, dims.k);
        let b2 = load_b(column + 2u, k, dims.n, dims.k);
        let b3 = load_b(column + 3u, k, dims.n, dims.k);
        let rows = load_rows(row, k, lane);
        c0 += products(row0(rows), b0, b1, b2, b3);
        c1 += products(row1(rows), b0, b1, b2, b3);
        c2 += products(row2(rows), b0, b1, b2, b3);
        c3 += products(row3(rows), b0, b1, b2, b3);
        c4 += products(row4(rows), b0, b1, b2, b3);
        c5 += products(row5(rows), b0, b1, b2, b3);
        c6 += products(row6(rows), b0, b1, b2, b3);
        c7 += products(row7(rows), b0, b1, b2, b3);
    }
    store(part, row, column, c0);
    store(part, row + 1u, column, c1);
    store(part, row + 2u, column, c2);
    store(part, row + 3u, column, c3);
    store(part, row + 4u, column, c4);
    store(part, row + 5u, column, c5);
    store(part, row + 6u, column, c6);
    store(part, row + 7u, column, c7);
}

// a·Bᵀ, for four terms of the sum.
fn products(a: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
    return vec4(dot(a, b0), dot(a, b1), dot(a, b2), dot(a, b3));
}
