// A dispatch of two products of the same sizes, each of operands of its own: every other workgroup is of the second.
// Of what they read, only the bits lie in branches, which all invocations of a workgroup take: what makes numbers of
// them would wait there for memory, and not a turn later.

// Whether this workgroup is of the second.
var<private> is_second: bool;

// Its number among those of its product.
fn own_workgroup(group: u32) -> u32 {
    is_second = group % 2u == 1u;
    return group / 2u;
}

fn own_bits_of_a(at: u32) -> vec4<u32> {
    var bits: vec4<u32>;
    if is_second {
        bits = bits_of_second_a(at);
    } else {
        bits = bits_of_a(at);
    }
    return bits;
}

fn own_numbers_of_a(bits: vec4<u32>) -> vec4<f32> {
    return select(numbers_of_a(bits), numbers_of_second_a(bits), is_second);
}

fn own_bits_of_b(at: u32) -> vec4<u32> {
    var bits: vec4<u32>;
    if is_second {
        bits = bits_of_second_b(at);
    } else {
        bits = bits_of_b(at);
    }
    return bits;
}

fn own_numbers_of_b(bits: vec4<u32>) -> vec4<f32> {
    return select(numbers_of_b(bits), numbers_of_second_b(bits), is_second);
}
