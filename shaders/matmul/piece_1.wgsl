// C number by number, for any n. Pieces are what epilogues work on.
alias Piece = f32;
// The bits of a piece.
alias Bits = i32;
const WIDTH: u32 = 1u;

// What the epilogue reads beside columns column .. column + 4.
fn aside(column: u32) -> vec4<f32> {
    let last = dims.n - 1u;
    return vec4(
        bias_piece(min(column, last)),
        bias_piece(min(column + 1u, last)),
        bias_piece(min(column + 2u, last)),
        bias_piece(min(column + 3u, last)),
    );
}

// out[row][column .. column + 4] of C number `part`.
fn store(part: u32, row: u32, column: u32, v: vec4<f32>, bias: vec4<f32>) {
    if row >= dims.m { return; }
    let at = (part * dims.m + row) * dims.n + column;
    if column < dims.n { put_piece(at, finish(v.x, bias.x, saved_piece(at))); }
    if column + 1u < dims.n { put_piece(at + 1u, finish(v.y, bias.y, saved_piece(at + 1u))); }
    if column + 2u < dims.n { put_piece(at + 2u, finish(v.z, bias.z, saved_piece(at + 2u))); }
    if column + 3u < dims.n { put_piece(at + 3u, finish(v.w, bias.w, saved_piece(at + 3u))); }
}
