// The slab of B (k×n) of a quarter, [term / 4][term / 2 % 2][term % 2][column / 4] of matmul_quarters'
// slabs, four columns to a piece.

// Neighbours load what is next to each other.
fn load_for_b(corner: u32, first: u32, turn: u32, t: u32, lane: u32) -> vec4<u32> {
    let pitch = dims.n / B_AT_ONCE;
    let own = (first + lane / 16u * 4u + lane / 8u % 2u) * pitch + (corner + lane % 8u * 4u) / B_AT_ONCE;
    return own_bits_of_b(own + (turn + 2u * t) * pitch);
}

fn whole_piece_of_b(bits: vec4<u32>, k: u32, t: u32, lane: u32) -> vec4<u32> {
    return select(vec4<u32>(), bits, k + lane / 16u * 4u + 2u * t + lane / 8u % 2u < dims.k);
}

fn put_b(quarter: u32, t: u32, lane: u32, piece: vec4<f32>) {
    slabs[quarter].slab[1][lane / 16u][t][lane / 8u % 2u][lane % 8u] = piece;
}

// Terms 4·j .. 4·j + 4 of the slab, columns 4·across .. 4·across + 4, term by term.
fn block_of_b(quarter: u32, j: u32, across: u32) -> Block {
    return Block(
        slabs[quarter].slab[1][j][0][0][across],
        slabs[quarter].slab[1][j][0][1][across],
        slabs[quarter].slab[1][j][1][0][across],
        slabs[quarter].slab[1][j][1][1][across],
    );
}
