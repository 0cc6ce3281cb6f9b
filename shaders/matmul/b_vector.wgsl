// Reads four neighbours along a row of B, whose length is a multiple of four. Past an edge there
// are zeros.
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;

fn load_b(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.n, B_ALONG_K);
    let columns = select(dims.n, dims.k, B_ALONG_K);
    let inside = row < rows && column < columns;
    return select(vec4<f32>(), b[select(0u, (b_start() + row * columns + column) / 4u, inside)], inside);
}
