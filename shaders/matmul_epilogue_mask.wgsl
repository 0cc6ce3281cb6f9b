// Epilogue (A·B) ⊙ f'(saved): the gradient passes through the activation below the layer.
@group(0) @binding(4) var<storage, read> saved: array<Piece>;

fn finish(at: u32, column: u32, value: Piece) -> Piece {
    return value * activation_grad_piece(saved[at]);
}
