// What an epilogue reads beside each value of C, eight neighbours at a time.
@group(0) @binding(4) var<storage, read> saved: array<vec4<u64>>;

fn saved_pair(i: u32) -> Pair {
    let words = saved[i];
    return Pair(from_words(words.xy), from_words(words.zw));
}
