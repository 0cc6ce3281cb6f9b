// Parts: shared/f16, shared/prelude, shared/words, words:*, rows/half_of_4, rows/half_of_8, rows/t_out, rows/x_out,
// rows/x_out_f16.
//
// rows/batch.wgsl for inputs and targets in one dispatch: x_out[r, c] = x[order[batch_start + r], c] and
// t_out[r, c] = t[order[batch_start + r], c]. x is rows×x_width, t is rows×t_width, order is n;
// x_count and t_count are the pieces of x_out and t_out, in which widths are counted too. The pieces
// `X` and `T` are words or four of them.

struct Dims {
    x_count: u32,
    x_width: u32,
    x_rows: u32,
    t_count: u32,
    t_width: u32,
    t_rows: u32,
    n: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<X>;
@group(0) @binding(4) var<storage, read> t: array<T>;

// The row of x and t that is row number `row` of the batch; one that neither has if the order ends
// before.
fn drawn(row: u32) -> u32 {
    let place = step.batch_start + row;
    if (place < dims.n) {
        return order[place];
    }
    return 0xffffffffu;
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i < dims.x_count) {
        let row = drawn(i / dims.x_width);
        var piece = X_NO_ROW;
        if (row < dims.x_rows) {
            piece = x[row * dims.x_width + i % dims.x_width];
        }
        put_x_out(i, piece);
        return;
    }
    let j = i - dims.x_count;
    if (j < dims.t_count) {
        let row = drawn(j / dims.t_width);
        var piece = T_NO_ROW;
        if (row < dims.t_rows) {
            piece = t[row * dims.t_width + j % dims.t_width];
        }
        put_t_out(j, piece);
    }
}
