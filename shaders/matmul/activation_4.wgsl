// An activation of a piece of four, one number after the other.

fn activate_piece(x: Piece) -> Piece {
    return vec4(
        activate(x.x),
        activate(x.y),
        activate(x.z),
        activate(x.w),
    );
}

fn activation_grad_piece(saved: Piece) -> Piece {
    return vec4(
        activation_grad(saved.x),
        activation_grad(saved.y),
        activation_grad(saved.z),
        activation_grad(saved.w),
    );
}
