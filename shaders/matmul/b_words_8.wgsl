// Reads eight neighbours along a row of B, whose length is a multiple of eight, as four words. Past an
// edge there are zeros.
@group(0) @binding(2) var<storage, read> b: array<vec4<u64>>;

fn load_b_pair(row: u32, column: u32) -> Pair {
    let inside = row < dims.k && column < dims.n;
    let words = b[select(0u, (b_start() + row * dims.n + column) / 8u, inside)];
    return Pair(
        select(vec4<f32>(), from_words(words.xy), inside),
        select(vec4<f32>(), from_words(words.zw), inside),
    );
}

// Four of them, for `block_of_b`.
fn load_b(row: u32, column: u32) -> vec4<f32> {
    let pair = load_b_pair(row, column / 8u * 8u);
    return select(pair.left, pair.right, column % 8u >= 4u);
}
