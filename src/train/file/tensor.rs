//! A tensor as it stands in a file.

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamedTensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}
