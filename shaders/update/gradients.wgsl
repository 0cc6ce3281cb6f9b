// The gradients lie in their arena.

@group(0) @binding(3) var<storage, read> gradients: array<Piece>;

fn gradient(i: u32) -> Piece {
    return gradients[i];
}
