//! Columns shifted and scaled to mean 0 and deviation 1.

use super::error::DataError;
use super::moments::Moments;
use super::part::Part;
use super::rows::{checked_rows, whole_rows};

/// Shifts each column to mean 0 and scales it to standard deviation 1, and back.
///
/// Nets learn slowly, or not at all, from columns of very different sizes. A column that holds one
/// value only is shifted to 0 and not scaled.
///
/// ```
/// use wgrad::data::Standardizer;
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let mut rows = [1.0, 200.0, 3.0, 600.0];
/// let standardizer = Standardizer::fit(&rows, 2)?;
/// standardizer.apply(&mut rows)?;
/// assert_eq!(rows, [-1.0, -1.0, 1.0, 1.0]);
/// standardizer.invert(&mut rows)?;
/// assert_eq!(rows, [1.0, 200.0, 3.0, 600.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Standardizer {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Standardizer {
    /// Takes mean and population deviation (the square root of the mean squared distance from the
    /// mean) of each column of `values`, which is `[rows, width]`, row by row.
    ///
    /// # Errors
    /// If there are no rows, `width` is 0, the values do not fill whole rows, or one is NaN or
    /// infinite.
    pub fn fit(values: &[f32], width: usize) -> Result<Self, DataError> {
        checked_rows(values, width, Part::Values)?;
        let mut moments = Moments::of_width(width);
        moments.add(values);
        Ok(Self::of(&moments))
    }

    pub(in crate::data) fn of(moments: &Moments) -> Self {
        let rows = moments.rows() as f64;
        let deviation = |square: f64| if square == 0.0 { 1.0 } else { (square / rows).sqrt() };
        let deviations = moments.squared_distances().into_iter().map(deviation).collect();
        Self { means: moments.means(), deviations }
    }

    /// A standardizer with the means and deviations of one that was fitted before, for example
    /// out of a file.
    ///
    /// # Errors
    /// If there are none, more of one than of the other, a mean is not finite, or a deviation not
    /// finite and above 0.
    pub fn from_parts(means: Vec<f64>, deviations: Vec<f64>) -> Result<Self, DataError> {
        if means.len() != deviations.len() {
            let (means, deviations) = (means.len(), deviations.len());
            return Err(DataError::StandardizerPairs { means, deviations });
        }
        if means.is_empty() {
            return Err(DataError::ZeroWidth { part: Part::Values });
        }
        for (column, (&mean, &deviation)) in means.iter().zip(&deviations).enumerate() {
            if !(mean.is_finite() && deviation.is_finite() && deviation > 0.0) {
                return Err(DataError::StandardizerColumn { column, mean, deviation });
            }
        }
        Ok(Self { means, deviations })
    }

    /// How many columns there are, at least 1.
    pub fn width(&self) -> usize {
        self.means.len()
    }

    /// The mean of each column, in the column's unit.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// The deviation of each column, in the column's unit; 1 for a column of one value only.
    pub fn deviations(&self) -> &[f64] {
        &self.deviations
    }

    /// Standardizes rows in place: `(value - mean) / deviation`, computed in `f64`. `values` is
    /// `[rows, width]`, row by row; no rows is fine.
    ///
    /// # Errors
    /// If the values do not fill whole rows, or a value or its result is not finite. Then no value
    /// has been changed.
    pub fn apply(&self, values: &mut [f32]) -> Result<(), DataError> {
        self.map(values, |value, mean, deviation| (value - mean) / deviation)
    }

    /// Takes standardized rows back in place: `value × deviation + mean`, computed in `f64`.
    /// `values` is `[rows, width]`, row by row; no rows is fine.
    ///
    /// What comes back differs from what [`apply`](Self::apply) was given by two roundings to
    /// `f32`: by at most 2⁻²⁴ (|value - mean| + |value|), to first order and above the subnormal
    /// numbers.
    ///
    /// # Errors
    /// If the values do not fill whole rows, or a value or its result is not finite. Then no value
    /// has been changed.
    pub fn invert(&self, values: &mut [f32]) -> Result<(), DataError> {
        self.map(values, |value, mean, deviation| value * deviation + mean)
    }

    fn map(
        &self,
        values: &mut [f32],
        function: impl Fn(f64, f64, f64) -> f64,
    ) -> Result<(), DataError> {
        let width = self.width();
        whole_rows(values.len(), width, Part::Values)?;
        let mapped = |value: f32, mean: f64, deviation: f64| {
            function(f64::from(value), mean, deviation) as f32
        };
        // Checked to the end before anything is written, so that an error leaves the rows whole.
        for (row, values) in values.chunks_exact(width).enumerate() {
            for (column, (&value, (mean, deviation))) in
                values.iter().zip(self.columns()).enumerate()
            {
                let value = mapped(value, mean, deviation);
                if !value.is_finite() {
                    let part = Part::Values;
                    return Err(DataError::NotFinite { part, row, column, value, name: None });
                }
            }
        }
        for values in values.chunks_exact_mut(width) {
            for (value, (mean, deviation)) in values.iter_mut().zip(self.columns()) {
                *value = mapped(*value, mean, deviation);
            }
        }
        Ok(())
    }

    fn columns(&self) -> impl Iterator<Item = (f64, f64)> {
        self.means.iter().copied().zip(self.deviations.iter().copied())
    }
}
