// Reads four neighbours along a row of B, whose length is a multiple of four, as a texel. The texture has all of B, one
// texel after another. Past an edge there are zeros.
@group(0) @binding(2) var b: texture_storage_2d<rgba32float, read>;

fn load_b(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.n, B_ALONG_K);
    let columns = select(dims.n, dims.k, B_ALONG_K);
    let inside = row < rows && column < columns;
    let at = select(0u, (b_start() + row * columns + column) / 4u, inside);
    return select(vec4<f32>(), textureLoad(b, vec2(at % TEXELS_ACROSS, at / TEXELS_ACROSS)), inside);
}
