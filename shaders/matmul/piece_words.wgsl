// C eight neighbours at a time, as four words: n is a multiple of eight. Pieces are what epilogues
// work on.
alias Piece = vec4<f32>;
// The bits of a piece.
alias Bits = vec4<i32>;

@group(0) @binding(3) var<storage, read_write> out: array<vec4<u64>>;

// What the epilogue reads beside columns column .. column + 4.
fn aside(column: u32) -> vec4<f32> {
    return bias_piece(min(column, dims.n - 4u) / 4u);
}

// out[row][column .. column + 8] of C number `part`.
fn store_pair(part: u32, row: u32, column: u32, v: Pair, bias: Pair) {
    if row < dims.m && column < dims.n {
        let at = ((part * dims.m + row) * dims.n + column) / 8u;
        let saved = saved_pair(at);
        let left = to_words(finish(v.left, bias.left, saved.left));
        let right = to_words(finish(v.right, bias.right, saved.right));
        out[at] = vec4(left, right);
    }
}
