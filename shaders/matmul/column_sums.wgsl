// Where the column sums beside a product through workgroup memory go.
@group(0) @binding(5) var<storage, read_write> column_sums: array<f32>;

fn put_column_sum(at: u32, sum: f32) {
    column_sums[at] = sum;
}
