// The softmax of one row of predictions (…×columns), for the losses that are built on it.
struct SoftmaxRow {
    // Where the row begins.
    first: u32,
    // The first largest logit.
    top: Place,
    // Σ exp(z - largest) over all columns but that, which would add exactly 1.
    rest: f32,
}

fn softmax_row(row: u32, inside: bool, lane: u32) -> SoftmaxRow {
    let first = row * dims.columns;
    let columns = select(0u, dims.columns, inside);
    let start = lane % LINE_LANES;
    var mine = Place(LOWEST, start);
    for (var k = start; k < columns; k += LINE_LANES) {
        let z = predictions[first + k];
        if (z > mine.value) {
            mine = Place(z, k);
        }
    }
    let top = line_top(lane, mine);
    var part = 0.0;
    for (var k = start; k < columns; k += LINE_LANES) {
        if (k != top.index) {
            part += exp(predictions[first + k] - top.value);
        }
    }
    return SoftmaxRow(first, top, line_sum(lane, part));
}
