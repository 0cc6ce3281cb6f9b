// The softmax of one row of predictions (…×columns), for the losses that are built on it.
struct SoftmaxRow {
    // Where the row begins.
    first: u32,
    // The first largest logit, or NaN.
    top: Place,
    // Σ exp(z - largest) over all columns but that, which would add exactly 1; NaN if it is not finite.
    rest: f32,
}

fn softmax_row(row: u32, inside: bool, invocation: u32) -> SoftmaxRow {
    let first = row * dims.columns;
    let columns = select(0u, dims.columns, inside);
    let start = invocation % LINE_INVOCATIONS;
    var mine = Place();
    if (inside) {
        mine.value = predictions[first];
    }
    for (var k = start; k < columns; k += LINE_INVOCATIONS) {
        let z = predictions[first + k];
        if (beats(z, mine.value)) {
            mine = Place(z, k);
        }
    }
    let top = line_top(invocation, mine);
    let left_out = left_out_of_sum(top);
    var part = 0.0;
    for (var k = start; k < columns; k += LINE_INVOCATIONS) {
        if (k != left_out) {
            part += exponential(predictions[first + k] - top.value);
        }
    }
    return SoftmaxRow(first, top, line_sum(invocation, part));
}
