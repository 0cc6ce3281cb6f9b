// For slabs: B is read four neighbours along a row at a time, stored in 16 bits; the length of its rows is a multiple
// of four. What lies outside of B is whatever WebGPU makes of it, and never used.
@group(0) @binding(2) var<storage, read> b: array<vec2<u32>>;
const B_AT_ONCE: u32 = 4u;
// Where B begins, in pieces of four, and what a loaded number is multiplied by: 1 / the scale it is stored with.
override B_FIRST: u32;
override B_FACTOR: f32;

fn bits_of_b(at: u32) -> vec4<u32> {
    return vec4(b[B_FIRST + b_start() / 4u + at], 0u, 0u);
}

fn numbers_of_b(bits: vec4<u32>) -> vec4<f32> {
    return from_f16(bits.xy) * B_FACTOR;
}

// The piece from term k on, with zeros past the last term.
fn terms_of_b(bits: vec4<u32>, k: u32) -> vec4<u32> {
    return select(vec4<u32>(), bits, k < dims.k);
}
