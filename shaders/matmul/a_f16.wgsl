// Reads four neighbours along a row of A, whose length is a multiple of four, stored in 16 bits. Past an edge there
// are zeros.
@group(0) @binding(1) var<storage, read> a: array<vec2<u32>>;
// Where A begins, in pieces of four, and what a loaded number is multiplied by: 1 / the scale it is stored with.
override A_FIRST: u32;
override A_FACTOR: f32;

fn load_a(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.m, A_ALONG_K);
    let columns = select(dims.m, dims.k, A_ALONG_K);
    let inside = row < rows && column < columns;
    let at = A_FIRST + select(0u, (a_start() + row * columns + column) / 4u, inside);
    return select(vec4<f32>(), from_f16(a[at]) * A_FACTOR, inside);
}
