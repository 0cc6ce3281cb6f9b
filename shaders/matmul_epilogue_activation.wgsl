// Epilogue f(A·B): the activation, where there is no bias.
fn finish(at: u32, column: u32, value: Piece) -> Piece {
    return activate_piece(value);
}
