// Parameters have a copy in 16 bits, which products read. It lies as they do.
@group(0) @binding(11) var<storage, read_write> copies: array<vec2<u32>>;

fn keep_copy(i: u32, w: Piece) {
    copies[i] = to_f16(w);
}
