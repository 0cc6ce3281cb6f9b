//! A number with a bound on how far an f32 computation of it may be off.
//!
//! The twin computes with [`Num`] instead of `f64`: every operation computes its value in f64 and,
//! beside it, the largest error that WGSL allows the same operation to have in f32, plus what the
//! errors of its operands grow to. So every tolerance in the tests follows from the length and the
//! condition of the computation it judges, and none is a number somebody liked.
//!
//! The allowed errors are those of the WGSL specification, section 15.7.4 "Floating point accuracy".

use approx::abs_diff_eq;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// One unit in the last place, relative. WGSL lets `+`, `-` and `*` round up or down, so this and
/// not half of it is the error of one operation.
pub const ULP: f64 = 1.0 / (1u64 << 23) as f64;

/// Smaller results may be flushed to zero: the smallest normal f32.
pub const TINY: f64 = f32::MIN_POSITIVE as f64;

/// Units for `tanh`, `ln` and `ln(1 + x)`, relative to the result also where it is near 0. WGSL
/// allows its built-in functions absolute errors there (1e-5 and 2⁻²¹), which kernels may not use.
const TANH: f64 = 12.0;
const LN: f64 = 8.0;

/// The distribution function of the normal distribution has no built-in. Kernels may use an
/// approximation with this absolute error, and must keep the digits of small results as far as
/// the exponential in it does.
const NORMAL_CDF: f64 = 5e-7;

/// A value and the error that an f32 computation of it may have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Num {
    /// The value, in f64.
    pub value: f64,
    /// Largest allowed `|f32 result - value|`.
    pub error: f64,
}

impl Num {
    /// A number that f32 holds exactly.
    pub const fn exact(value: f64) -> Self {
        Num { value, error: 0.0 }
    }

    /// A number that the kernel holds after rounding it to f32; also the result of `+`, `-` and `*`,
    /// which are correctly rounded: exact if f32 holds the exact result.
    pub fn rounded(value: f64) -> Self {
        Num::correctly_rounded(value, 0.0)
    }

    fn correctly_rounded(value: f64, inherited: f64) -> Self {
        if inherited == 0.0 && f64::from(value as f32) == value {
            return Num::exact(value);
        }
        Num::of(value, inherited, 1.0)
    }

    /// `value` with the error of its operands and `ulps` of its own. What is not finite has none.
    fn of(value: f64, inherited: f64, ulps: f64) -> Self {
        if !value.is_finite() {
            return Num::exact(value);
        }
        Num { value, error: inherited + ulps * ULP * value.abs() + TINY }
    }

    /// Whether an f32 computation may find this number on the other side of `of`, or at it.
    pub fn unsure_about(self, of: f64) -> bool {
        self.error > 0.0 && abs_diff_eq!(self.value, of, epsilon = self.error)
    }

    /// `self` or `other` as `condition` says; if the condition is `unsure`, either may come out.
    pub fn either(condition: bool, unsure: bool, yes: Num, no: Num) -> Num {
        let (chosen, other) = if condition { (yes, no) } else { (no, yes) };
        let apart = if unsure { (chosen.value - other.value).abs() + other.error } else { 0.0 };
        Num { value: chosen.value, error: chosen.error.max(apart) }
    }

    pub fn exp(self) -> Num {
        let y = self.value.exp();
        if self.value == f64::NEG_INFINITY {
            return Num::exact(y);
        }
        let inherited = match self.error < 1.0 {
            true => y * self.error.exp_m1(),
            false => (self.value + self.error).exp() - y,
        };
        Num::of(y, inherited, 3.0 + 2.0 * self.value.abs())
    }

    pub fn ln(self) -> Num {
        Num::of(self.value.ln(), -(-self.error / self.value).ln_1p(), LN)
    }

    /// `ln(1 + self)`, for numbers that are not negative.
    pub fn ln_1p(self) -> Num {
        Num::of(self.value.ln_1p(), (self.error / (1.0 + self.value)).min(self.error), LN)
    }

    pub fn sqrt(self) -> Num {
        let y = self.value.sqrt();
        let low = (self.value - self.error).max(0.0).sqrt();
        // WGSL: as 1 / inverseSqrt(x), which are 2.5 and 2 units.
        Num::of(y, y - low, 4.5)
    }

    pub fn tanh(self) -> Num {
        Num::of(self.value.tanh(), self.error.min(2.0), TANH)
    }

    /// The distribution function of the standard normal distribution.
    pub fn normal_cdf(self) -> Num {
        let y = 0.5 * erfc(-self.value * std::f64::consts::FRAC_1_SQRT_2);
        let relative = (24.0 + 2.0 * self.value * self.value) * ULP * y + TINY;
        // The slope is at most 1/√(2π).
        Num { value: y, error: 0.4 * self.error + relative.min(NORMAL_CDF) }
    }

    pub fn abs(self) -> Num {
        Num { value: self.value.abs(), ..self }
    }

    /// NaN if one of them is.
    pub fn max(self, other: Num) -> Num {
        if self.value.is_nan() || other.value.is_nan() {
            return Num::exact(f64::NAN);
        }
        Num { value: self.value.max(other.value), error: self.error.max(other.error) }
    }

    pub fn squared(self) -> Num {
        self * self
    }

    /// The sum of `terms`, in whatever order the kernel adds them, as long as it adds blocks and then
    /// the blocks, or shares long sums out, so that no term goes through all additions.
    pub fn sum(terms: impl IntoIterator<Item = Num>) -> Num {
        Num::added(terms, |n| n.saturating_sub(1).min(32 + n / 32).min(1024))
    }

    /// The sum of products of a matrix product: one after another.
    pub fn dot(terms: impl IntoIterator<Item = Num>) -> Num {
        Num::added(terms, |n| n.saturating_sub(1))
    }

    fn added(terms: impl IntoIterator<Item = Num>, additions: impl Fn(usize) -> usize) -> Num {
        let (mut n, mut value, mut magnitude, mut error) = (0usize, 0.0, 0.0, 0.0);
        for term in terms {
            n += 1;
            value += term.value;
            magnitude += term.value.abs();
            error += term.error;
        }
        let additions = additions(n) as f64;
        if additions * magnitude == 0.0 {
            return Num { value, error };
        }
        Num { value, error: error + additions * ULP * magnitude + TINY }
    }

    /// Divides by a count. `1/n` may be rounded first.
    pub fn over(self, n: usize) -> Num {
        self / Num::rounded(n as f64)
    }
}

impl Add for Num {
    type Output = Num;
    fn add(self, other: Num) -> Num {
        Num::correctly_rounded(self.value + other.value, self.error + other.error)
    }
}

impl Sub for Num {
    type Output = Num;
    fn sub(self, other: Num) -> Num {
        Num::correctly_rounded(self.value - other.value, self.error + other.error)
    }
}

impl Mul for Num {
    type Output = Num;
    fn mul(self, other: Num) -> Num {
        let inherited = self.value.abs() * other.error
            + other.value.abs() * self.error
            + self.error * other.error;
        Num::correctly_rounded(self.value * other.value, inherited)
    }
}

impl Div for Num {
    type Output = Num;
    fn div(self, other: Num) -> Num {
        let y = self.value / other.value;
        let inherited =
            (self.error + y.abs() * other.error) / (other.value.abs() - other.error).max(0.0);
        Num::of(y, if inherited.is_nan() { 0.0 } else { inherited }, 2.5)
    }
}

impl Neg for Num {
    type Output = Num;
    fn neg(self) -> Num {
        Num { value: -self.value, ..self }
    }
}

/// `1 - erf(x)`. The series has positive terms only, so it loses nothing; its `n`-th term shrinks
/// once `n > x²`. The continued fraction (Abramowitz and Stegun 7.1.14) takes over far out, where
/// `1 - erf` would cancel.
pub fn erfc(x: f64) -> f64 {
    let sqrt_pi = std::f64::consts::PI.sqrt();
    if x < 0.0 {
        2.0 - erfc(-x)
    } else if x < 2.0 {
        let (mut term, mut sum, mut n) = (x, 0.0, 0.0);
        while term > 1e-20 * sum {
            sum += term;
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
        }
        1.0 - 2.0 / sqrt_pi * (-x * x).exp() * sum
    } else {
        let fraction = (1..=200).rev().fold(0.0, |tail, n| n as f64 / 2.0 / (x + tail));
        (-x * x).exp() / (x + fraction) / sqrt_pi
    }
}
