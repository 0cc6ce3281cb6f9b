// Numbers of 16 bits (IEEE 754 binary16), two to a word of 32 bits. They are stored and loaded: arithmetic is in 32
// bits, so that no device needs a feature for it. What lies below 2⁻¹⁴ a driver may load as 0.
fn from_f16(words: vec2<u32>) -> vec4<f32> {
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}

// Rounded to the nearest, of two equally near ones to the even one; infinite from 65,520 on. By integers, since WGSL
// lets a driver round `pack2x16float` either way, and the bits would depend on the driver.
fn to_f16(x: vec4<f32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(x);
    let size = bits & vec4(0x7fffffffu);
    // Exponents count from 15 instead of 127, and 13 bits fewer are kept.
    let even = (size >> vec4(13u)) & vec4(1u);
    let whole = min((size - vec4(0x38000000u) + vec4(0xfffu) + even) >> vec4(13u), vec4(0x7c00u));
    // Below 2⁻¹⁴ steps are of 2⁻²⁴, as those of 32 bits are from ½ on.
    let small = bitcast<vec4<u32>>(bitcast<vec4<f32>>(size) + vec4(0.5)) - vec4(0x3f000000u);
    let number = select(whole, small, size < vec4(0x38800000u));
    let half = select(number, vec4(0x7e00u), size > vec4(0x7f800000u)) | ((bits >> vec4(16u)) & vec4(0x8000u));
    return half.xz | (half.yw << vec2(16u));
}
