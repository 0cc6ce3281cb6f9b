//! Means of columns, and how far their numbers lie from them, in one pass over the rows.

/// A sum in two numbers: what the first has no digits for goes to the second (Neumaier, 1974).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pair {
    sum: f64,
    rest: f64,
}

impl Pair {
    fn add(&mut self, value: f64) {
        let (sum, lost) = two_sum(self.sum, value);
        self.sum = sum;
        self.rest += lost;
    }

    /// The same number, with nothing in the second part that the first has digits for.
    fn settled(self) -> Self {
        let (sum, rest) = two_sum(self.sum, self.rest);
        Self { sum, rest }
    }
}

/// The rounded sum, and what it was rounded by, exactly (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Column {
    first: f64,
    varies: bool,
    sum: Pair,
    /// Of the squares, each of which is exact: those of `f32` have 48 bits.
    squares: Pair,
}

/// Sums of the numbers in each column and of their squares. They have twice the digits of `f64`, so that the square of
/// the mean can be taken from the mean square, however far from 0 a column lies, and are added up row by row: in
/// whatever blocks the rows come, the bits are the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moments {
    rows: usize,
    columns: Vec<Column>,
}

impl Moments {
    /// Of no rows yet.
    pub(crate) fn of_width(width: usize) -> Self {
        Self { rows: 0, columns: vec![Column::default(); width] }
    }

    /// Adds whole rows of finite numbers.
    pub(crate) fn add(&mut self, values: &[f32]) {
        let width = self.columns.len().max(1);
        if self.rows == 0 {
            let first = values.iter().copied().map(f64::from);
            self.columns.iter_mut().zip(first).for_each(|(column, first)| column.first = first);
        }
        for row in values.chunks_exact(width) {
            self.rows += 1;
            for (column, &value) in self.columns.iter_mut().zip(row) {
                let value = f64::from(value);
                column.varies |= value != column.first;
                column.sum.add(value);
                column.squares.add(value * value);
            }
        }
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The mean of each column; of one that does not vary its number, exactly.
    pub(crate) fn means(&self) -> Vec<f64> {
        let mean = |column: &Column| match column.varies {
            true => (column.sum.sum + column.sum.rest) / self.rows as f64,
            false => column.first,
        };
        self.columns.iter().map(mean).collect()
    }

    /// `Σ(x - mean)²` of each column; of one that does not vary exactly 0.
    pub(crate) fn squared_distances(&self) -> Vec<f64> {
        let rows = self.rows as f64;
        let squared = |column: &Column| {
            if !column.varies {
                return 0.0;
            }
            let (Pair { sum, rest }, squares) = (column.sum.settled(), column.squares.settled());
            // Σx² - (Σx)² / rows, of which the second is a pair too.
            let square = sum * sum;
            let lost = sum.mul_add(sum, -square) + 2.0 * sum * rest;
            let part = square / rows;
            let rest_of_part = ((-part).mul_add(rows, square) + lost) / rows;
            ((squares.sum - part) + (squares.rest - rest_of_part)).max(0.0)
        };
        self.columns.iter().map(squared).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, whose sums are known exactly as integers of 128 bits.
    #[test]
    fn far_from_0_and_with_outliers_all_digits_are_right() {
        for offset in [0, 1_000, 100_000, 10_000_000] {
            for outlier in [0, 50_000, 6_000_000] {
                let numbers: Vec<i128> = (0..5_000)
                    .map(|i| offset + i * 7919 % 101 + if i == 0 { outlier } else { 0 })
                    .collect();
                let values: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
                let mut moments = Moments::of_width(1);
                values.chunks(17).for_each(|some| moments.add(some));
                let (n, sum) = (numbers.len() as i128, numbers.iter().sum::<i128>());
                let squares: i128 = numbers.iter().map(|number| number * number).sum();
                assert_eq!(moments.means(), [sum as f64 / n as f64]);
                let exact = (n * squares - sum * sum) as f64 / n as f64;
                let found = moments.squared_distances()[0];
                let off = (found - exact).abs() / exact;
                assert!(off <= 2.0 * f64::EPSILON, "{offset} {outlier}: {found}, not {exact}");
            }
        }
    }
}
