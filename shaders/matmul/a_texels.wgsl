// Reads four neighbours along a row of A, whose length is a multiple of four, as a texel. The texture has all of A, one
// texel after another. Past an edge there are zeros.
@group(0) @binding(1) var a: texture_storage_2d<rgba32float, read>;

fn load_a(row: u32, column: u32) -> vec4<f32> {
    let rows = select(dims.k, dims.m, A_ALONG_K);
    let columns = select(dims.m, dims.k, A_ALONG_K);
    let inside = row < rows && column < columns;
    let at = select(0u, (a_start() + row * columns + column) / 4u, inside);
    return select(vec4<f32>(), textureLoad(a, vec2(at % TEXELS_ACROSS, at / TEXELS_ACROSS)), inside);
}
