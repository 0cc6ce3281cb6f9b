// Loss, metrics and error of the kernel in memory, the error the gradient of the loss by the outputs, for
// rows with a class label. An invocation takes whole rows.
fn loss_of_rows(layer: Layer, record: Record, first_row: u32, rows: u32, invocation: u32) -> Sums {
    var sums = Sums();
    for (var r = invocation; r < rows; r += INVOCATIONS) {
        let live = first_row + r < record.rows;
        let before = r * fours(layer.units);
        var logits = logits_at(layer.above + before, layer.units);
        let label = targets[row_of(record, first_row + r)];
        logits.rest = rest_with_label(logits.rest, label, OUTPUTS);
        let known = select(0u, label, label < OUTPUTS);
        let at_label = load_four(logits.first + known / 4u)[known % 4u];
        let item = softmax_cross_entropy(logits.rest, logits.top, at_label);
        sums = with_row(sums, item, logits.at, label, live);
        for (var q = 0u; q < fours(layer.units); q += 1u) {
            let p = load_four(logits.first + q);
            let saved = load_four(layer.saved + before + q);
            var error = vec4<f32>();
            for (var j = 0u; j < min(4u, layer.units - 4u * q); j += 1u) {
                let o = 4u * q + j;
                let power = exponential(p[j] - logits.top);
                let of_j = softmax_cross_entropy_gradient(power, logits.rest, o == label, o == logits.at);
                let e = of_j * record.share * slope(layer.function, saved[j]);
                error = with_number(error, j, select(0.0, e, live));
            }
            store_four(layer.error + before + q, error);
        }
    }
    return sums;
}
