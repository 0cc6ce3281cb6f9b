// Drawn rows go to memory as they are.
@group(0) @binding(4) var<storage, read_write> out: array<X>;

fn put_out(i: u32, piece: X) {
    out[i] = piece;
}
