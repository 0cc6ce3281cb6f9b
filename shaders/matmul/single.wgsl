// A dispatch of one product, or of one stack of them, through workgroup memory; see matmul_two.
fn own_workgroup(group: u32) -> u32 {
    return group;
}

fn own_bits_of_a(at: u32) -> vec4<u32> {
    return bits_of_a(at);
}

fn own_numbers_of_a(bits: vec4<u32>) -> vec4<f32> {
    return numbers_of_a(bits);
}

fn own_bits_of_b(at: u32) -> vec4<u32> {
    return bits_of_b(at);
}

fn own_numbers_of_b(bits: vec4<u32>) -> vec4<f32> {
    return numbers_of_b(bits);
}
