//! Static shapes and element types.

use std::fmt;

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit IEEE floating point: data, parameters, gradients.
    F32,
    /// 16-bit IEEE floating point: how a plan may store what lies between its matrix products
    /// ([`Precision`](crate::plan::Precision)). No tensor of a graph has it.
    F16,
    /// 32-bit unsigned integers: row indices and class labels.
    U32,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            DType::F16 => 2,
            DType::F32 | DType::U32 => ELEMENT_BYTES,
        }
    }
}

/// Bytes of one element of any tensor of a graph.
pub const ELEMENT_BYTES: usize = 4;

/// The extents of a tensor, outermost first; row-major, contiguous.
///
/// A scalar is the empty shape `[]`. No extent is ever zero: [`Graph`](super::Graph) refuses empty
/// tensors where they are made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The shape `[]` of a single number.
    pub fn scalar() -> Self {
        Self(Vec::new())
    }

    /// Extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements, `usize::MAX` if there are more than that.
    pub fn elements(&self) -> usize {
        self.0.iter().fold(1, |n, &extent| n.saturating_mul(extent))
    }

    /// Size in bytes of a graph's tensor.
    pub fn bytes(&self) -> usize {
        self.elements().saturating_mul(ELEMENT_BYTES)
    }

    /// The last extent, 1 for a scalar.
    pub fn columns(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// The product of all extents but the last: the number of rows of `columns()` elements.
    pub fn rows(&self) -> usize {
        self.elements() / self.columns().max(1)
    }

    /// The tensor seen as `outer × span × inner`, where `span` is the product of the axes
    /// `start..end`. Every reduction, softmax and expansion works on this view. Products that are too
    /// large are `usize::MAX`; a part with axes that the shape does not have is 1.
    pub fn around(&self, start: usize, end: usize) -> View {
        let product = |dims: Option<&[usize]>| {
            dims.unwrap_or_default().iter().fold(1, |n: usize, &extent| n.saturating_mul(extent))
        };
        View {
            outer: product(self.0.get(..start)),
            span: product(self.0.get(start..end)),
            inner: product(self.0.get(end..)),
        }
    }

    /// How a tensor of this shape lies as the second operand of an element-wise function in one of the shape
    /// `whole`: itself, a row, a column or a scalar; `None` if it does not fit.
    pub(crate) fn repeats_in(&self, whole: &Shape) -> Option<Repeated> {
        let elements = self.elements();
        if self == whole || (whole.rank() > 0 && self.0 == [whole.columns()]) {
            return Some(Repeated { stride: 1, count: elements });
        }
        if elements == 1 {
            return Some(Repeated { stride: 1, count: 1 });
        }
        let (last, of) = (self.0.split_last()?, whole.0.split_last()?);
        let column = *last.0 == 1 && last.1 == of.1;
        column.then_some(Repeated { stride: *of.0, count: elements })
    }

    /// This shape without those of its axes that are in `start..end`.
    pub fn without(&self, start: usize, end: usize) -> Shape {
        let kept =
            |(axis, &extent): (usize, &usize)| (!(start..end).contains(&axis)).then_some(extent);
        Shape(self.0.iter().enumerate().filter_map(kept).collect())
    }
}

/// Element `i` of a whole is beside element `i / stride mod count` of what is repeated in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// A tensor seen as three nested extents; see [`Shape::around`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Product of the axes before the span.
    pub outer: usize,
    /// Product of the axes in the span.
    pub span: usize,
    /// Product of the axes after the span.
    pub inner: usize,
}

/// One axis.
impl From<usize> for Shape {
    fn from(extent: usize) -> Self {
        Self(vec![extent])
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims)
    }
}

/// `32×64`; a scalar is written `scalar`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.pad("scalar");
        }
        let dims: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.pad(&dims.join("×"))
    }
}
