// The Huber loss of an element, from its prediction p and its target t: e²/2 where |e| ≤ δ, else
// δ·(|e| - δ/2), e = p - t; gradient: e, cut off at ±δ.

fn huber(p: f32, t: f32) -> Found {
    let e = p - t;
    let size = abs(e);
    let delta = huber_delta();
    let value = select(delta * (size - 0.5 * delta), 0.5 * e * e, size <= delta);
    return Found(value, between(e, -delta, delta));
}
