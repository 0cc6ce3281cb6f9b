// Any activation of a single number, as `elementwise/activation.wgsl` has it.
override FUNCTION: u32;

fn activate_piece(x: Piece) -> Piece {
    return activate(FUNCTION, x);
}

fn activation_grad_piece(saved: Piece) -> Piece {
    return activation_grad(FUNCTION, saved);
}
