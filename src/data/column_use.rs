//! What options name columns for.

/// What a column was named for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum ColumnUse {
    Target,
    Feature,
    Excluded,
}

impl ColumnUse {
    pub(super) fn name(self) -> &'static str {
        match self {
            ColumnUse::Target => "a target",
            ColumnUse::Feature => "a feature",
            ColumnUse::Excluded => "excluded",
        }
    }
}
