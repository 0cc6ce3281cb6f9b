// Item i of the softmax cross-entropy with target probabilities is row i. predictions and targets are
// …×columns.

@group(0) @binding(2) var<storage, read> predictions: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<f32>;

fn item(i: u32, inside: bool, invocation: u32, scale: f32) -> f32 {
    let row = softmax_row(i, inside, invocation);
    let log_sum = log1p(row.rest);
    let columns = select(0u, dims.columns, inside);
    var loss = 0.0;
    var part = 0.0;
    for (var k = invocation % LINE_INVOCATIONS; k < columns; k += LINE_INVOCATIONS) {
        let t = targets[row.first + k];
        let away = predictions[row.first + k] - row.top.value;
        loss += softmax_cross_entropy_probabilities(log_sum, away, t);
        part += t;
    }
    if (EMITS) {
        let sum = line_sum(invocation, part);
        for (var k = invocation % LINE_INVOCATIONS; k < columns; k += LINE_INVOCATIONS) {
            let at = row.first + k;
            let power = exponential(predictions[at] - row.top.value);
            let gradient = softmax_cross_entropy_probabilities_gradient(power, row.rest, sum, targets[at]);
            emit(at, weighted_row(gradient, i) * scale);
        }
    }
    // Each invocation returns its part; they are added up with those of other rows.
    if (inside) {
        loss = weighted_row(loss, i);
    }
    return loss;
}
