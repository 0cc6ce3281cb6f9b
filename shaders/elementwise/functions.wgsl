// The functions that the rows of src/graph/activation.rs call: of one number, each.

// x, or 0 where x is negative. A comparison of numbers would do, but a compiler that assumes no NaN may
// make max(x, 0) of it, which is 0 for NaN. As integers, the bits of negative numbers go from that of -0 to
// that of -∞, 0xff800000; above are NaN and all that is positive.
fn relu(x: f32) -> f32 {
    return select(x, 0.0, bitcast<i32>(x) <= -0x800000);
}

// 1 where y, the output, is positive, else y, which is 0 or NaN. The bits of positive numbers are 1 to those of
// ∞, 0x7f800000; added 0x7fffff, those of NaN are beyond the largest integer, and so negative, or less than that.
fn relu_grad(y: f32) -> f32 {
    return select(y, 1.0, bitcast<i32>(y) + 0x7fffff > 0x7fffff);
}

fn leaky_relu_grad(slope: f32, y: f32) -> f32 {
    return select(select(slope, 1.0, y > 0.0), y, is_nan(y));
}

// 1 / (1 + e⁻ˣ). Only ever raises e to a negative power, which cannot overflow.
fn sigmoid(x: f32) -> f32 {
    let e = exponential(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

// tanh x: an odd polynomial near 0, where the quotient would lose digits (coefficients of Cephes
// `tanhf`), else 1 - 2 / (e²ˣ + 1), written with a negative power. The built-in function may be
// wrong by 1e-5, and overflows on some drivers.
fn hyperbolic_tangent(x: f32) -> f32 {
    let size = abs(x);
    if (size < 0.625) {
        let s = x * x;
        let p = (((-5.70498872745e-3 * s + 2.06390887954e-2) * s - 5.37397155531e-2) * s
            + 1.33314422036e-1) * s - 3.33332819422e-1;
        return x + x * s * p;
    }
    let e = exponential(-2.0 * size);
    return select(1.0, -1.0, x < 0.0) * (1.0 - 2.0 * e / (1.0 + e));
}

// ln x. The built-in function may be wrong by 5e-7 between ½ and 2, which is much where the result
// is near 0; there ln x = 2·artanh((x - 1) / (x + 1)), whose series is short.
fn natural_log(x: f32) -> f32 {
    if (x < 0.5 || x > 2.0) {
        return logarithm(x);
    }
    let s = (x - 1.0) / (x + 1.0);
    let q = s * s;
    return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0
        + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0)))))));
}

// Φ(x) = erfc(-x/√2) / 2, with Chebyshev's approximation of erfc from Numerical Recipes: a
// relative error of 1.2e-7 for positive arguments, so that x·Φ(x) keeps its digits also for
// negative x. Beyond ±15, Φ is 0 or 1 in f32.
fn normal_distribution(x: f32) -> f32 {
    let z = min(abs(x), 15.0) * 0.70710678;
    let t = 1.0 / (1.0 + 0.5 * z);
    let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
        + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223
        + t * 0.17087277))))))));
    let tail = 0.5 * t * exponential(p - z * z);
    return select(tail, 1.0 - tail, x >= 0.0);
}

// Φ(x) + x·φ(x), φ(x) = e^(-x²/2) / √(2π).
fn gelu_grad(x: f32) -> f32 {
    let c = between(x, -15.0, 15.0);
    return normal_distribution(x) + c * 0.39894228 * exponential(-0.5 * c * c);
}

// u(x) = √(2/π)·(x + 0.044715·x³). Beyond ±20, σ(2u) is 0 or 1 in f32.
fn gelu_tanh_inner(x: f32) -> f32 {
    let c = clamp(x, -20.0, 20.0);
    return 0.79788456 * c * (1.0 + 0.044715 * c * c);
}

// σ(2u) + x·σ(2u)·σ(-2u)·2u'.
fn gelu_tanh_grad(x: f32) -> f32 {
    let c = between(x, -20.0, 20.0);
    let u = gelu_tanh_inner(x);
    let slope = 0.79788456 * (1.0 + 3.0 * 0.044715 * c * c);
    let s = sigmoid(2.0 * u);
    return s + c * s * sigmoid(-2.0 * u) * 2.0 * slope;
}

// ln(1 + eˣ) = max(x, 0) + ln(1 + e^-|x|): the power is negative, and cannot overflow.
fn softplus(x: f32) -> f32 {
    return relu(x) + log1p(exponential(-abs(x)));
}

// eˣ - 1, by its series where the difference would lose digits: the first term left out is 4e-9 of the sum.
fn exponential_minus_1(x: f32) -> f32 {
    if (abs(x) < 0.35) {
        return x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0
            * (1.0 + x / 7.0))))));
    }
    return exponential(x) - 1.0;
}

fn elu(alpha: f32, x: f32) -> f32 {
    return select(alpha * exponential_minus_1(x), x, x > 0.0);
}

// Where y is not positive, α·eˣ = y + α.
fn elu_grad(alpha: f32, y: f32) -> f32 {
    return select(y + alpha, 1.0, y > 0.0);
}

// 0 up to -3, 1 from 3 on, (2x + 3)/6 between.
fn hard_swish_grad(x: f32) -> f32 {
    return select(select((2.0 * x + 3.0) / 6.0, 1.0, x >= 3.0), 0.0, x <= -3.0);
}
