// Sharing out: a line (a row of logits, or what a softmax runs along) is worked on by LINE_LANES
// neighbouring invocations of a workgroup of 256, each taking every LINE_LANES-th element. What
// they find is joined here, in a fixed order; all invocations of the workgroup must call, also
// those that have no line.

// A power of two, at most 256; `softmax::line_lanes`.
override LINE_LANES: u32;

struct Place {
    value: f32,
    index: u32,
}

var<workgroup> line_values: array<f32, 256>;
var<workgroup> line_places: array<Place, 256>;

// Σ x over the invocations of each line.
fn line_sum(lane: u32, x: f32) -> f32 {
    line_values[lane] = x;
    for (var half = LINE_LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane % LINE_LANES < half) {
            line_values[lane] += line_values[lane + half];
        }
    }
    workgroupBarrier();
    let sum = line_values[lane - lane % LINE_LANES];
    workgroupBarrier();
    return sum;
}

// The largest value over the invocations of each line; among equal ones, that with the least index. NaN if
// one is.
fn line_top(lane: u32, mine: Place) -> Place {
    line_places[lane] = mine;
    for (var half = LINE_LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane % LINE_LANES < half) {
            let other = line_places[lane + half];
            let best = line_places[lane];
            let ties = !is_nan(best.value) & (other.value == best.value) & (other.index < best.index);
            if (beats(other.value, best.value) | ties) {
                line_places[lane] = other;
            }
        }
    }
    workgroupBarrier();
    let top = line_places[lane - lane % LINE_LANES];
    workgroupBarrier();
    return top;
}

// Which element of a line Σ exp(x - top) leaves out: the largest, which would add exactly 1. One that is NaN
// or infinite stays in, and makes NaN of the sum; an index beyond all lines leaves none out.
fn left_out_of_sum(top: Place) -> u32 {
    return select(0xffffffffu, top.index, is_finite(top.value));
}
