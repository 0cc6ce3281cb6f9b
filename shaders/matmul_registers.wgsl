// A matrix product from registers: every invocation adds up STRIPS blocks of 8 rows × 4 columns of C
// in named variables, so that a value of B is used 8·STRIPS times, one of A 4 times or, where lanes
// share it, 4 times by each. For software adapters, on which a load costs thirty multiply-adds and
// workgroup memory is no faster than any other.
override LANES: u32 = 8u;
// Lanes side by side; the others are 8·STRIPS rows further down.
override ACROSS: u32 = 8u;
// 1, 2 or 4. More is faster, and takes longer to compile.
override STRIPS: u32 = 4u;

fn a_at(row: u32, column: u32) -> vec4<f32> {
    return load_a(row, column);
}

fn b_at(row: u32, column: u32) -> vec4<f32> {
    return load_b(row, column);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let part = group / (dims.across * dims.down);
    let place = place_of(group % (dims.across * dims.down));
    // Neighbouring lanes take neighbouring columns: their loads of B and stores of C are contiguous.
    let row = (place.x * (LANES / ACROSS) + lane / ACROSS) * (8u * STRIPS);
    let column = (place.y * ACROSS + lane % ACROSS) * 4u;
    let first = part * dims.share;
    let last = min(first + dims.share, dims.k);
    if first >= dims.k { return; }
    var c0 = Strip();
    var c1 = Strip();
    var c2 = Strip();
    var c3 = Strip();
    var sums = vec4<f32>();
    for (var k = first; k < last; k += 4u) {
        let b = block_of_b(k, column);
        sums = add_columns(sums, b);
        c0 = add_products(rows_of_a(row, k, lane), b, c0);
        if STRIPS >= 2u {
            c1 = add_products(rows_of_a(row + 8u, k, lane), b, c1);
        }
        if STRIPS >= 4u {
            c2 = add_products(rows_of_a(row + 16u, k, lane), b, c2);
            c3 = add_products(rows_of_a(row + 24u, k, lane), b, c3);
        }
    }
    store_column_sums(part, row, column, sums);
    // In a loop rather than written out, since what is written out has to be compiled: the first row
    // of each strip is stored, the others move up.
    for (var i = 0u; i < min(8u, dims.m - row); i += 1u) {
        store(part, row + i, column, c0.c0);
        c0 = moved_up(c0);
        if STRIPS >= 2u {
            store(part, row + 8u + i, column, c1.c0);
            c1 = moved_up(c1);
        }
        if STRIPS >= 4u {
            store(part, row + 16u + i, column, c2.c0);
            c2 = moved_up(c2);
            store(part, row + 24u + i, column, c3.c0);
            c3 = moved_up(c3);
        }
    }
}
