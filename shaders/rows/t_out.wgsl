// Drawn rows of t go to memory as they are.
@group(0) @binding(6) var<storage, read_write> t_out: array<T>;

fn put_t_out(i: u32, piece: T) {
    t_out[i] = piece;
}
