// Predictions, targets and gradients are accessed four neighbours at a time.
alias Piece = vec4<f32>;

fn values_of(piece: Piece) -> vec4<f32> {
    return piece;
}

fn piece_of(values: vec4<f32>) -> Piece {
    return values;
}
