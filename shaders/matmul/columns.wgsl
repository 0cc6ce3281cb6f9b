// Column sums of B beside Aᵀ·B: with B the gradient of a layer's output, the bias's gradient.
@group(0) @binding(5) var<storage, read_write> column_sums: array<f32>;

fn add_columns(sums: vec4<f32>, b: Block) -> vec4<f32> {
    return sums + ((b.b0 + b.b1) + (b.b2 + b.b3));
}

fn store_column_sums(part: u32, row: u32, column: u32, sums: vec4<f32>) {
    // Every block of rows has the same sums; the first writes them.
    if row != 0u { return; }
    let at = part * dims.n + column;
    if column < dims.n { column_sums[at] = sums.x; }
    if column + 1u < dims.n { column_sums[at + 1u] = sums.y; }
    if column + 2u < dims.n { column_sums[at + 2u] = sums.z; }
    if column + 3u < dims.n { column_sums[at + 3u] = sums.w; }
}
