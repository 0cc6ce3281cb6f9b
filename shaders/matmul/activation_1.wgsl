// An activation of a piece that is a single number.

fn activate_piece(x: Piece) -> Piece {
    return activate(x);
}

fn activation_grad_piece(saved: Piece) -> Piece {
    return activation_grad(saved);
}
