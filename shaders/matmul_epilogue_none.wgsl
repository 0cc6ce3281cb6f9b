// Epilogue of a plain product: nothing.
fn bias_piece(i: u32) -> Piece {
    return Piece();
}

fn finish(value: Piece, bias: Piece, saved: Piece) -> Piece {
    return value;
}
