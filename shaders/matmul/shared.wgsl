// Parts: shared/f16, shared/log1p, shared/prelude, activation:*, pieces:*, without:*, elementwise/functions,
// matmul/activation_1, matmul/activation_4, matmul/block, matmul/column_sums, matmul/columns_shared, matmul/dims,
// matmul/each, matmul/epilogue_activation, matmul/epilogue_bias, matmul/epilogue_bias_activation,
// matmul/epilogue_mask, matmul/epilogue_plain, matmul/one, matmul/out_f16, matmul/out_f32, matmul/piece_1,
// matmul/piece_4, matmul/pieces_of_a_f16, matmul/pieces_of_a_scalar, matmul/pieces_of_a_vector,
// matmul/pieces_of_b_f16, matmul/pieces_of_b_scalar, matmul/pieces_of_b_vector, matmul/saved, matmul/saved_f16,
// matmul/second_a_f16, matmul/second_a_scalar, matmul/second_a_vector, matmul/second_b_f16, matmul/second_b_scalar,
// matmul/second_b_vector, matmul/single, matmul/slab_a_across, matmul/slab_a_along, matmul/slab_b_across,
// matmul/slab_b_along, matmul/tile_128x64, matmul/tile_64x32, matmul/two, matmul/two_column_sums, matmul/two_out.
//
// A matrix product through workgroup memory, for GPUs: a workgroup of DOWN × ACROSS invocations computes a
// tile of 8·DOWN rows × 4·ACROSS columns of C. It walks along k in slabs of 16 terms; of each slab, all
// invocations together copy what the tile needs of A and B to workgroup memory, and then each adds to its
// block of 8 rows × 4 columns, which it holds in named variables. The next slab is on its way from memory
// while this one is multiplied. What the loop does is written out, since indices that are constants need
// no checks, and checks took a third of the time.
const SLAB: u32 = 16u;

@compute @workgroup_size(DOWN * ACROSS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let group = own_workgroup(flat_workgroup(workgroup, workgroups));
    let part = group / (dims.across * dims.down);
    let place = place_of(group % (dims.across * dims.down));
    // The tile's corner in C, and this invocation's block in the tile.
    let corner = place * vec2(8u * DOWN, 4u * ACROSS);
    let down = invocation / ACROSS;
    let across = invocation % ACROSS;
    let first = first_term(part);
    let last = min(first + dims.share, dims.k);
    var c = Strip();
    var sums = vec4<f32>();
    var next = loaded(corner, first, invocation);
    for (var k = first; k < last; k += SLAB) {
        let slab = whole(next, k, invocation);
        put(slab, invocation);
        sums = add_copied(sums, slab);
        workgroupBarrier();
        next = loaded(corner, k + SLAB, invocation);
        c = add_products(rows_of_a(down, 0u), block_of_b(0u, across), c);
        c = add_products(rows_of_a(down, 1u), block_of_b(1u, across), c);
        c = add_products(rows_of_a(down, 2u), block_of_b(2u, across), c);
        c = add_products(rows_of_a(down, 3u), block_of_b(3u, across), c);
        workgroupBarrier();
    }
    // No part is without terms, but a surplus workgroup is: see `flat_workgroup`.
    if first < dims.k {
        store_column_sums(part, corner, invocation, sums);
        let row = corner.x + down * 8u;
        let column = corner.y + across * 4u;
        let beside = aside(column);
        store(part, row, column, c.c0, beside);
        store(part, row + 1u, column, c.c1, beside);
        store(part, row + 2u, column, c.c2, beside);
        store(part, row + 3u, column, c.c3, beside);
        store(part, row + 4u, column, c.c4, beside);
        store(part, row + 5u, column, c.c5, beside);
        store(part, row + 6u, column, c.c6, beside);
        store(part, row + 7u, column, c.c7, beside);
    }
}
