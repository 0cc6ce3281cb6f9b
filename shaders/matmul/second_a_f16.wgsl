// The A of the second of two products, stored in 16 bits, as in matmul_pieces_of_a_f16.
@group(0) @binding(6) var<storage, read> second_a: array<vec2<u32>>;
override SECOND_A_FIRST: u32;
override SECOND_A_FACTOR: f32;

fn bits_of_second_a(at: u32) -> vec4<u32> {
    return vec4(second_a[SECOND_A_FIRST + at], 0u, 0u);
}

fn numbers_of_second_a(bits: vec4<u32>) -> vec4<f32> {
    return from_f16(bits.xy) * SECOND_A_FACTOR;
}
