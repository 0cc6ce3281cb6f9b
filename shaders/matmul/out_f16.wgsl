// C stored in 16 bits, in pieces of four.
@group(0) @binding(3) var<storage, read_write> out: array<vec2<u32>>;
// What its numbers are multiplied by.
override OUT_FACTOR: f32;

fn put_piece(i: u32, piece: Piece) {
    out[i] = to_f16(piece * OUT_FACTOR);
}
