// Where the column sums beside each of two products go.
@group(0) @binding(5) var<storage, read_write> column_sums: array<f32>;
@group(0) @binding(9) var<storage, read_write> second_column_sums: array<f32>;

fn put_column_sum(at: u32, sum: f32) {
    if is_second {
        second_column_sums[at] = sum;
    } else {
        column_sums[at] = sum;
    }
}
