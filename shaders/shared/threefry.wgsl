// Random words by counting: Threefry-2x32 with 20 rounds (Salmon et al., 2011). Two words are a function of a
// key and a counter and of nothing else, made by sums, rotations and exclusive ors of 32 bits: every device
// finds the same bits, in whatever order it works.

fn threefry_round(x: vec2<u32>, turn: u32) -> vec2<u32> {
    let sum = x.x + x.y;
    return vec2<u32>(sum, ((x.y << turn) | (x.y >> (32u - turn))) ^ sum);
}

fn threefry_rounds(x: vec2<u32>, turns: vec4<u32>) -> vec2<u32> {
    let a = threefry_round(x, turns.x);
    let b = threefry_round(a, turns.y);
    let c = threefry_round(b, turns.z);
    return threefry_round(c, turns.w);
}

fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let even = vec4<u32>(13u, 15u, 26u, 6u);
    let odd = vec4<u32>(17u, 29u, 16u, 24u);
    let third = key.x ^ key.y ^ 0x1bd11bdau;
    var x = threefry_rounds(counter + key, even) + vec2<u32>(key.y, third + 1u);
    x = threefry_rounds(x, odd) + vec2<u32>(third, key.x + 2u);
    x = threefry_rounds(x, even) + vec2<u32>(key.x, key.y + 3u);
    x = threefry_rounds(x, odd) + vec2<u32>(key.y, third + 4u);
    return threefry_rounds(x, even) + vec2<u32>(third, key.x + 5u);
}
