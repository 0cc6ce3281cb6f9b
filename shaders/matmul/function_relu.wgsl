// ReLU in a form that stays short when it is written out for every value of a tile; see `relu` and
// `relu_grad` in elementwise/activation.wgsl.
fn activate_piece(x: Piece) -> Piece {
    return select(x, Piece(0.0), bitcast<Bits>(x) <= Bits(-0x800000));
}

fn activation_grad_piece(saved: Piece) -> Piece {
    let bits = bitcast<Bits>(saved);
    return select(saved, Piece(1.0), (bits > Bits(0)) & (bits <= Bits(0x7f800000)));
}
