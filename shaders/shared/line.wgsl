// Sharing out: a line (a row of logits, or what a softmax runs along) is worked on by LINE_INVOCATIONS
// neighbouring invocations of a workgroup of 256, each taking every LINE_INVOCATIONS-th element. What
// they find is joined here, in a fixed order; all invocations of the workgroup must call, also
// those that have no line.

// A power of two, at most 256; `softmax::line_invocations`.
override LINE_INVOCATIONS: u32;

struct Place {
    value: f32,
    index: u32,
}

var<workgroup> line_values: array<f32, 256>;
var<workgroup> line_places: array<Place, 256>;

// Σ x over the invocations of each line.
fn line_sum(invocation: u32, x: f32) -> f32 {
    line_values[invocation] = x;
    for (var half = LINE_INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (invocation % LINE_INVOCATIONS < half) {
            line_values[invocation] += line_values[invocation + half];
        }
    }
    workgroupBarrier();
    let sum = line_values[invocation - invocation % LINE_INVOCATIONS];
    workgroupBarrier();
    return sum;
}

// The largest value over the invocations of each line; among equal ones, that with the least index. NaN if
// one is.
fn line_top(invocation: u32, mine: Place) -> Place {
    line_places[invocation] = mine;
    for (var half = LINE_INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (invocation % LINE_INVOCATIONS < half) {
            let other = line_places[invocation + half];
            let best = line_places[invocation];
            let ties = !is_nan(best.value) & (other.value == best.value) & (other.index < best.index);
            if (beats(other.value, best.value) | ties) {
                line_places[invocation] = other;
            }
        }
    }
    workgroupBarrier();
    let top = line_places[invocation - invocation % LINE_INVOCATIONS];
    workgroupBarrier();
    return top;
}

// Which element of a line Σ exp(x - top) leaves out: the largest, which would add exactly 1. One that is NaN
// or infinite stays in, and makes NaN of the sum; an index beyond all lines leaves none out.
fn left_out_of_sum(top: Place) -> u32 {
    return select(0xffffffffu, top.index, is_finite(top.value));
}
