// The slab of B (k×n) in workgroup memory: as in B, term by term, the tile's columns in pieces of four.

// [term · PIECES_OF_B / SLAB].piece[term % (SLAB / PIECES_OF_B)][column / 4]; see matmul_slab_a_along.
struct CopyOfB {
    piece: array<array<vec4<f32>, ACROSS>, TERMS_OF_B>,
}
var<workgroup> b_slab: array<CopyOfB, PIECES_OF_B>;
const TERMS_OF_B: u32 = SLAB / PIECES_OF_B;

// Neighbours load what is next to each other.
fn load_for_b_slab(tile_column: u32, k: u32, t: u32, invocation: u32) -> vec4<u32> {
    let pitch = dims.n / B_AT_ONCE;
    let column = tile_column + invocation % ACROSS * 4u;
    return own_bits_of_b((invocation / ACROSS) * pitch + column / B_AT_ONCE + (k + t * TERMS_OF_B) * pitch);
}

fn whole_piece_of_b(bits: vec4<u32>, k: u32, t: u32, invocation: u32) -> vec4<u32> {
    let term = k + t * TERMS_OF_B + invocation / ACROSS;
    return select(vec4<u32>(), bits, term < dims.k);
}

fn put_b(t: u32, invocation: u32, piece: vec4<f32>) {
    b_slab[t].piece[invocation / ACROSS][invocation % ACROSS] = piece;
}

// Terms 4·j .. 4·j + 4 of the slab, columns 4·across .. 4·across + 4.
fn block_of_b(j: u32, across: u32) -> Block {
    let t = 4u * j / TERMS_OF_B;
    let of_copy = 4u * j % TERMS_OF_B;
    return Block(
        b_slab[t].piece[of_copy][across],
        b_slab[t].piece[of_copy + 1u][across],
        b_slab[t].piece[of_copy + 2u][across],
        b_slab[t].piece[of_copy + 3u][across],
    );
}
