// The B of the second of two products, stored in 16 bits, as in matmul_pieces_of_b_f16.
@group(0) @binding(7) var<storage, read> second_b: array<vec2<u32>>;
override SECOND_B_FIRST: u32;
override SECOND_B_FACTOR: f32;

fn bits_of_second_b(at: u32) -> vec4<u32> {
    return vec4(second_b[SECOND_B_FIRST + at], 0u, 0u);
}

fn numbers_of_second_b(bits: vec4<u32>) -> vec4<f32> {
    return from_f16(bits.xy) * SECOND_B_FACTOR;
}
