// What is found for an element.
struct Found {
    // Its part of the sum.
    value: f32,
    // The derivative of that with respect to the prediction; 0 for counts.
    gradient: f32,
}
