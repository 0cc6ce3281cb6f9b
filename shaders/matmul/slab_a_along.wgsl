// The slab of A (m×k) in workgroup memory: as in A, row by row, four pieces of four terms in each.

// [row / 8 · PIECES_OF_A / DOWN].piece[row / 8 % (DOWN / PIECES_OF_A)][row % 8 · 4 + term / 4]. Whatever an
// index depends on is the same in every turn and for all that an invocation reads or copies: the rest is
// constant, which needs no check and becomes part of the instruction.
struct CopyOfA {
    piece: array<array<vec4<f32>, 32>, DOWN_OF_COPY>,
}
var<workgroup> a_slab: array<CopyOfA, PIECES_OF_A>;
const DOWN_OF_COPY: u32 = DOWN / PIECES_OF_A;

// Neighbours load what is next to each other.
fn load_for_a_slab(tile_row: u32, k: u32, t: u32, invocation: u32) -> vec4<u32> {
    let row = tile_row + t * (8u * DOWN_OF_COPY) + invocation / 4u;
    return own_bits_of_a(row * (dims.k / A_AT_ONCE) + invocation % 4u * (4u / A_AT_ONCE) + k / A_AT_ONCE);
}

fn whole_piece_of_a(bits: vec4<u32>, k: u32, t: u32, invocation: u32) -> vec4<u32> {
    return terms_of_a(bits, k + invocation % 4u * 4u);
}

fn put_a(t: u32, invocation: u32, piece: vec4<f32>) {
    a_slab[t].piece[invocation / 32u][invocation % 32u] = piece;
}

// Rows 8·down .. 8·down + 8, terms 4·j .. 4·j + 4 of the slab.
fn rows_of_a(down: u32, j: u32) -> Rows {
    let t = down / DOWN_OF_COPY;
    let of_copy = down % DOWN_OF_COPY;
    return Rows(
        a_slab[t].piece[of_copy][j],
        a_slab[t].piece[of_copy][4u + j],
        a_slab[t].piece[of_copy][8u + j],
        a_slab[t].piece[of_copy][12u + j],
        a_slab[t].piece[of_copy][16u + j],
        a_slab[t].piece[of_copy][20u + j],
        a_slab[t].piece[of_copy][24u + j],
        a_slab[t].piece[of_copy][28u + j],
    );
}
