//! What a product is made of, by the shapes of its operands: matrices, or stacks of them.

use crate::graph::{Layout, Shape, Tensor};
use crate::kernel::Shapes;

/// `m`, `n` and `k` of a product, or of each of many.
pub fn sizes(shapes: Shapes<'_>, layout: Layout, a: Tensor, b: Tensor) -> [usize; 3] {
    let (a, b) = (shapes.of(a), shapes.of(b));
    match layout {
        Layout::NN => [rows(a), b.columns(), a.columns()],
        Layout::NT => [rows(a), rows(b), a.columns()],
        Layout::TN => [a.columns(), b.columns(), rows(a)],
    }
}

/// Rows of each matrix.
fn rows(shape: &Shape) -> usize {
    shape.dims().iter().rev().nth(1).copied().unwrap_or(1)
}

/// How many products there are: the first of three extents, else 1.
pub fn matrices(shapes: Shapes<'_>, a: Tensor) -> usize {
    match shapes.of(a).dims() {
        &[matrices, _, _] => matrices,
        _ => 1,
    }
}

/// Multiply-adds of all of them.
pub fn multiply_adds(shapes: Shapes<'_>, layout: Layout, a: Tensor, b: Tensor) -> u64 {
    let all = sizes(shapes, layout, a, b).into_iter().chain([matrices(shapes, a)]);
    all.fold(1, |product: u64, extent| product.saturating_mul(extent as u64))
}
