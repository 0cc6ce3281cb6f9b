// The A of the second of two products, as in matmul_pieces_of_a_vector.
@group(0) @binding(6) var<storage, read> second_a: array<vec4<f32>>;

fn bits_of_second_a(at: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(second_a[at]);
}

fn numbers_of_second_a(bits: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bits);
}
