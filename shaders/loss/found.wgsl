// What a loss or a count of elements finds for one of them.
struct Found {
    // Its part of the sum.
    value: f32,
    // The derivative of that with respect to the prediction; 0 for counts.
    gradient: f32,
}
