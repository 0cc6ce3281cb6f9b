// The mean absolute error of an element, from its prediction p and its target t: |e|, e = p - t;
// gradient: the sign of e, 0 at 0.

fn mean_absolute_error(p: f32, t: f32) -> Found {
    let e = p - t;
    return Found(abs(e), sign_of(e));
}
