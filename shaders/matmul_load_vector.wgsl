// Loads of four neighbours along a row of A or B, for row lengths that are multiples of four. A
// position past an edge loads a neighbour from inside, which costs less than a branch; what is
// computed from it is never stored.
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;

// A[row][column .. column + 4]; A is rows × columns.
fn load_a(row: u32, column: u32, rows: u32, columns: u32) -> vec4<f32> {
    return a[(min(row, rows - 1u) * columns + min(column, columns - 4u)) / 4u];
}

// B[row][column .. column + 4]; B is rows × columns.
fn load_b(row: u32, column: u32, rows: u32, columns: u32) -> vec4<f32> {
    return b[(min(row, rows - 1u) * columns + min(column, columns - 4u)) / 4u];
}
