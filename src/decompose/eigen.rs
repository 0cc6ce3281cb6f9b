//! Small matrices in f64, on the host.

use nalgebra::DMatrix;

use crate::{Error, Result};

/// Directions of rows, a row each, with the sums of squares along them, the largest first.
#[derive(Clone, Debug)]
pub(super) struct Directions {
    pub(super) rows: Vec<Vec<f64>>,
    pub(super) squares: Vec<f64>,
}

/// Sweeps of the eigenvalue iteration, at most, for each row of the matrix; thirty is the usual number.
const SWEEPS: usize = 30;

/// The first `count` eigenvectors of a symmetric matrix of `side` rows. No sum of squares is negative, whatever
/// rounding makes of it.
pub(super) fn largest(matrix: &[f64], side: usize, count: usize) -> Result<Directions> {
    let matrix = DMatrix::from_row_slice(side, side, matrix);
    // Rounded differently, the two halves of the matrix are not quite alike.
    let matrix = (&matrix + matrix.transpose()) * 0.5;
    let scale = matrix.amax();
    if scale == 0.0 {
        let unit = |place: usize| (0..side).map(|i| f64::from(u8::from(i == place))).collect();
        return Ok(Directions { rows: (0..count).map(unit).collect(), squares: vec![0.0; count] });
    }
    let found = (matrix / scale)
        .try_symmetric_eigen(f64::EPSILON, side.saturating_mul(SWEEPS))
        .ok_or_else(|| Error::bug("eigenvalues of a symmetric matrix that are not found"))?;
    let mut order: Vec<(f64, usize)> =
        found.eigenvalues.iter().copied().enumerate().map(|(i, value)| (value, i)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    order.truncate(count);
    Ok(Directions {
        rows: order
            .iter()
            .map(|&(_, i)| found.eigenvectors.column(i).iter().copied().collect())
            .collect(),
        squares: order.iter().map(|(value, _)| value.max(0.0) * scale).collect(),
    })
}

/// An orthonormal basis of the columns of a matrix with `columns` of them, row by row, by Householder's reflections,
/// which lose no digits however alike the columns are. Columns of nothing become some that fit.
pub(super) fn orthonormal(matrix: &[f64], columns: usize) -> Vec<f64> {
    let rows = matrix.len() / columns.max(1);
    let q = DMatrix::from_row_slice(rows, columns, matrix).qr().q();
    q.transpose().as_slice().to_vec()
}

/// `a·b`, of `inner` columns and rows.
pub(super) fn product(a: &[f64], b: &[f64], inner: usize) -> Vec<f64> {
    let (rows, columns) = (a.len() / inner.max(1), b.len() / inner.max(1));
    let product =
        DMatrix::from_row_slice(rows, inner, a) * DMatrix::from_row_slice(inner, columns, b);
    product.transpose().as_slice().to_vec()
}
