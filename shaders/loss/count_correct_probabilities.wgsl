// Item i: 1 if the largest logit of row i is where its largest target probability is, else 0; the
// first largest wins a tie, and a row with NaN is wrong. predictions and targets are …×columns.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<f32>;

fn item(i: u32, inside: bool, invocation: u32, scale: f32) -> f32 {
    let first = i * dims.columns;
    let columns = select(0u, dims.columns, inside);
    let start = invocation % LINE_INVOCATIONS;
    var logit = Place();
    var probability = Place();
    if (inside) {
        logit.value = predictions[first];
        probability.value = targets[first];
    }
    for (var k = start; k < columns; k += LINE_INVOCATIONS) {
        let z = predictions[first + k];
        if (beats(z, logit.value)) {
            logit = Place(z, k);
        }
        let t = targets[first + k];
        if (beats(t, probability.value)) {
            probability = Place(t, k);
        }
    }
    let top = line_top(invocation, logit);
    let label = line_top(invocation, probability);
    let hit = (top.index == label.index) & !is_nan(top.value) & !is_nan(label.value);
    return select(0.0, 1.0, inside && start == 0u && hit);
}
