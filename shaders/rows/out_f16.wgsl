// Drawn rows are stored in 16 bits.
@group(0) @binding(4) var<storage, read_write> out: array<HalfOfX>;
// What their numbers are multiplied by.
override OUT_FACTOR: f32;

fn put_out(i: u32, piece: X) {
    out[i] = half_of(piece, OUT_FACTOR);
}
