// Four numbers as two integers of 64 bits. What a software driver spends on a load or a store is per
// component and invocation, whatever its size, so that half as many components cost half as much.
fn from_words(words: vec2<u64>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4(
        u32(words.x),
        u32(words.x >> 32u),
        u32(words.y),
        u32(words.y >> 32u),
    ));
}

fn to_words(values: vec4<f32>) -> vec2<u64> {
    let bits = bitcast<vec4<u32>>(values);
    return vec2(u64(bits.x) | (u64(bits.y) << 32u), u64(bits.z) | (u64(bits.w) << 32u));
}
