// Epilogue f(A·B + bias): a layer's bias-add and activation, without a trip through memory.
@group(0) @binding(4) var<storage, read> bias: array<Piece>;

fn finish(at: u32, column: u32, value: Piece) -> Piece {
    return activate_piece(value + bias[column]);
}
