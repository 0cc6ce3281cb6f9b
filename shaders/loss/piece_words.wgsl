// Predictions, targets and gradients are accessed four neighbours at a time, as two words.
alias Piece = vec2<u64>;

fn values_of(piece: Piece) -> vec4<f32> {
    return from_words(piece);
}

fn piece_of(values: vec4<f32>) -> Piece {
    return to_words(values);
}
