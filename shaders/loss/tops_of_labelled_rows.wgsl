// Item i counts row i: its largest logit and its label. predictions are …×columns, targets one label per row.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;

fn item(i: u32, inside: bool, invocation: u32, scale: f32) -> f32 {
    let first = i * dims.columns;
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
    if (!inside || start != 0u) {
        return 0.0;
    }
    return count_correct(top.index, targets[i], is_nan(top.value));
}
