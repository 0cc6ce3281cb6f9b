// Item i counts row i: its largest logit and its largest target probability. predictions and targets are
// …×columns.

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
    let correct = count_correct(top.index, label.index, is_nan(top.value) | is_nan(label.value));
    return select(0.0, correct, inside & (start == 0u));
}
