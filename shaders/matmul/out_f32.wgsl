// C as numbers of 32 bits.
@group(0) @binding(3) var<storage, read_write> out: array<Piece>;

fn put_piece(i: u32, piece: Piece) {
    out[i] = piece;
}
