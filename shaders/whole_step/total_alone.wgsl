// Four i of the gradients of turn t, or behind them of the sums, of the one workgroup there is.
fn total(t: u32, i: u32, sharer: Sharer) -> vec4<f32> {
    return load_four(FIRST + gradients_at(t) + i);
}
