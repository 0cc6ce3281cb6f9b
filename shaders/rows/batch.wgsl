// Parts: shared/f16, shared/prelude, shared/words, words:*, rows/half_of_4, rows/half_of_8, rows/out, rows/out_f16.
//
// out[r, c] = x[order[batch_start + r], c]. x is rows×width, order is n, out is …×width, count
// pieces; width is counted in pieces too. A piece, `X`, is a word or four. Copies
// bits, whatever they mean. The host checks places and rows; past an end lie rows of NaN.

struct Dims {
    count: u32,
    width: u32,
    rows: u32,
    n: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<X>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i < dims.count) {
        let place = step.batch_start + i / dims.width;
        var piece = X_NO_ROW;
        if (place < dims.n && order[place] < dims.rows) {
            piece = x[order[place] * dims.width + i % dims.width];
        }
        put_out(i, piece);
    }
}
