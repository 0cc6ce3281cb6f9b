// A dispatch of one product, or of one stack of them, through workgroup memory; see matmul_two.
fn own_workgroup(group: u32) -> u32 {
    return group;
}

fn own_piece_of_a(at: u32) -> vec4<f32> {
    return piece_of_a(at);
}

fn own_piece_of_b(at: u32) -> vec4<f32> {
    return piece_of_b(at);
}
