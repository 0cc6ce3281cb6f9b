// Epilogue of a plain product: nothing.
fn bias_piece(i: u32) -> Piece {
    return Piece(0.0);
}

fn finish(value: Piece, bias: Piece, saved: Piece) -> Piece {
    return value;
}
