// An item is four neighbouring elements, of which there is a multiple of four.
fn piece(i: u32, scale: f32) -> f32 {
    let p = values_of(predictions[i]);
    let t = values_of(targets[i]);
    let x = element(p.x, t.x);
    let y = element(p.y, t.y);
    let z = element(p.z, t.z);
    let w = element(p.w, t.w);
    emit(i, piece_of(vec4(x.gradient, y.gradient, z.gradient, w.gradient) * scale));
    return (x.value + y.value) + (z.value + w.value);
}
