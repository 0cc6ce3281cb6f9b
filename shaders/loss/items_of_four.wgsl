// An item is four neighbouring elements, of which there is a multiple of four.
fn piece(i: u32, scale: f32) -> f32 {
    let p = values_of(predictions[i]);
    let t = values_of(targets[i]);
    let x = element(p.x, t.x);
    let y = element(p.y, t.y);
    let z = element(p.z, t.z);
    let w = element(p.w, t.w);
    let first = 4u * i;
    let weight = vec4(
        weight_of_element(first),
        weight_of_element(first + 1u),
        weight_of_element(first + 2u),
        weight_of_element(first + 3u),
    );
    emit(i, piece_of(vec4(x.gradient, y.gradient, z.gradient, w.gradient) * scale * weight));
    let values = vec4(x.value, y.value, z.value, w.value) * weight;
    return (values.x + values.y) + (values.z + values.w);
}
