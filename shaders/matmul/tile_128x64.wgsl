// A tile of 128 rows × 64 columns, by 16 × 16 invocations. Of each slab, an invocation copies two pieces of
// A and one of B.
const DOWN: u32 = 16u;
const ACROSS: u32 = 16u;
const PIECES_OF_A: u32 = 2u;
const PIECES_OF_B: u32 = 1u;

// What an invocation copies of a slab, as it lies in memory.
struct Loaded {
    a0: vec4<u32>,
    a1: vec4<u32>,
    b0: vec4<u32>,
}

struct Copied {
    a0: vec4<f32>,
    a1: vec4<f32>,
    b0: vec4<f32>,
}

// What an invocation copies of the slab that begins with term k; `corner` is the tile's place in C.
fn loaded(corner: vec2<u32>, k: u32, invocation: u32) -> Loaded {
    return Loaded(
        load_for_a_slab(corner.x, k, 0u, invocation),
        load_for_a_slab(corner.x, k, 1u, invocation),
        load_for_b_slab(corner.y, k, 0u, invocation),
    );
}

// The same as numbers, with zeros past the last term.
fn whole(c: Loaded, k: u32, invocation: u32) -> Copied {
    return Copied(
        own_numbers_of_a(whole_piece_of_a(c.a0, k, 0u, invocation)),
        own_numbers_of_a(whole_piece_of_a(c.a1, k, 1u, invocation)),
        own_numbers_of_b(whole_piece_of_b(c.b0, k, 0u, invocation)),
    );
}

fn put(c: Copied, invocation: u32) {
    put_a(0u, invocation, c.a0);
    put_a(1u, invocation, c.a1);
    put_b(0u, invocation, c.b0);
}

// All that an invocation copies of B lies in the same columns, unless B lies along k.
fn sum_of_copied_b(c: Copied) -> vec4<f32> {
    return c.b0;
}
