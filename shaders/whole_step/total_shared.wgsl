// Four i of the gradients of turn t, or behind them of the sums, of all workgroups together.
fn total(t: u32, i: u32, sharer: Sharer) -> vec4<f32> {
    let at = FIRST + gradients_at(t) + i;
    var sum = vec4<f32>();
    for (var g = 0u; g < sharer.count; g += 1u) {
        sum += load_four(g * sharer.size + at);
    }
    return sum;
}
