// C of two products, as numbers of 32 bits.
@group(0) @binding(3) var<storage, read_write> out: array<Piece>;
@group(0) @binding(8) var<storage, read_write> second_out: array<Piece>;

fn put_piece(i: u32, piece: Piece) {
    if is_second {
        second_out[i] = piece;
    } else {
        out[i] = piece;
    }
}
