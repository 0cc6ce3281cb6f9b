// Item i of the softmax cross-entropy with class labels is row i. predictions are …×columns, targets one
// label per row.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;

fn item(i: u32, inside: bool, invocation: u32, scale: f32) -> f32 {
    let row = softmax_row(i, inside, invocation);
    if (!inside) {
        return 0.0;
    }
    let label = targets[i];
    let rest = rest_with_label(row.rest, label, dims.columns);
    if (EMITS) {
        for (var k = invocation % LINE_INVOCATIONS; k < dims.columns; k += LINE_INVOCATIONS) {
            let at = row.first + k;
            let power = exponential(predictions[at] - row.top.value);
            let gradient = softmax_cross_entropy_gradient(power, rest, k == label, k == row.top.index);
            emit(at, weighted_row(gradient, i) * scale);
        }
    }
    // One invocation of the row's speaks for it.
    let at_label = predictions[row.first + select(0u, label, label < dims.columns)];
    let loss = weighted_row(softmax_cross_entropy(rest, row.top.value, at_label), i);
    return select(0.0, loss, invocation % LINE_INVOCATIONS == 0u);
}
