//! How much a reader takes in.

/// Bounds on what readers take in, so that a small file that unpacks to a huge one, or a damaged one,
/// ends in an error rather than in all of the memory.
///
/// ```
/// use wgrad::data::DataOptions;
/// let options = DataOptions { max_unpacked_bytes: 64 << 20, ..DataOptions::default() };
/// assert_eq!(options.max_columns, 65_536);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataOptions {
    /// Bytes of a file, after unpacking if it is gzipped: at most 4 GiB by default.
    pub max_unpacked_bytes: u64,
    /// Fields of a CSV file that are kept, and numbers of the table that they become, in which a category
    /// is a column of its own: at most 2³⁰ by default, 4 GiB of `f32`.
    pub max_fields: usize,
    /// Fields of a line of a CSV file: at most 65,536 by default.
    pub max_columns: usize,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self { max_unpacked_bytes: 4 << 30, max_fields: 1 << 30, max_columns: 1 << 16 }
    }
}
