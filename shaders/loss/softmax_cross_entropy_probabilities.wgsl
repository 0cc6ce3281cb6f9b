// Item i of the softmax cross-entropy with target probabilities t: -Σ t·ln softmax(z) of row i
// = Σ t·(ln Σ exp(z - max) - (z - max)); gradient softmax(z)·Σt - t (targets need not sum to 1).
// predictions and targets are …×columns.

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
        // Where t is 0, the logit does not count, which may be -∞.
        let away = predictions[row.first + k] - row.top.value;
        loss += t * select(log_sum - away, log_sum, t == 0.0);
        part += t;
    }
    if (EMITS) {
        let weight = line_sum(invocation, part);
        let sum = 1.0 + row.rest;
        for (var k = invocation % LINE_INVOCATIONS; k < columns; k += LINE_INVOCATIONS) {
            let at = row.first + k;
            let p = exponential(predictions[at] - row.top.value) / sum;
            emit(at, (p * weight - targets[at]) * scale);
        }
    }
    // Each invocation returns its part; they are added up with those of other rows.
    return loss;
}
