// A piece of four words, numbers of 32 bits, in 16.
alias HalfOfX = vec2<u32>;

fn half_of(piece: X, factor: f32) -> HalfOfX {
    return to_f16(bitcast<vec4<f32>>(piece) * factor);
}
