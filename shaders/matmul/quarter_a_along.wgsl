// The slab of A (m×k) of a quarter, [term / 4][row / 2 % 2][row % 2][row / 4] of
// matmul_quarters' slabs, four terms to a piece.

// Four neighbours load what is next to each other.
fn load_for_a(corner: u32, first: u32, turn: u32, t: u32, lane: u32) -> vec4<u32> {
    let row = corner + lane / 4u % 8u * 4u + 2u * t + lane / 32u;
    let own = row * (dims.k / A_AT_ONCE) + (first + lane % 4u * 4u) / A_AT_ONCE;
    return own_bits_of_a(own + turn / A_AT_ONCE);
}

fn whole_piece_of_a(bits: vec4<u32>, k: u32, t: u32, lane: u32) -> vec4<u32> {
    return terms_of_a(bits, k + lane % 4u * 4u);
}

fn put_a(quarter: u32, t: u32, lane: u32, piece: vec4<f32>) {
    slabs[quarter].slab[0][lane % 4u][t][lane / 32u][lane / 4u % 8u] = piece;
}

// Rows 4·down .. 4·down + 4, terms 4·j .. 4·j + 4 of the slab, row by row.
fn four_rows_of_a(quarter: u32, j: u32, down: u32) -> Block {
    return Block(
        slabs[quarter].slab[0][j][0][0][down],
        slabs[quarter].slab[0][j][0][1][down],
        slabs[quarter].slab[0][j][1][0][down],
        slabs[quarter].slab[0][j][1][1][down],
    );
}
