// Reads four neighbours along a row of B, whose length is a multiple of four, as two words. Past an
// edge there are zeros.
@group(0) @binding(2) var<storage, read> b: array<vec2<u64>>;

fn load_b(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.n, B_ALONG_K);
    let columns = select(dims.n, dims.k, B_ALONG_K);
    let inside = row < rows && column < columns;
    let words = b[select(0u, (b_start() + row * columns + column) / 4u, inside)];
    return select(vec4<f32>(), from_words(words), inside);
}
