// ln(1 + x) for x ≥ 0, with small relative error also near 0. Up to 1 by the series of
// 2·artanh(x / (2 + x)), whose argument is at most ⅓: the first term left out is 1.4e-8 of the sum.
fn log1p(x: f32) -> f32 {
    if (x <= 1.0) {
        let s = x / (2.0 + x);
        let q = s * s;
        return 2.0 * s * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0
            + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0)))))));
    }
    return logarithm(1.0 + x);
}
