// For slabs: B is read four neighbours along a row at a time; the length of its rows is a multiple of four. What lies
// outside of B is whatever WebGPU makes of it, and never used.
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
const B_AT_ONCE: u32 = 4u;

fn bits_of_b(at: u32) -> vec4<u32> {
    return bitcast<vec4<u32>>(b[b_start() / 4u + at]);
}

fn numbers_of_b(bits: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bits);
}

// The piece from term k on, with zeros past the last term.
fn terms_of_b(bits: vec4<u32>, k: u32) -> vec4<u32> {
    return select(vec4<u32>(), bits, k < dims.k);
}
