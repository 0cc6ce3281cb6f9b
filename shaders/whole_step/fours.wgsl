// Memory is read four numbers at a time.
alias Four = vec4<f32>;

fn four_of(numbers: vec4<f32>) -> Four {
    return numbers;
}

fn numbers_of(four: Four) -> vec4<f32> {
    return four;
}
