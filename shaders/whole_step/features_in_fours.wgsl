// Rows of features that are whole fours of numbers.

@group(0) @binding(1) var<storage, read> features: array<Four>;

// Four q of a row.
fn four_of_features(row: u32, q: u32) -> Four {
    return features[row * INPUT_FOURS + q];
}
