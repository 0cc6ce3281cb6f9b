// Memory is read four numbers at a time, as two words.
alias Four = vec2<u64>;

fn four_of(numbers: vec4<f32>) -> Four {
    return to_words(numbers);
}

fn numbers_of(four: Four) -> vec4<f32> {
    return from_words(four);
}
