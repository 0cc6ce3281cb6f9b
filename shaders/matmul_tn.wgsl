// C = Aᵀ·B: A is k×m, B is k×n, C is m×n. The gradient of a layer's weights: dW = Xᵀ·dY, with k
// the rows of the batch; and beside it, where wanted, the column sums of B: the bias's gradient.
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
    var sums = vec4<f32>();
    for (var k = first; k < last; k += 4u) {
        let b0 = load_b(k, column, dims.k, dims.n);
        let b1 = inside(k + 1u, load_b(k + 1u, column, dims.k, dims.n));
        let b2 = inside(k + 2u, load_b(k + 2u, column, dims.k, dims.n));
        let b3 = inside(k + 3u, load_b(k + 3u, column, dims.k, dims.n));
        sums += (b0 + b1) + (b2 + b3);
        let columns = load_columns(k, row, lane);
        let l0 = low0(columns);
        let l1 = low1(columns);
        let l2 = low2(columns);
        let l3 = low3(columns);
        c0 = add_products(vec4(l0.x, l1.x, l2.x, l3.x), b0, b1, b2, b3, c0);
        c1 = add_products(vec4(l0.y, l1.y, l2.y, l3.y), b0, b1, b2, b3, c1);
        c2 = add_products(vec4(l0.z, l1.z, l2.z, l3.z), b0, b1, b2, b3, c2);
        c3 = add_products(vec4(l0.w, l1.w, l2.w, l3.w), b0, b1, b2, b3, c3);
        let h0 = high0(columns);
        let h1 = high1(columns);
        let h2 = high2(columns);
        let h3 = high3(columns);
        c4 = add_products(vec4(h0.x, h1.x, h2.x, h3.x), b0, b1, b2, b3, c4);
        c5 = add_products(vec4(h0.y, h1.y, h2.y, h3.y), b0, b1, b2, b3, c5);
        c6 = add_products(vec4(h0.z, h1.z, h2.z, h3.z), b0, b1, b2, b3, c6);
        c7 = add_products(vec4(h0.w, h1.w, h2.w, h3.w), b0, b1, b2, b3, c7);
    }
    store_column_sums(part, row, column, sums);
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

// Rows past k count as 0.
fn inside(k: u32, row: vec4<f32>) -> vec4<f32> {
    return select(vec4<f32>(), row, k < dims.k);
}
