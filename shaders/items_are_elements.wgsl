// Losses and counts whose items are elements: each is one invocation's business. A loss_*.wgsl or
// count_*.wgsl says what is found for an element.

@group(0) @binding(2) var<storage, read> predictions: array<Piece>;
@group(0) @binding(3) var<storage, read> targets: array<Piece>;

const LINE_LANES: u32 = 1u;

fn item(i: u32, inside: bool, lane: u32, scale: f32) -> f32 {
    if (!inside) {
        return 0.0;
    }
    let found = element(predictions[i], targets[i]);
    emit(i, found.gradient * scale);
    return found.value;
}
