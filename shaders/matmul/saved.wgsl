// What an epilogue reads beside each value of C, piece by piece.
@group(0) @binding(4) var<storage, read> saved: array<Piece>;

fn saved_piece(i: u32) -> Piece {
    return saved[i];
}
