// The mean squared error of an element, from its prediction p and its target t: e², e = p - t; gradient
// 2·e.

fn mean_squared_error(p: f32, t: f32) -> Found {
    let e = p - t;
    return Found(e * e, 2.0 * e);
}
