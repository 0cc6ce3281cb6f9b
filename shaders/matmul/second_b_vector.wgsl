// The B of the second of two products, as in matmul_pieces_of_b_vector.
@group(0) @binding(7) var<storage, read> second_b: array<vec4<f32>>;

fn piece_of_second_b(at: u32) -> vec4<f32> {
    return second_b[at];
}
