// Losses and counts whose items are elements: each is one invocation's business, element(i, scale).

const LINE_LANES: u32 = 1u;

fn item(i: u32, inside: bool, lane: u32, scale: f32) -> f32 {
    if (inside) {
        return element(i, scale);
    }
    return 0.0;
}
