// Parts: shared/line, shared/prelude, update/report.
//
// out[r] = where in row r its largest element is, or with `SMALLEST` its smallest; the first wins a tie. x is
// rows×columns. A row with NaN has no such place: its step is reported as one that went wrong, and none that
// follows moves the parameters.

override SMALLEST: bool;

struct Dims {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let group = flat_workgroup(workgroup, workgroups);
    let row = group * (256u / LINE_INVOCATIONS) + invocation / LINE_INVOCATIONS;
    let first = row * dims.columns;
    let columns = select(0u, dims.columns, row < dims.rows);
    // The smallest is that whose negative is largest.
    let factor = select(1.0, -1.0, SMALLEST);
    var mine = Place();
    if (columns > 0u) {
        mine.value = factor * x[first];
    }
    for (var k = invocation % LINE_INVOCATIONS; k < columns; k += LINE_INVOCATIONS) {
        let value = factor * x[first + k];
        if (beats(value, mine.value)) {
            mine = Place(value, k);
        }
    }
    let top = line_top(invocation, mine);
    if (columns > 0u && invocation % LINE_INVOCATIONS == 0u) {
        // The place past all columns: a row that is drawn by it is one of NaN.
        out[row] = select(top.index, 0xffffffffu, is_nan(top.value));
        if (is_nan(top.value) && !stopped_before()) {
            report(3u);
        }
    }
}
