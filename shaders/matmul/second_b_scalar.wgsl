// The B of the second of two products, as in matmul_pieces_of_b_scalar.
@group(0) @binding(7) var<storage, read> second_b: array<f32>;

fn bits_of_second_b(at: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(vec4(second_b[at], second_b[at + 1u], second_b[at + 2u], second_b[at + 3u]));
}

fn numbers_of_second_b(bits: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bits);
}
