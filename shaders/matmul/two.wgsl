// A dispatch of two products of the same sizes, each of operands of its own: every other workgroup is of the second.

// Whether this workgroup is.
var<private> is_second: bool;

// Its number among those of its product.
fn own_workgroup(group: u32) -> u32 {
    is_second = group % 2u == 1u;
    return group / 2u;
}

fn own_piece_of_a(at: u32) -> vec4<f32> {
    if is_second {
        return piece_of_second_a(at);
    }
    return piece_of_a(at);
}

fn own_piece_of_b(at: u32) -> vec4<f32> {
    if is_second {
        return piece_of_second_b(at);
    }
    return piece_of_b(at);
}
