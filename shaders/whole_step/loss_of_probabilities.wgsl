// Loss, metrics and error of the kernel in memory, the error the gradient of the loss by the outputs, for
// rows with a probability per class. An invocation takes whole rows.
fn loss_of_rows(layer: Layer, record: Record, first_row: u32, rows: u32, invocation: u32) -> Sums {
    var sums = Sums();
    for (var r = invocation; r < rows; r += INVOCATIONS) {
        let live = first_row + r < record.rows;
        let before = r * fours(layer.units);
        let logits = logits_at(layer.above + before, layer.units);
        let wanted = row_of(record, first_row + r) * OUTPUTS;
        let log_sum = log1p(logits.rest);
        var weight = 0.0;
        var item = 0.0;
        var likeliest = 0u;
        var likely = targets[wanted];
        for (var q = 0u; q < fours(layer.units); q += 1u) {
            let p = load_four(logits.first + q);
            for (var j = 0u; j < min(4u, layer.units - 4u * q); j += 1u) {
                let o = 4u * q + j;
                let t = targets[wanted + o];
                item += softmax_cross_entropy_probabilities(log_sum, p[j] - logits.top, t);
                weight += t;
                likeliest = select(likeliest, o, t > likely);
                likely = max(likely, t);
            }
        }
        sums = with_row(sums, item, logits.at, likeliest, live);
        for (var q = 0u; q < fours(layer.units); q += 1u) {
            let p = load_four(logits.first + q);
            let saved = load_four(layer.saved + before + q);
            var error = vec4<f32>();
            for (var j = 0u; j < min(4u, layer.units - 4u * q); j += 1u) {
                let power = exponential(p[j] - logits.top);
                let t = targets[wanted + 4u * q + j];
                let of_j = softmax_cross_entropy_probabilities_gradient(power, logits.rest, weight, t);
                let e = of_j * record.share * slope(layer.function, saved[j]);
                error = with_number(error, j, select(0.0, e, live));
            }
            store_four(layer.error + before + q, error);
        }
    }
    return sums;
}
