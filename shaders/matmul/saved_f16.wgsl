// What an epilogue reads beside each value of C, stored in 16 bits, in pieces of four.
@group(0) @binding(4) var<storage, read> saved: array<vec2<u32>>;
// What a loaded number is multiplied by: 1 / the scale it is stored with.
override SAVED_FACTOR: f32;

fn saved_piece(i: u32) -> Piece {
    return from_f16(saved[i]) * SAVED_FACTOR;
}
