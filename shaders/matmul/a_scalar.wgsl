// Reads four neighbours along a row of A, of any length. Past an edge there are zeros.
@group(0) @binding(1) var<storage, read> a: array<f32>;

fn load_a(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.m, A_ALONG_K);
    let columns = select(dims.m, dims.k, A_ALONG_K);
    let start = a_start() + min(row, rows - 1u) * columns;
    let last = columns - 1u;
    let values = vec4(
        a[start + min(column, last)],
        a[start + min(column + 1u, last)],
        a[start + min(column + 2u, last)],
        a[start + min(column + 3u, last)],
    );
    let inside = vec4(column, column + 1u, column + 2u, column + 3u) < vec4(columns);
    return select(vec4<f32>(), values, inside & vec4(row < rows));
}
