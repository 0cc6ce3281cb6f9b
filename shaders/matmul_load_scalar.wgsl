// Loads of four neighbours along a row of A or B, for any row length. Past the end of a row there are
// zeros; a row past the last loads the last, and what is computed from it is never stored.
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;

// A[row][column .. column + 4]; A is rows × columns.
fn load_a(row: u32, column: u32, rows: u32, columns: u32) -> vec4<f32> {
    let start = min(row, rows - 1u) * columns;
    return vec4(
        select(0.0, a[start + min(column, columns - 1u)], column < columns),
        select(0.0, a[start + min(column + 1u, columns - 1u)], column + 1u < columns),
        select(0.0, a[start + min(column + 2u, columns - 1u)], column + 2u < columns),
        select(0.0, a[start + min(column + 3u, columns - 1u)], column + 3u < columns),
    );
}

// B[row][column .. column + 4]; B is rows × columns.
fn load_b(row: u32, column: u32, rows: u32, columns: u32) -> vec4<f32> {
    let start = min(row, rows - 1u) * columns;
    return vec4(
        select(0.0, b[start + min(column, columns - 1u)], column < columns),
        select(0.0, b[start + min(column + 1u, columns - 1u)], column + 1u < columns),
        select(0.0, b[start + min(column + 2u, columns - 1u)], column + 2u < columns),
        select(0.0, b[start + min(column + 3u, columns - 1u)], column + 3u < columns),
    );
}
