// The A of the second of two products, as in matmul_pieces_of_a_scalar.
@group(0) @binding(6) var<storage, read> second_a: array<f32>;

fn bits_of_second_a(at: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(vec4(second_a[at], second_a[at + 1u], second_a[at + 2u], second_a[at + 3u]));
}

fn numbers_of_second_a(bits: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bits);
}
