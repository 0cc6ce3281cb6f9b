// Reads four neighbours along a row of A, whose length is a multiple of four, as two words. Past an
// edge there are zeros.
@group(0) @binding(1) var<storage, read> a: array<vec2<u64>>;

fn load_a(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.m, A_ALONG_K);
    let columns = select(dims.m, dims.k, A_ALONG_K);
    let inside = row < rows && column < columns;
    let words = a[select(0u, (a_start() + row * columns + column) / 4u, inside)];
    return select(vec4<f32>(), from_words(words), inside);
}
