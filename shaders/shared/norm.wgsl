// The norm of many numbers, scale·√squares. The scale is a power of two near the largest of them, by which
// each is divided, exactly, before it is squared: squares of numbers beyond 1e19 and below 1e-19 are no f32.

struct Norm {
    scale: f32,
    squares: f32,
}

// The norm of no numbers. Its scale is the least there is. (A constant of a struct is none in HLSL.)
fn no_numbers() -> Norm {
    return Norm(0x1p-126f, 0.0);
}

// A scale for a number of these bits, infinite and NaN too: from 2⁻¹²⁶ to 2¹²⁰, so that the sum of the scales
// of many is still finite.
fn scale_of(bits: u32) -> f32 {
    return bitcast<f32>(clamp(bits & 0x7f800000u, 0x00800000u, 0x7b800000u));
}

// 1 / scale, exactly: the exponents of both have the sum 2 · 127.
fn inverse_of(scale: f32) -> f32 {
    return bitcast<f32>(0x7f000000u - bitcast<u32>(scale));
}

// The squares of `norm` for another scale, no less than its own.
fn squares_for(norm: Norm, scale: f32) -> f32 {
    let ratio = norm.scale * inverse_of(scale);
    return norm.squares * ratio * ratio;
}

// The norm of the numbers of both.
fn joined(a: Norm, b: Norm) -> Norm {
    let scale = max(a.scale, b.scale);
    return Norm(scale, squares_for(a, scale) + squares_for(b, scale));
}

// The norm of those of `norm` and four more.
fn with_four(norm: Norm, x: vec4<f32>) -> Norm {
    let bits = bitcast<vec4<u32>>(abs(x));
    let scale = max(norm.scale, scale_of(max(max(bits.x, bits.y), max(bits.z, bits.w))));
    let part = x * inverse_of(scale);
    return Norm(scale, squares_for(norm, scale) + dot(part, part));
}

// What numbers of this norm are multiplied by, one factor after the other, so that their norm is at most
// `longest`: 1 and 1, or longest / norm in two factors that are no more than about 1, by which no product is
// 0 that f32 can hold. If the norm is not finite, neither is the first factor.
fn clip_factors(norm: Norm, longest: f32) -> vec2<f32> {
    if (!is_finite(norm.squares)) {
        return vec2(norm.squares);
    }
    let length = sqrt(norm.squares);
    let down = inverse_of(norm.scale);
    // Both sides of scale · length > longest, divided by the scale where that is large.
    if (length * min(norm.scale, 1.0) <= longest * min(down, 1.0)) {
        return vec2(1.0);
    }
    let rest = longest / length;
    let more = max(down, rest);
    return vec2(min(more, 1.0), min(down, rest) * max(more, 1.0));
}
