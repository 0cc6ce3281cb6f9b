// Reads four neighbours along a row of B, whose length is a multiple of four, stored in 16 bits. Past an edge there
// are zeros.
@group(0) @binding(2) var<storage, read> b: array<vec2<u32>>;
// Where B begins, in pieces of four, and what a loaded number is multiplied by: 1 / the scale it is stored with.
override B_FIRST: u32;
override B_FACTOR: f32;

fn load_b(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.n, B_ALONG_K);
    let columns = select(dims.n, dims.k, B_ALONG_K);
    let inside = row < rows && column < columns;
    let at = B_FIRST + select(0u, (b_start() + row * columns + column) / 4u, inside);
    return select(vec4<f32>(), from_f16(b[at]) * B_FACTOR, inside);
}
