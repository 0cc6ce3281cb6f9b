// Every row counts once.

fn weight_of_row(row: u32) -> f32 {
    return 1.0;
}

fn weight_of_element(element: u32) -> f32 {
    return 1.0;
}
