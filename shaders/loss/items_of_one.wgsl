// An item is an element.
fn piece(i: u32, scale: f32) -> f32 {
    let found = element(predictions[i], targets[i]);
    let weight = weight_of_element(i);
    emit(i, found.gradient * scale * weight);
    return found.value * weight;
}
