// C four neighbours at a time: n is a multiple of four. Pieces are what epilogues work on.
alias Piece = vec4<f32>;
// The bits of a piece.
alias Bits = vec4<i32>;
const WIDTH: u32 = 4u;

// What the epilogue reads beside columns column .. column + 4.
fn aside(column: u32) -> vec4<f32> {
    return bias_piece(min(column, dims.n - 4u) / 4u);
}

// out[row][column .. column + 4] of C number `part`.
fn store(part: u32, row: u32, column: u32, v: vec4<f32>, bias: vec4<f32>) {
    if row < dims.m && column < dims.n {
        let at = ((part * dims.m + row) * dims.n + column) / 4u;
        put_piece(at, finish(v, bias, saved_piece(at)));
    }
}
