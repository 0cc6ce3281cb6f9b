// Loads of four neighbours along a row of A or B, for any row length: each element is checked.
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;

// A[row][column .. column + 4]; A is rows × columns.
fn load_a(row: u32, column: u32, rows: u32, columns: u32) -> vec4<f32> {
    let at = row * columns + column;
    let inside = row < rows;
    var v = vec4<f32>();
    if inside && column < columns { v.x = a[at]; }
    if inside && column + 1u < columns { v.y = a[at + 1u]; }
    if inside && column + 2u < columns { v.z = a[at + 2u]; }
    if inside && column + 3u < columns { v.w = a[at + 3u]; }
    return v;
}

// B[row][column .. column + 4]; B is rows × columns.
fn load_b(row: u32, column: u32, rows: u32, columns: u32) -> vec4<f32> {
    let at = row * columns + column;
    let inside = row < rows;
    var v = vec4<f32>();
    if inside && column < columns { v.x = b[at]; }
    if inside && column + 1u < columns { v.y = b[at + 1u]; }
    if inside && column + 2u < columns { v.z = b[at + 2u]; }
    if inside && column + 3u < columns { v.w = b[at + 3u]; }
    return v;
}
