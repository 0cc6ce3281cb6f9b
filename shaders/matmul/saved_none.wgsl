// For epilogues that read nothing beside C.
fn saved_piece(i: u32) -> Piece {
    return Piece(0.0);
}
