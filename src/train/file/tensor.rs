//! A tensor as it stands in a file.

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamedTensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// The numbers of little-endian bytes.
pub(super) fn numbers(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.chunks_exact(size_of::<f32>());
    words.map(|word| word.try_into().map_or(f32::NAN, f32::from_le_bytes)).collect()
}
