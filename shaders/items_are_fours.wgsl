// Losses and counts of elements, of which there is a multiple of four: an item is four neighbours. A
// loss_*.wgsl or count_*.wgsl says what is found for one.

@group(0) @binding(2) var<storage, read> predictions: array<Piece>;
@group(0) @binding(3) var<storage, read> targets: array<Piece>;

const LINE_LANES: u32 = 1u;

fn item(i: u32, inside: bool, lane: u32, scale: f32) -> f32 {
    if (!inside) {
        return 0.0;
    }
    let p = values_of(predictions[i]);
    let t = values_of(targets[i]);
    let x = element(p.x, t.x);
    let y = element(p.y, t.y);
    let z = element(p.z, t.z);
    let w = element(p.w, t.w);
    emit(i, piece_of(vec4(x.gradient, y.gradient, z.gradient, w.gradient) * scale));
    return (x.value + y.value) + (z.value + w.value);
}
