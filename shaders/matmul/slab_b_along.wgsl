// The slab of B (n×k) in workgroup memory, four terms of a column to a piece.

// Four terms of all the tile's columns: [column % 4 · PIECES_OF_B / 4][column % (4 / PIECES_OF_B)][column / 4]; see
// matmul_slab_a_along. Workgroup memory has 32 banks, eight pieces wide, and answers eight invocations at once if
// each asks another bank. These read neighbours of the last index: other banks. They write pieces of four times four
// terms and of two neighbours of the last index: other banks too, since entries begin two pieces further on.
struct Columns {
    column: array<array<array<vec4<f32>, ACROSS>, COLUMNS_OF_B>, PIECES_OF_B>,
    unused: array<vec4<f32>, 2>,
}
const COLUMNS_OF_B: u32 = 4u / PIECES_OF_B;

// [term / 4].
var<workgroup> b_slab: array<Columns, 4>;

// Four neighbours load what is next to each other in a column.
fn load_for_b_slab(tile_column: u32, k: u32, t: u32, invocation: u32) -> vec4<u32> {
    let column = invocation / 4u % ACROSS * 4u + invocation / (4u * ACROSS);
    let row = tile_column + column + t * COLUMNS_OF_B;
    return own_bits_of_b(row * (dims.k / B_AT_ONCE) + invocation % 4u * (4u / B_AT_ONCE) + k / B_AT_ONCE);
}

fn whole_piece_of_b(bits: vec4<u32>, k: u32, t: u32, invocation: u32) -> vec4<u32> {
    return terms_of_b(bits, k + invocation % 4u * 4u);
}

fn put_b(t: u32, invocation: u32, piece: vec4<f32>) {
    b_slab[invocation % 4u].column[t][invocation / (4u * ACROSS)][invocation / 4u % ACROSS] = piece;
}

// Terms 4·j .. 4·j + 4 of the slab, columns 4·across .. 4·across + 4.
fn block_of_b(j: u32, across: u32) -> Block {
    return transposed(
        b_slab[j].column[0][0][across],
        b_slab[j].column[1u / COLUMNS_OF_B][1u % COLUMNS_OF_B][across],
        b_slab[j].column[2u / COLUMNS_OF_B][2u % COLUMNS_OF_B][across],
        b_slab[j].column[3u / COLUMNS_OF_B][3u % COLUMNS_OF_B][across],
    );
}
