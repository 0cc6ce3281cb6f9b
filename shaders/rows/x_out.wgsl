// Drawn rows of x go to memory as they are.
@group(0) @binding(5) var<storage, read_write> x_out: array<X>;

fn put_x_out(i: u32, piece: X) {
    x_out[i] = piece;
}
