// For slabs: A is read four neighbours along a row at a time, stored in 16 bits; the length of its rows is a multiple
// of four. What lies outside of A is whatever WebGPU makes of it, and never used.
@group(0) @binding(1) var<storage, read> a: array<vec2<u32>>;
const A_AT_ONCE: u32 = 4u;
// Where A begins, in pieces of four, and what a loaded number is multiplied by: 1 / the scale it is stored with.
override A_FIRST: u32;
override A_FACTOR: f32;

fn bits_of_a(at: u32) -> vec4<u32> {
    return vec4(a[A_FIRST + a_start() / 4u + at], 0u, 0u);
}

fn numbers_of_a(bits: vec4<u32>) -> vec4<f32> {
    return from_f16(bits.xy) * A_FACTOR;
}

// The piece from term k on, with zeros past the last term.
fn terms_of_a(bits: vec4<u32>, k: u32) -> vec4<u32> {
    return select(vec4<u32>(), bits, k < dims.k);
}
