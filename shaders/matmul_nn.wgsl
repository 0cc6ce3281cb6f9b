// C = A·B: A is m×k, B is k×n, C is m×n. The forward pass of a dense layer.
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
        // Four rows of B; A is 0 past k, so what stands for rows of B past k does not count.
        let b0 = load_b(k, column, dims.k, dims.n);
        let b1 = load_b(k + 1u, column, dims.k, dims.n);
        let b2 = load_b(k + 2u, column, dims.k, dims.n);
        let b3 = load_b(k + 3u, column, dims.k, dims.n);
        let rows = load_rows(row, k, lane);
        c0 = add_products(row0(rows), b0, b1, b2, b3, c0);
        c1 = add_products(row1(rows), b0, b1, b2, b3, c1);
        c2 = add_products(row2(rows), b0, b1, b2, b3, c2);
        c3 = add_products(row3(rows), b0, b1, b2, b3, c3);
        c4 = add_products(row4(rows), b0, b1, b2, b3, c4);
        c5 = add_products(row5(rows), b0, b1, b2, b3, c5);
        c6 = add_products(row6(rows), b0, b1, b2, b3, c6);
        c7 = add_products(row7(rows), b0, b1, b2, b3, c7);
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

// c + a·B, for four terms of the sum.
fn add_products(a: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    return fma(vec4(a.w), b3, fma(vec4(a.z), b2, fma(vec4(a.y), b1, fma(vec4(a.x), b0, c))));
}
