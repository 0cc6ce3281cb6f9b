// Reads eight neighbours along a row of B, four at a time.
fn load_b_pair(row: u32, column: u32) -> Pair {
    return Pair(load_b(row, column), load_b(row, column + 4u));
}
