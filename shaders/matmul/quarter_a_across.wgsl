// The slab of A (k×m) of a quarter, [term / 4][term / 2 % 2][term % 2][row / 4] of matmul_quarters'
// slabs, four rows to a piece.

// Neighbours load what is next to each other.
fn load_for_a(corner: u32, first: u32, turn: u32, t: u32, lane: u32) -> vec4<u32> {
    let pitch = dims.m / A_AT_ONCE;
    let own = (first + lane / 16u * 4u + lane / 8u % 2u) * pitch + (corner + lane % 8u * 4u) / A_AT_ONCE;
    return own_bits_of_a(own + (turn + 2u * t) * pitch);
}

fn whole_piece_of_a(bits: vec4<u32>, k: u32, t: u32, lane: u32) -> vec4<u32> {
    return select(vec4<u32>(), bits, k + lane / 16u * 4u + 2u * t + lane / 8u % 2u < dims.k);
}

fn put_a(quarter: u32, t: u32, lane: u32, piece: vec4<f32>) {
    slabs[quarter].slab[0][lane / 16u][t][lane / 8u % 2u][lane % 8u] = piece;
}

// Rows 4·down .. 4·down + 4, terms 4·j .. 4·j + 4 of the slab, row by row.
fn four_rows_of_a(quarter: u32, j: u32, down: u32) -> Block {
    return transposed(
        slabs[quarter].slab[0][j][0][0][down],
        slabs[quarter].slab[0][j][0][1][down],
        slabs[quarter].slab[0][j][1][0][down],
        slabs[quarter].slab[0][j][1][1][down],
    );
}
