// Rows of features of any width; in memory they are filled up with zeros.

@group(0) @binding(1) var<storage, read> features: array<f32>;

fn feature(row: u32, column: u32) -> f32 {
    return select(0.0, features[row * INPUTS + min(column, INPUTS - 1u)], column < INPUTS);
}

// Four q of a row.
fn four_of_features(row: u32, q: u32) -> Four {
    let column = q * 4u;
    return four_of(vec4(
        feature(row, column),
        feature(row, column + 1u),
        feature(row, column + 2u),
        feature(row, column + 3u),
    ));
}
