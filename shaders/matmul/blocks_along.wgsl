// Two blocks of B, whose rows lie along k.
fn blocks_of_b(k: u32, column: u32) -> Blocks {
    return Blocks(block_of_b(k, column), block_of_b(k, column + 4u));
}
