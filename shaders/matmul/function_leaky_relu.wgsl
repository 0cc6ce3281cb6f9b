// Leaky ReLU in a form that stays short when it is written out for every value of a tile.
override SLOPE: f32;

fn activate_piece(x: Piece) -> Piece {
    return select(SLOPE * x, x, x > Piece(0.0));
}

fn activation_grad_piece(saved: Piece) -> Piece {
    // NaN for NaN, found as in `is_nan`.
    let bits = bitcast<Bits>(abs(saved));
    return select(select(Piece(SLOPE), Piece(1.0), saved > Piece(0.0)), saved, bits > Bits(0x7f800000));
}
