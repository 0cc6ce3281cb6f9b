// ReLU in a form that stays short when it is written out for every value of a tile; a NaN stays one.
fn activate_piece(x: Piece) -> Piece {
    return select(x, Piece(), x < Piece());
}

fn activation_grad_piece(saved: Piece) -> Piece {
    return select(Piece(), Piece(1.0), saved > Piece());
}
