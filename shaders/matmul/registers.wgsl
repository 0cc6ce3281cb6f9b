// Parts: shared/f16, shared/log1p, shared/prelude, shared/texels, shared/words, activation:*, pieces:*, without:*,
// elementwise/functions, matmul/a_f16, matmul/a_scalar, matmul/a_texels, matmul/a_vector, matmul/a_words,
// matmul/activation_1, matmul/activation_4, matmul/b_f16, matmul/b_pair, matmul/b_scalar, matmul/b_texels,
// matmul/b_vector, matmul/b_words, matmul/b_words_8, matmul/block, matmul/blocks_across, matmul/blocks_along,
// matmul/columns, matmul/dims, matmul/each, matmul/epilogue_activation, matmul/epilogue_bias,
// matmul/epilogue_bias_activation, matmul/epilogue_mask, matmul/epilogue_plain, matmul/nn, matmul/nt, matmul/one,
// matmul/out_f16, matmul/out_f32, matmul/piece_1, matmul/piece_4, matmul/piece_pair, matmul/piece_words,
// matmul/rows_alone, matmul/rows_halves, matmul/rows_subgroup_4, matmul/rows_subgroup_8, matmul/saved,
// matmul/saved_f16, matmul/saved_words, matmul/tn, matmul/top, matmul/width_4, matmul/width_8.
//
// A matrix product from registers: every invocation adds up STRIPS bands of 8 rows × COLUMNS columns
// of C in named variables, so that a value of B is used 8·STRIPS times, one of A COLUMNS times or,
// where invocations share it, COLUMNS times by each. For software adapters, on which a load costs thirty
// multiply-adds and workgroup memory is no faster than any other.
override INVOCATIONS: u32;
// Invocations side by side; the others are 8·STRIPS rows further down.
override ACROSS: u32;
// 1 to 4. More is faster, and takes longer to compile.
override STRIPS: u32;

fn a_at(row: u32, column: u32) -> vec4<f32> {
    return load_a(row, column);
}

fn b_at(row: u32, column: u32) -> vec4<f32> {
    return load_b(row, column);
}

@compute @workgroup_size(INVOCATIONS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let part = group / (dims.across * dims.down);
    let place = place_of(group % (dims.across * dims.down));
    // Neighbouring invocations take neighbouring columns: their loads of B and stores of C are contiguous.
    let row = (place.x * (INVOCATIONS / ACROSS) + invocation / ACROSS) * (8u * STRIPS);
    let column = (place.y * ACROSS + invocation % ACROSS) * COLUMNS;
    let first = first_term(part);
    let last = min(first + dims.share, dims.k);
    // No part is without terms, but a surplus workgroup is: see `flat_workgroup`.
    if first >= dims.k { return; }
    var c0 = empty_band();
    var c1 = empty_band();
    var c2 = empty_band();
    var c3 = empty_band();
    var sums = no_sums();
    for (var k = first; k < last; k += 4u) {
        let b = blocks_of_b(k, column);
        sums = add_blocks(sums, b);
        c0 = add_band(rows_of_a(row, k, invocation), b, c0);
        if STRIPS >= 2u {
            c1 = add_band(rows_of_a(row + 8u, k, invocation), b, c1);
        }
        if STRIPS >= 3u {
            c2 = add_band(rows_of_a(row + 16u, k, invocation), b, c2);
        }
        if STRIPS >= 4u {
            c3 = add_band(rows_of_a(row + 24u, k, invocation), b, c3);
        }
    }
    store_sums(part, row, column, sums);
    let beside = band_aside(column);
    // In a loop rather than written out, since what is written out has to be compiled: the first row
    // of each band is stored, the others move up.
    for (var i = 0u; i < min(8u, dims.m - row); i += 1u) {
        store_first(part, row + i, column, c0, beside);
        c0 = band_moved_up(c0);
        if STRIPS >= 2u {
            store_first(part, row + 8u + i, column, c1, beside);
            c1 = band_moved_up(c1);
        }
        if STRIPS >= 3u {
            store_first(part, row + 16u + i, column, c2, beside);
            c2 = band_moved_up(c2);
        }
        if STRIPS >= 4u {
            store_first(part, row + 24u + i, column, c3, beside);
            c3 = band_moved_up(c3);
        }
    }
}
