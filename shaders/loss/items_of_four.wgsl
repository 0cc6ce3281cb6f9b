// An item is four neighbouring elements, of which there is a multiple of four.
fn piece(i: u32, scale: f32) -> f32 {
    let p = values_of(predictions[i]);
    let t = values_of(targets[i]);
    let first = 4u * i;
    let x = weighted_found(element(p.x, t.x), first);
    let y = weighted_found(element(p.y, t.y), first + 1u);
    let z = weighted_found(element(p.z, t.z), first + 2u);
    let w = weighted_found(element(p.w, t.w), first + 3u);
    emit(i, piece_of(vec4(x.gradient, y.gradient, z.gradient, w.gradient) * scale));
    return (x.value + y.value) + (z.value + w.value);
}
