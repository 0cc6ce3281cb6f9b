// A tile of 64 rows × 32 columns, by 8 × 8 invocations. Of each slab, an invocation copies four pieces of
// A and two of B.
const DOWN: u32 = 8u;
const ACROSS: u32 = 8u;
const PIECES_OF_A: u32 = 4u;
const PIECES_OF_B: u32 = 2u;

// What an invocation copies of a slab, as it lies in memory.
struct Loaded {
    a0: vec4<u32>,
    a1: vec4<u32>,
    a2: vec4<u32>,
    a3: vec4<u32>,
    b0: vec4<u32>,
    b1: vec4<u32>,
}

struct Copied {
    a0: vec4<f32>,
    a1: vec4<f32>,
    a2: vec4<f32>,
    a3: vec4<f32>,
    b0: vec4<f32>,
    b1: vec4<f32>,
}

// What an invocation copies of the slab that begins with term k; `corner` is the tile's place in C.
fn loaded(corner: vec2<u32>, k: u32, invocation: u32) -> Loaded {
    return Loaded(
        load_for_a_slab(corner.x, k, 0u, invocation),
        load_for_a_slab(corner.x, k, 1u, invocation),
        load_for_a_slab(corner.x, k, 2u, invocation),
        load_for_a_slab(corner.x, k, 3u, invocation),
        load_for_b_slab(corner.y, k, 0u, invocation),
        load_for_b_slab(corner.y, k, 1u, invocation),
    );
}

// The same as numbers, with zeros past the last term.
fn whole(c: Loaded, k: u32, invocation: u32) -> Copied {
    return Copied(
        own_numbers_of_a(whole_piece_of_a(c.a0, k, 0u, invocation)),
        own_numbers_of_a(whole_piece_of_a(c.a1, k, 1u, invocation)),
        own_numbers_of_a(whole_piece_of_a(c.a2, k, 2u, invocation)),
        own_numbers_of_a(whole_piece_of_a(c.a3, k, 3u, invocation)),
        own_numbers_of_b(whole_piece_of_b(c.b0, k, 0u, invocation)),
        own_numbers_of_b(whole_piece_of_b(c.b1, k, 1u, invocation)),
    );
}

fn put(c: Copied, invocation: u32) {
    put_a(0u, invocation, c.a0);
    put_a(1u, invocation, c.a1);
    put_a(2u, invocation, c.a2);
    put_a(3u, invocation, c.a3);
    put_b(0u, invocation, c.b0);
    put_b(1u, invocation, c.b1);
}

// All that an invocation copies of B lies in the same columns, unless B lies along k.
fn sum_of_copied_b(c: Copied) -> vec4<f32> {
    return c.b0 + c.b1;
}
