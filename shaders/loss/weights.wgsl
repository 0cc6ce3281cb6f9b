// Each row's item, or the items of its elements, count as often as its weight says.

@group(0) @binding(6) var<storage, read> weights: array<f32>;

fn weight_of_row(row: u32) -> f32 {
    return weights[row];
}

fn weight_of_element(element: u32) -> f32 {
    return weights[element / dims.columns];
}
