// C number by number, for any n. Pieces are what epilogues work on.
alias Piece = f32;
const WIDTH: u32 = 1u;

@group(0) @binding(3) var<storage, read_write> out: array<Piece>;

// out[row][column .. column + 4] of C number `part`.
fn store(part: u32, row: u32, column: u32, v: vec4<f32>) {
    if row >= dims.m { return; }
    let at = (part * dims.m + row) * dims.n + column;
    if column < dims.n { out[at] = finish(at, column, v.x); }
    if column + 1u < dims.n { out[at + 1u] = finish(at + 1u, column + 1u, v.y); }
    if column + 2u < dims.n { out[at + 2u] = finish(at + 2u, column + 2u, v.z); }
    if column + 3u < dims.n { out[at + 3u] = finish(at + 3u, column + 3u, v.w); }
}
