// Parts: shared/f16, shared/log1p, shared/prelude, activation:*, pieces:*, without:*, elementwise/functions,
// matmul/activation_1, matmul/activation_4, matmul/block, matmul/column_sums, matmul/columns_quarters, matmul/dims,
// matmul/each, matmul/epilogue_activation, matmul/epilogue_bias, matmul/epilogue_bias_activation,
// matmul/epilogue_mask, matmul/epilogue_plain, matmul/one, matmul/out_f16, matmul/out_f32, matmul/piece_1,
// matmul/piece_4, matmul/pieces_of_a_f16, matmul/pieces_of_a_scalar, matmul/pieces_of_a_vector,
// matmul/pieces_of_b_f16, matmul/pieces_of_b_scalar, matmul/pieces_of_b_vector, matmul/quarter_a_across,
// matmul/quarter_a_along, matmul/quarter_b_across, matmul/quarter_b_along, matmul/saved, matmul/saved_f16,
// matmul/second_a_f16, matmul/second_a_scalar, matmul/second_a_vector, matmul/second_b_f16, matmul/second_b_scalar,
// matmul/second_b_vector, matmul/single, matmul/two, matmul/two_column_sums, matmul/two_out.
//
// A matrix product through workgroup memory with few rows and columns and long sums, for GPUs: a workgroup
// computes a tile of 32 × 32 of C. Each quarter of it, 8 × 8 invocations with blocks of 4 × 4, adds up a quarter of
// the terms, as matmul_shared does; then the quarters are added up, in their order, each a row of all blocks.
// So eight times as many invocations have something to do as with tiles of 64 × 32, and no dispatch has to join
// parts, but each value that is read is used half as often.
const SLAB: u32 = 16u;
const LANES: u32 = 64u;

// [quarter].slab[A, B][4][2][2][8]; what the last four are say matmul_quarter_*. Whatever an index depends on is the
// same in every turn: the rest is constant.
alias Slab = array<array<array<array<vec4<f32>, 8>, 2>, 2>, 4>;
struct Quarter {
    slab: array<Slab, 2>,
}
var<workgroup> slabs: array<Quarter, 4>;

// What an invocation copies of a slab, as it lies in memory.
struct Loaded {
    a0: vec4<u32>,
    a1: vec4<u32>,
    b0: vec4<u32>,
    b1: vec4<u32>,
}

struct Copied {
    a0: vec4<f32>,
    a1: vec4<f32>,
    b0: vec4<f32>,
    b1: vec4<f32>,
}

// Of the slab `turn` terms after the quarter's first.
fn loaded(corner: vec2<u32>, first: u32, turn: u32, lane: u32) -> Loaded {
    return Loaded(
        load_for_a(corner.x, first, turn, 0u, lane),
        load_for_a(corner.x, first, turn, 1u, lane),
        load_for_b(corner.y, first, turn, 0u, lane),
        load_for_b(corner.y, first, turn, 1u, lane),
    );
}

// The same as numbers, with zeros past the last term; k is the slab's first.
fn whole(c: Loaded, k: u32, lane: u32) -> Copied {
    return Copied(
        own_numbers_of_a(whole_piece_of_a(c.a0, k, 0u, lane)),
        own_numbers_of_a(whole_piece_of_a(c.a1, k, 1u, lane)),
        own_numbers_of_b(whole_piece_of_b(c.b0, k, 0u, lane)),
        own_numbers_of_b(whole_piece_of_b(c.b1, k, 1u, lane)),
    );
}

// c + a·b: four terms of the sums of a block.
fn add_block(a: Block, b: Block, c: Block) -> Block {
    return Block(add_row(a.b0, b, c.b0), add_row(a.b1, b, c.b1), add_row(a.b2, b, c.b2), add_row(a.b3, b, c.b3));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let group = own_workgroup(flat_workgroup(workgroup, workgroups));
    let part = group / (dims.across * dims.down);
    let place = place_of(group % (dims.across * dims.down));
    // The tile's corner in C, and this invocation's block in the tile.
    let corner = place * 32u;
    let quarter = invocation / LANES;
    let lane = invocation % LANES;
    let down = lane / 8u;
    let across = lane % 8u;
    let share = dims.share / 4u;
    let start = first_term(part);
    let first = start + quarter * share;
    var c = Block();
    var sums = vec4<f32>();
    var next = loaded(corner, first, 0u, lane);
    for (var turn = 0u; turn < share; turn += SLAB) {
        let slab = whole(next, first + turn, lane);
        put_a(quarter, 0u, lane, slab.a0);
        put_a(quarter, 1u, lane, slab.a1);
        put_b(quarter, 0u, lane, slab.b0);
        put_b(quarter, 1u, lane, slab.b1);
        sums = add_copied(sums, slab);
        workgroupBarrier();
        next = loaded(corner, first, turn + SLAB, lane);
        c = add_block(four_rows_of_a(quarter, 0u, down), block_of_b(quarter, 0u, across), c);
        c = add_block(four_rows_of_a(quarter, 1u, down), block_of_b(quarter, 1u, across), c);
        c = add_block(four_rows_of_a(quarter, 2u, down), block_of_b(quarter, 2u, across), c);
        c = add_block(four_rows_of_a(quarter, 3u, down), block_of_b(quarter, 3u, across), c);
        workgroupBarrier();
    }
    // No part is without terms, but a surplus workgroup is: see `flat_workgroup`.
    if start < dims.k {
        store_column_sums(part, corner, invocation, sums);
        // Row r of each block lies at [quarter][r / 2][down / 2][r % 2][down % 2][across].
        let d = down / 2u;
        let e = down % 2u;
        slabs[quarter].slab[0][d][0][e][across] = c.b0;
        slabs[quarter].slab[0][d][1][e][across] = c.b1;
        slabs[quarter].slab[1][d][0][e][across] = c.b2;
        slabs[quarter].slab[1][d][1][e][across] = c.b3;
        workgroupBarrier();
        let r = quarter / 2u;
        let s = quarter % 2u;
        let two = slabs[0].slab[r][d][s][e][across] + slabs[1].slab[r][d][s][e][across];
        let sum = two + slabs[2].slab[r][d][s][e][across] + slabs[3].slab[r][d][s][e][across];
        let row = corner.x + down * 4u + quarter;
        let column = corner.y + across * 4u;
        store(part, row, column, sum, aside(column));
    }
}
