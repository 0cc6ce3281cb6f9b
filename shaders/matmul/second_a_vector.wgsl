// The A of the second of two products, as in matmul_pieces_of_a_vector.
@group(0) @binding(6) var<storage, read> second_a: array<vec4<f32>>;

fn piece_of_second_a(at: u32) -> vec4<f32> {
    return second_a[at];
}
