// A piece of eight words, numbers of 32 bits, in 16.
alias HalfOfX = vec4<u32>;

fn half_of(piece: X, factor: f32) -> HalfOfX {
    return vec4(to_f16(from_words(piece.xy) * factor), to_f16(from_words(piece.zw) * factor));
}
