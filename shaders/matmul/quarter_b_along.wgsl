// The slab of B (n×k) of a quarter, [term / 4][column / 2 % 2][column % 2][column / 4] of
// matmul_quarters' slabs, four terms to a piece.

// Four neighbours load what is next to each other.
fn load_for_b(corner: u32, first: u32, turn: u32, t: u32, lane: u32) -> vec4<u32> {
    let column = corner + lane / 4u % 8u * 4u + 2u * t + lane / 32u;
    let own = column * (dims.k / B_AT_ONCE) + (first + lane % 4u * 4u) / B_AT_ONCE;
    return own_bits_of_b(own + turn / B_AT_ONCE);
}

fn whole_piece_of_b(bits: vec4<u32>, k: u32, t: u32, lane: u32) -> vec4<u32> {
    return terms_of_b(bits, k + lane % 4u * 4u);
}

fn put_b(quarter: u32, t: u32, lane: u32, piece: vec4<f32>) {
    slabs[quarter].slab[1][lane % 4u][t][lane / 32u][lane / 4u % 8u] = piece;
}

// Terms 4·j .. 4·j + 4 of the slab, columns 4·across .. 4·across + 4, term by term.
fn block_of_b(quarter: u32, j: u32, across: u32) -> Block {
    return transposed(
        slabs[quarter].slab[1][j][0][0][across],
        slabs[quarter].slab[1][j][0][1][across],
        slabs[quarter].slab[1][j][1][0][across],
        slabs[quarter].slab[1][j][1][1][across],
    );
}
