//! Looking for numbers that are not finite.

/// The place and value of the first number that is NaN or infinite. Almost always there is none, so
/// all are looked at before any is looked for: without an early end, several are compared at once.
pub(crate) fn first_not_finite(values: &[f32]) -> Option<(usize, f32)> {
    if values.iter().fold(true, |all, value| all & (value.abs() <= f32::MAX)) {
        return None;
    }
    values.iter().copied().enumerate().find(|(_, value)| !value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_is_found() {
        let sound = [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 3.0];
        assert_eq!(first_not_finite(&sound), None);
        assert_eq!(first_not_finite(&[]), None);
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..sound.len() {
                let mut values = sound;
                values[at] = bad;
                values[4] = bad;
                let (found, value) = first_not_finite(&values).expect("one that is not finite");
                assert_eq!((found, value.to_bits()), (at, bad.to_bits()));
            }
        }
    }
}
