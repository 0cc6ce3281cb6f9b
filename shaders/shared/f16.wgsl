// Numbers of 16 bits (IEEE 754 binary16), two to a word of 32 bits. They are stored and loaded: arithmetic is in 32
// bits, so that no device needs a feature for it. What lies below 2⁻¹⁴ a driver may load as 0.
fn from_f16(words: vec2<u32>) -> vec4<f32> {
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}

// Rounded to the nearest, of two equally near ones to the even one; infinite from 65,520 on. By integers, since WGSL
// lets a driver round `pack2x16float` and sums either way, and the bits would depend on the driver.
fn to_f16(x: vec4<f32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(x);
    let size = bits & vec4(0x7fffffffu);
    // Exponents count from 15 instead of 127, and 13 bits fewer are kept.
    let whole = min(rounded(size - vec4(0x38000000u), vec4(13u)), vec4(0x7c00u));
    // Below 2⁻¹⁴ steps are of 2⁻²⁴: the digits move to where they count as many.
    let digits = (size & vec4(0x7fffffu)) | vec4(0x800000u);
    let small = rounded(digits, min(vec4(126u) - (size >> vec4(23u)), vec4(31u)));
    let number = select(whole, small, size < vec4(0x38800000u));
    let half = select(number, vec4(0x7e00u), size > vec4(0x7f800000u)) | ((bits >> vec4(16u)) & vec4(0x8000u));
    return half.xz | (half.yw << vec2(16u));
}

// x / 2ⁿ to the nearest integer, of two equally near ones to the even one. For n of 0 the result is not used.
fn rounded(x: vec4<u32>, n: vec4<u32>) -> vec4<u32> {
    let even = (x >> n) & vec4(1u);
    return (x + (vec4(1u) << (n - vec4(1u))) - vec4(1u) + even) >> n;
}
