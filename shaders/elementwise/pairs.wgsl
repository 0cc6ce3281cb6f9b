// The functions that the rows of src/graph/binary.rs call: of two numbers, each.

// 1 if `holds`, else 0, of a comparison of a and b; NaN if one of them is.
fn truth(holds: bool, a: f32, b: f32) -> f32 {
    return select(select(0.0, 1.0, holds), not_a_number(a), is_nan(a) | is_nan(b));
}

// aᵇ = e^(b·ln|a|), with the sign of a where b is odd. The built-in function knows no negative numbers.
fn power(a: f32, b: f32) -> f32 {
    if (is_nan(a) | is_nan(b)) {
        return not_a_number(a);
    }
    if (b == 0.0 || a == 1.0) {
        return 1.0;
    }
    let size = abs(a);
    // The logarithm of 0 and of 1 would be multiplied by what may be infinite.
    var result = exponential(b * natural_log(size));
    if (size == 0.0) {
        result = select(0.0, 1.0 / size, b < 0.0);
    }
    if (size == 1.0) {
        result = 1.0;
    }
    // By the sign's bit: of -0 the odd powers are negative, too.
    if (bitcast<i32>(a) < 0) {
        // From 2²⁴ on every number is even; half of one is whole if it is even.
        let half = 0.5 * b;
        let whole = floor(b) == b;
        let odd = whole && floor(half) != half;
        result = select(result, -result, odd);
        let defined = whole | (size == 0.0) | !is_finite(a) | !is_finite(b);
        result = select(not_a_number(a), result, defined);
    }
    return result;
}
