// Loss, metrics and error of the kernel in memory, the error the gradient of the loss by the outputs, for
// losses whose items are outputs. An invocation takes whole rows.
fn loss_of_rows(layer: Layer, record: Record, first_row: u32, rows: u32, invocation: u32) -> Sums {
    var sums = Sums();
    for (var r = invocation; r < rows; r += INVOCATIONS) {
        let live = first_row + r < record.rows;
        let row = row_of(record, first_row + r);
        let before = r * fours(layer.units);
        for (var q = 0u; q < fours(layer.units); q += 1u) {
            let p = load_four(layer.above + before + q);
            let saved = load_four(layer.saved + before + q);
            var error = vec4<f32>();
            for (var j = 0u; j < min(4u, layer.units - 4u * q); j += 1u) {
                let t = targets[row * OUTPUTS + 4u * q + j];
                let found = element(p[j], t);
                sums = with_output(sums, found.value, p[j], t, live);
                let e = found.gradient * record.share * slope(layer.function, saved[j]);
                error = with_number(error, j, select(0.0, e, live));
            }
            store_four(layer.error + before + q, error);
        }
    }
    return sums;
}
