// Every row counts once.

fn weighted_row(x: f32, row: u32) -> f32 {
    return x;
}

fn weighted_element(x: f32, element: u32) -> f32 {
    return x;
}
