// The column sums beside Aᵀ·B, from their parts.
@group(0) @binding(2) var<storage, read> sums: array<f32>;
@group(0) @binding(5) var<storage, read_write> column_sums: array<f32>;

fn join_columns(column: u32) {
    if column >= dims.n { return; }
    var sum = 0.0;
    for (var part = 0u; part < dims.parts; part += 1u) {
        sum += sums[part * dims.n + column];
    }
    column_sums[column] = sum;
}
