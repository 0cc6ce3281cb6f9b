// The Huber loss of an element, from its prediction p and its target t: e²/2 where |e| ≤ δ, else
// δ·(|e| - δ/2), e = p - t; gradient: e, cut off at ±δ.

override DELTA: f32;

fn element(p: f32, t: f32) -> Found {
    let e = p - t;
    let size = abs(e);
    let value = select(DELTA * (size - 0.5 * DELTA), 0.5 * e * e, size <= DELTA);
    return Found(value, between(e, -DELTA, DELTA));
}
