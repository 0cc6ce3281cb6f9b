// Each row's item, or the items of its elements, count as often as its weight says.

@group(0) @binding(6) var<storage, read> weights: array<f32>;

fn weighted_row(x: f32, row: u32) -> f32 {
    return x * weights[row];
}

fn weighted_element(x: f32, element: u32) -> f32 {
    return x * weights[element / dims.columns];
}
