// The slab of A (k×m) in workgroup memory: as in A, term by term, the tile's rows in pieces of four.

// [term · PIECES_OF_A / SLAB].piece[term % (SLAB / PIECES_OF_A)][row / 8][row / 4 % 2]; see matmul_slab_a_along.
struct CopyOfA {
    piece: array<array<array<vec4<f32>, 2>, DOWN>, TERMS_OF_A>,
}
var<workgroup> a_slab: array<CopyOfA, PIECES_OF_A>;
const TERMS_OF_A: u32 = SLAB / PIECES_OF_A;

// Neighbours load what is next to each other.
fn load_for_a_slab(tile_row: u32, k: u32, t: u32, invocation: u32) -> vec4<u32> {
    let pitch = dims.m / A_AT_ONCE;
    let row = tile_row + invocation % (2u * DOWN) * 4u;
    return own_bits_of_a((invocation / (2u * DOWN)) * pitch + row / A_AT_ONCE + (k + t * TERMS_OF_A) * pitch);
}

fn whole_piece_of_a(bits: vec4<u32>, k: u32, t: u32, invocation: u32) -> vec4<u32> {
    let term = k + t * TERMS_OF_A + invocation / (2u * DOWN);
    return select(vec4<u32>(), bits, term < dims.k);
}

fn put_a(t: u32, invocation: u32, piece: vec4<f32>) {
    a_slab[t].piece[invocation / (2u * DOWN)][invocation / 2u % DOWN][invocation % 2u] = piece;
}

// Rows 8·down .. 8·down + 8, terms 4·j .. 4·j + 4 of the slab.
fn rows_of_a(down: u32, j: u32) -> Rows {
    let low = four_rows_of_a(down, 4u * j, 0u);
    let high = four_rows_of_a(down, 4u * j, 1u);
    return Rows(low.b0, low.b1, low.b2, low.b3, high.b0, high.b1, high.b2, high.b3);
}

// Of terms `term` to `term` + 4, which one invocation copied if it copied the first.
fn four_rows_of_a(down: u32, term: u32, half: u32) -> Block {
    let t = term / TERMS_OF_A;
    let of_copy = term % TERMS_OF_A;
    return transposed(
        a_slab[t].piece[of_copy][down][half],
        a_slab[t].piece[of_copy + 1u][down][half],
        a_slab[t].piece[of_copy + 2u][down][half],
        a_slab[t].piece[of_copy + 3u][down][half],
    );
}
