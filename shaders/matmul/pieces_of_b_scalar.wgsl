// For slabs: B is read four neighbours along a row at a time, one by one; its rows have any length. What lies outside
// of B is whatever WebGPU makes of it, and never used.
@group(0) @binding(2) var<storage, read> b: array<f32>;
const B_AT_ONCE: u32 = 1u;

fn bits_of_b(at: u32) -> vec4<u32> {
    let first = b_start() + at;
    return bitcast<vec4<u32>>(vec4(b[first], b[first + 1u], b[first + 2u], b[first + 3u]));
}

fn numbers_of_b(bits: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bits);
}

// The piece from term k on, with zeros past the last term.
fn terms_of_b(bits: vec4<u32>, k: u32) -> vec4<u32> {
    return select(vec4<u32>(), bits, vec4(k, k + 1u, k + 2u, k + 3u) < vec4(dims.k));
}
