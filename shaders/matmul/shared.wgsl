// Parts: shared/log1p, shared/prelude, without:*, elementwise/functions, activation:*, pieces:*,
// matmul/a_scalar, matmul/a_vector, matmul/activation_1, matmul/activation_4, matmul/b_scalar, matmul/b_vector,
// matmul/block, matmul/columns, matmul/dims, matmul/each, matmul/epilogue_activation, matmul/epilogue_bias,
// matmul/epilogue_bias_activation, matmul/epilogue_mask, matmul/epilogue_plain, matmul/nn, matmul/nt, matmul/one,
// matmul/piece_1, matmul/piece_4, matmul/rows_alone, matmul/saved, matmul/tn.
//
// A matrix product through workgroup memory, the textbook's: a workgroup of DOWN × ACROSS invocations
// computes a tile of 8·DOWN rows × 4·ACROSS columns of C. It walks along k in slabs of 16; of each
// slab, all invocations together copy what the tile needs of A and B to workgroup memory, and then
// each adds to its block of 8 rows × 4 columns, which it holds in named variables. For GPUs.
override DOWN: u32;
override ACROSS: u32;
const SLAB: u32 = 16u;

// The slabs lie as in A and B: along k where the matrix does, else along C.
override A_PIECES: u32 = 2u * DOWN * SLAB;
override B_PIECES: u32 = ACROSS * SLAB;
var<workgroup> a_slab: array<vec4<f32>, A_PIECES>;
var<workgroup> b_slab: array<vec4<f32>, B_PIECES>;

// Pieces of four per row of a slab.
fn a_pitch() -> u32 {
    return select(2u * DOWN, SLAB / 4u, A_ALONG_K);
}

fn b_pitch() -> u32 {
    return select(ACROSS, SLAB / 4u, B_ALONG_K);
}

// Row and column count from the corner of the slab.
fn a_at(row: u32, column: u32) -> vec4<f32> {
    return a_slab[row * a_pitch() + column / 4u];
}

fn b_at(row: u32, column: u32) -> vec4<f32> {
    return b_slab[row * b_pitch() + column / 4u];
}

@compute @workgroup_size(DOWN * ACROSS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let part = group / (dims.across * dims.down);
    let place = place_of(group % (dims.across * dims.down));
    // The tile's corner in C, and this invocation's block in the tile.
    let tile_row = place.x * DOWN * 8u;
    let tile_column = place.y * ACROSS * 4u;
    let row = invocation / ACROSS * 8u;
    let column = invocation % ACROSS * 4u;
    let first = first_term(part);
    let last = min(first + dims.share, dims.k);
    var c = Strip();
    var sums = vec4<f32>();
    for (var k = first; k < last; k += SLAB) {
        let a_corner = select(vec2(k, tile_row), vec2(tile_row, k), A_ALONG_K);
        for (var i = invocation; i < A_PIECES; i += DOWN * ACROSS) {
            a_slab[i] = load_a(a_corner.x + i / a_pitch(), a_corner.y + i % a_pitch() * 4u);
        }
        let b_corner = select(vec2(k, tile_column), vec2(tile_column, k), B_ALONG_K);
        for (var i = invocation; i < B_PIECES; i += DOWN * ACROSS) {
            b_slab[i] = load_b(b_corner.x + i / b_pitch(), b_corner.y + i % b_pitch() * 4u);
        }
        workgroupBarrier();
        for (var j = 0u; j < SLAB; j += 4u) {
            let b = block_of_b(j, column);
            sums = add_columns(sums, b);
            c = add_products(rows_of_a(row, j, invocation), b, c);
        }
        workgroupBarrier();
    }
    // No part is without terms, but a surplus workgroup is: see `flat_workgroup`.
    if first < dims.k {
        store_column_sums(part, tile_row + row, tile_column + column, sums);
        let beside = aside(tile_column + column);
        // In a loop: see `matmul_registers`.
        for (var i = 0u; i < 8u; i += 1u) {
            store(part, tile_row + row + i, tile_column + column, c.c0, beside);
            c = moved_up(c);
        }
    }
}
