// An item is an element.
fn piece(i: u32, scale: f32) -> f32 {
    let found = weighted_found(element(predictions[i], targets[i]), i);
    emit(i, found.gradient * scale);
    return found.value;
}
