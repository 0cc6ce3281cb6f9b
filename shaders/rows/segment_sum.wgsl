// Parts: shared/prelude, numbers:*.
//
// out[p, l, c] = Σ x[r, c] over the rows r of run p whose label is l, in their order. x is rows×width, labels is
// rows, a run is `run` rows; out is runs×segments×width. width is counted in pieces, `X`: numbers, or four of
// them. An invocation has a column of a run, so that nobody else adds to its sums. Rows with other labels are
// in no sum.

struct Dims {
    rows: u32,
    width: u32,
    segments: u32,
    run: u32,
    runs: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<X>;
@group(0) @binding(3) var<storage, read_write> out: array<X>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    let part = i / dims.width;
    let column = i % dims.width;
    if (part >= dims.runs) {
        return;
    }
    let first = part * dims.segments * dims.width + column;
    for (var segment = 0u; segment < dims.segments; segment++) {
        out[first + segment * dims.width] = X_ZERO;
    }
    let last = min((part + 1u) * dims.run, dims.rows);
    for (var row = part * dims.run; row < last; row++) {
        let label = labels[row];
        if (label < dims.segments) {
            out[first + label * dims.width] += x[row * dims.width + column];
        }
    }
}
