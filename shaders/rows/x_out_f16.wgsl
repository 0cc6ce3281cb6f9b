// Drawn rows of x are stored in 16 bits.
@group(0) @binding(5) var<storage, read_write> x_out: array<HalfOfX>;
// What their numbers are multiplied by.
override X_OUT_FACTOR: f32;

fn put_x_out(i: u32, piece: X) {
    x_out[i] = half_of(piece, X_OUT_FACTOR);
}
