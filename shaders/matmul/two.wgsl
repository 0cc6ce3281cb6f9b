// A dispatch of two products of the same sizes, each of operands of its own: every other workgroup is of the second.
// All invocations of a workgroup take the same branch. A branch only loads bits: were they made numbers there, it would
// wait for memory at once instead of one turn of the loop later.

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
