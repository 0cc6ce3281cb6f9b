// ReLU in a form that stays short when it is written out for every value of a tile; a NaN stays one.
fn activate_piece(x: Piece) -> Piece {
    return select(x, Piece(0.0), x < Piece(0.0));
}

fn activation_grad_piece(saved: Piece) -> Piece {
    return select(Piece(0.0), Piece(1.0), saved > Piece(0.0));
}
