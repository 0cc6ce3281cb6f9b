// Parameters have no copy in 16 bits.
fn keep_copy(i: u32, w: Piece) {}
