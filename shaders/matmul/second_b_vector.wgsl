// The B of the second of two products, as in matmul_pieces_of_b_vector.
@group(0) @binding(7) var<storage, read> second_b: array<vec4<f32>>;

fn bits_of_second_b(at: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(second_b[at]);
}

fn numbers_of_second_b(bits: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bits);
}
