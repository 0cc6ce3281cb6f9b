// Item i of the softmax cross-entropy with class labels: -ln softmax(z)[label] of row i
// = ln Σ exp(z - max) - (z[label] - max); gradient softmax(z), minus 1 at the label.
// predictions are …×columns, targets one label per row. The host checks labels; one past the last
// class, in a buffer of the app's, makes NaN of the loss and of the row's gradient.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;

fn item(i: u32, inside: bool, invocation: u32, scale: f32) -> f32 {
    let row = softmax_row(i, inside, invocation);
    if (!inside) {
        return 0.0;
    }
    var label = targets[i];
    var rest = row.rest;
    if (label >= dims.columns) {
        label = 0u;
        rest = not_a_number(rest);
    }
    if (EMITS) {
        let sum = 1.0 + rest;
        for (var k = invocation % LINE_INVOCATIONS; k < dims.columns; k += LINE_INVOCATIONS) {
            let at = row.first + k;
            var gradient = exponential(predictions[at] - row.top.value) / sum;
            if (k == label) {
                // 1/sum - 1 would cancel at the top.
                gradient = select(gradient - 1.0, -rest / sum, k == row.top.index);
            }
            emit(at, gradient * scale);
        }
    }
    // One invocation of the row's speaks for it.
    let loss = log1p(rest) - (predictions[row.first + label] - row.top.value);
    return select(0.0, loss, invocation % LINE_INVOCATIONS == 0u);
}
