// Reads four neighbours along a row of B, of any length. Past an edge there are zeros.
@group(0) @binding(2) var<storage, read> b: array<f32>;

fn load_b(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.n, B_ALONG_K);
    let columns = select(dims.n, dims.k, B_ALONG_K);
    let start = b_start() + min(row, rows - 1u) * columns;
    let last = columns - 1u;
    let values = vec4(
        b[start + min(column, last)],
        b[start + min(column + 1u, last)],
        b[start + min(column + 2u, last)],
        b[start + min(column + 3u, last)],
    );
    let inside = vec4(column, column + 1u, column + 2u, column + 3u) < vec4(columns);
    return select(vec4<f32>(), values, inside & vec4(row < rows));
}
