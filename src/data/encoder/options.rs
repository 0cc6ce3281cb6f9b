//! How an encoder is to take a table.

/// How an [`Encoder`](super::Encoder) takes the columns of a table.
///
/// ```
/// use wgrad::data::{ColumnType, EncoderOptions, MissingValues};
/// let options = EncoderOptions {
///     targets: vec!["price".into()],
///     exclude: vec!["id".into()],
///     types: vec![("zip".into(), ColumnType::Category)],
///     missing: MissingValues::DropRow,
///     ..EncoderOptions::default()
/// };
/// assert_eq!(options.most_categories, 64);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderOptions {
    /// The columns to predict, in the order of the model's outputs; the last one if none is named, unless there
    /// are to be none ([`TargetType::None`]). They are several numbers, or one column of classes.
    pub targets: Vec<String>,
    /// What targets are taken for. If it is not said: classes if one holds a word, or whole numbers
    /// of which few are different (20 at most, and each five times on average); else numbers.
    pub target_type: Option<TargetType>,
    /// The columns to predict from; if none is named, all that are neither targets nor excluded.
    pub features: Vec<String>,
    /// Columns to leave out, whatever they hold.
    pub exclude: Vec<String>,
    /// What columns of features are to be taken for, where that is not what they look like.
    pub types: Vec<(String, ColumnType)>,
    /// What is done about values that are missing in columns of features. A row without a target teaches
    /// nothing: it is left out, and counted, unless missing values are refused.
    pub missing: MissingValues,
    /// The same for single columns.
    pub missing_in: Vec<(String, MissingValues)>,
    /// How missing values are written; see [`missing_words`].
    pub missing_words: Vec<String>,
    /// What is done about categories that were not there when the encoder was fitted.
    pub unknown: UnknownCategories,
    /// The most features that a column of categories becomes, 64 by default, one for *missing* not
    /// counted. Where there are more categories, the most frequent ones keep a feature of their own, and
    /// the rest share *other*.
    pub most_categories: usize,
    /// Whether columns of numbers and dates are shifted and scaled to mean 0 and standard deviation 1,
    /// true by default.
    pub standardize: bool,
    /// The same of targets that are numbers, true by default; predictions are taken back by
    /// [`Encoder::decode_values`](super::Encoder::decode_values).
    pub standardize_targets: bool,
    /// Whether a number beyond those that the encoder was fitted on is taken as the nearest of them, and
    /// counted; false by default. A net says anything of numbers far from those that it learned from, and
    /// one row of them may cost more than all the others together.
    pub clamp: bool,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            target_type: None,
            features: Vec::new(),
            exclude: Vec::new(),
            types: Vec::new(),
            missing: MissingValues::default(),
            missing_in: Vec::new(),
            missing_words: missing_words(),
            unknown: UnknownCategories::default(),
            most_categories: 64,
            standardize: true,
            clamp: false,
            standardize_targets: true,
        }
    }
}

/// How missing values are written unless other words are given, in upper or lower case (of ASCII) alike:
/// nothing, `-`, `--`, `.`, `?`, `NA`, `N/A`, `n.a.`, `#NA`, `#N/A`, `<NA>`, `NaN`, `-NaN`, `null`, `nil`
/// and `none`.
pub fn missing_words() -> Vec<String> {
    const WORDS: [&str; 16] = [
        "", "-", "--", ".", "?", "na", "n/a", "n.a.", "#na", "#n/a", "<na>", "nan", "-nan", "null",
        "nil", "none",
    ];
    WORDS.map(str::to_owned).into()
}

/// What a column of features is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// One feature: its numbers.
    Number,
    /// A feature for each category: 1 where the row is of it, else 0 (one-hot).
    Category,
    /// Days since 1970, and where in the year, the week and the day it is, as sine and cosine. Dates are
    /// written `2024-12-31`, `2024/12/31` or `31.12.2024`; a time may follow: `2024-12-31T23:59:59`.
    Date,
}

impl ColumnType {
    /// All types.
    pub const ALL: [ColumnType; 3] = [ColumnType::Number, ColumnType::Category, ColumnType::Date];

    /// Its name: `number`, `category`, `date`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Category => "category",
            Self::Date => "date",
        }
    }
}

/// What targets are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetType {
    /// Classes, one per row.
    Classes,
    /// Numbers.
    Values,
    /// There are none: all columns that are not excluded are features, for clusters and components. Such an
    /// encoder makes rows ([`Encoder::encode`](super::Encoder::encode)), and no data set to train on.
    None,
}

/// What is done about missing values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "files", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum MissingValues {
    /// In a column of numbers or dates the median stands in, and a feature of its own says that the
    /// value was missing; in one of categories *missing* is a category. The feature and the category are
    /// there if a value was missing when the encoder was fitted.
    #[default]
    Impute,
    /// The row is left out, and counted.
    DropRow,
    /// An error.
    Refuse,
}

/// What is done about categories that were not there when the encoder was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "files", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum UnknownCategories {
    /// They are *other* where the column has that, and none of its categories (0 in all its features)
    /// where it has not; they are counted.
    #[default]
    Other,
    /// An error.
    Refuse,
}
