// Any activation of a piece of four, as `elementwise/activation.wgsl` has it.
override FUNCTION: u32;

fn activate_piece(x: Piece) -> Piece {
    return vec4(
        activate(FUNCTION, x.x),
        activate(FUNCTION, x.y),
        activate(FUNCTION, x.z),
        activate(FUNCTION, x.w),
    );
}

fn activation_grad_piece(saved: Piece) -> Piece {
    return vec4(
        activation_grad(FUNCTION, saved.x),
        activation_grad(FUNCTION, saved.y),
        activation_grad(FUNCTION, saved.z),
        activation_grad(FUNCTION, saved.w),
    );
}
