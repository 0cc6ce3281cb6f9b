//! Where along a path gradients are looked at, and what each counts.

use crate::blocks::at_least_one;
use crate::{Error, Result};

/// Points between 0 and 1 with weights whose sum is 1: from 1 to [`Quadrature::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quadrature {
    /// The middles of so many equal parts: for functions with corners, such as those of ReLU.
    Midpoint(usize),
    /// The ends of so many equal parts, the first and the last by half.
    Trapezoid(usize),
    /// So many points by Gauss and Legendre, exact for polynomials of twice the degree: for smooth functions.
    GaussLegendre(usize),
}

impl Quadrature {
    /// Points, or parts, at most: for those by Gauss and Legendre the time grows with the square of their number, and
    /// already fewer meet what f32 resolves.
    pub const MOST: usize = 10_000;

    /// # Errors
    /// [`Error::Argument`] unless there are from 1 to [`Quadrature::MOST`].
    pub(super) fn check(self) -> Result<()> {
        let (Self::Midpoint(n) | Self::Trapezoid(n) | Self::GaussLegendre(n)) = self;
        let name = "points of the quadrature";
        at_least_one(name, n)?;
        if n > Self::MOST {
            let rule = format!("at most {}; a few hundred are plenty for f32", Self::MOST);
            return Err(Error::argument(name, n, &rule));
        }
        Ok(())
    }

    /// Places with their weights.
    pub(super) fn points(self) -> Vec<(f64, f64)> {
        match self {
            Self::Midpoint(n) => {
                (0..n).map(|i| ((i as f64 + 0.5) / n as f64, 1.0 / n as f64)).collect()
            }
            Self::Trapezoid(n) => {
                let weight = |i: usize| if i == 0 || i == n { 0.5 } else { 1.0 };
                (0..=n).map(|i| (i as f64 / n as f64, weight(i) / n as f64)).collect()
            }
            Self::GaussLegendre(n) => gauss_legendre(n),
        }
    }
}

/// The roots of the Legendre polynomial of degree n, found by Newton's method from Tricomi's estimate, with the weights
/// 2 / ((1 - x²)·P′(x)²); for 0 to 1 instead of -1 to 1.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    const STEPS: usize = 100;
    let root = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..STEPS {
            let (mut before, mut value) = (1.0, x);
            for degree in 2..=n {
                let d = degree as f64;
                (before, value) = (value, ((2.0 * d - 1.0) * x * value - (d - 1.0) * before) / d);
            }
            slope = n as f64 * (x * value - before) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        ((1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(root).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ∫ xᵈ from 0 to 1 is 1 / (d + 1).
    #[test]
    fn polynomials_are_integrated() {
        let integral = |rule: Quadrature, degree: i32| {
            rule.points().iter().map(|(x, weight)| weight * x.powi(degree)).sum::<f64>()
        };
        for n in [1, 2, 3, 7, 20, 64, 512] {
            for rule in
                [Quadrature::Midpoint(n), Quadrature::Trapezoid(n), Quadrature::GaussLegendre(n)]
            {
                for degree in 0..2 {
                    let expected = 1.0 / f64::from(degree + 1);
                    assert!((integral(rule, degree) - expected).abs() < 1e-13, "{rule:?} {degree}");
                }
            }
            for degree in 0..(2 * n).min(60) as i32 {
                let off =
                    integral(Quadrature::GaussLegendre(n), degree) - 1.0 / f64::from(degree + 1);
                assert!(off.abs() < 1e-13, "{n} points, degree {degree}: {off}");
            }
        }
        assert!((integral(Quadrature::Midpoint(100), 2) - 1.0 / 3.0).abs() < 1e-4);
        assert!((integral(Quadrature::Trapezoid(100), 2) - 1.0 / 3.0).abs() < 1e-4);
    }
}
