// Epilogue f(A·B + bias): a layer's bias-add and activation, without a trip through memory.
@group(0) @binding(4) var<storage, read> bias_row: array<Piece>;

fn bias_piece(i: u32) -> Piece {
    return bias_row[i];
}

fn finish(value: Piece, bias: Piece, saved: Piece) -> Piece {
    return activate_piece(value + bias);
}
