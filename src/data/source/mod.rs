//! Rows in blocks, from memory, a file or a stream: data that need not fit in memory.

mod array;
mod batches;
#[cfg(feature = "csv")]
mod csv;
mod data;
mod element;
mod forward;
mod memory;
mod npy;
mod pass;
mod read;
mod rows;
mod share;
mod standardize;
mod whole;
mod windows;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub use array::ArrayFile;
pub use batches::FeatureBatches;
pub use data::{AsData, Data, OwnedData};
pub use npy::NpyWriter;
pub(crate) use pass::{EpochOrder, Pass};
pub use read::{ReadRows, RowReader};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use share::{Share, Tally};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use windows::Reading;
pub(crate) use windows::{Wanted, Window, Windows};

use super::dataset::{Dataset, Names};
use super::error::{DataError, SourceError};
use super::form::{Form, TargetForm};
use super::origin::Origin;
use super::standardize::Standardizer;

/// Rows of features, with their targets if they have any, that are read in blocks: what a [`Dataset`] is to data that
/// fits in memory. [`Model::fit`](crate::train::Model::fit), `evaluate`, `predict_source`, lanes, k-means and
/// principal components take it.
///
/// ```no_run
/// use wgrad::data::{ArrayFile, Source};
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let labels = ArrayFile::npy("labels.npy")?;
/// let images = Source::npy("images.npy")?.with_labels(labels, 10)?;
/// let (train, held_out) = images.split_last(0.1)?;
/// # Ok(())
/// # }
/// ```
///
/// # The order of rows
/// The rows lie in blocks of [`block_rows`](Source::block_rows), the last with those that are left. An epoch that is
/// shuffled draws the blocks in an order of its own, if they can be had in any; puts as many of them together as
/// a [window](Source::window_rows) holds; and draws the rows of each window in an order of its own. Each row comes once
/// in each epoch. All orders are made of the seed, the epoch's number and the window's: they depend on the rows'
/// number, the blocks and the window, and not on where the rows lie. So a file that does not fit in memory and a
/// [data set](Source::dataset) that does give the same bits with the same window and blocks; and where all rows are in
/// one window, so does the data set itself. Rows of a text or an iterator cannot be had in any order: their blocks
/// stay in theirs, which [`blocks_in_order`](Source::blocks_in_order) says of others too.
///
/// # Memory
/// Two windows are in memory: one that is used, and the next one, which a thread reads meanwhile (over lanes three,
/// where they stand in different ones). What is not shuffled takes a few MiB instead.
///
/// # Errors
/// Of what is wrong in a block, training hears when the block is read; the error names the row.
#[derive(Clone)]
pub struct Source {
    features: Arc<dyn ReadRows>,
    targets: TargetsFrom,
    standardizer: Option<Arc<Standardizer>>,
    /// A feature that has other values than were read.
    moved: Option<Moved>,
    names: Arc<Names>,
    block_rows: Option<usize>,
    window_rows: Option<usize>,
    blocks_in_order: bool,
    /// The first row of this part, and the one after its last if that is not the end.
    first: usize,
    end: Option<usize>,
    /// All rows, once they were counted.
    counted: Arc<OnceLock<usize>>,
    known: Arc<Known>,
}

/// A feature, and its value in each row.
#[derive(Clone)]
struct Moved {
    feature: usize,
    values: Arc<Vec<f32>>,
}

/// What was found by going over its rows.
#[derive(Default)]
struct Known {
    checksum: OnceLock<u64>,
    /// `Σ(t - mean)²` over the targets.
    spread: OnceLock<f64>,
}

/// Where the targets of rows come from.
#[derive(Clone)]
enum TargetsFrom {
    Nowhere,
    /// The last columns of the rows.
    Last(TargetForm),
    Apart {
        rows: Arc<dyn ReadRows>,
        form: TargetForm,
    },
}

/// Bytes of a block and of a window, unless they are said.
const BLOCK: usize = 1 << 20;
const WINDOW: usize = 128 << 20;

/// Classes at most: labels are read as f32, which holds all whole numbers up to here.
const MOST_CLASSES: usize = 1 << 24;

impl Source {
    /// Rows of features, without targets for now.
    pub fn new(rows: impl ReadRows) -> Self {
        Self {
            features: Arc::new(rows),
            targets: TargetsFrom::Nowhere,
            standardizer: None,
            moved: None,
            names: Arc::default(),
            block_rows: None,
            window_rows: None,
            blocks_in_order: false,
            first: 0,
            end: None,
            counted: Arc::default(),
            known: Arc::default(),
        }
    }

    /// The rows of a `.npy` file.
    ///
    /// # Errors
    /// As [`ArrayFile::npy`].
    pub fn npy(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Ok(Self::new(ArrayFile::npy(path)?))
    }

    /// The rows of an IDX file, each number divided by `max_value`; 1 keeps them as they are.
    ///
    /// # Errors
    /// As [`ArrayFile::idx`] and [`ArrayFile::divided_by`].
    pub fn idx(path: impl AsRef<Path>, max_value: f32) -> Result<Self, DataError> {
        Ok(Self::new(ArrayFile::idx(path)?.divided_by(max_value)?))
    }

    /// A data set in memory, as if it came from a file: to compare with one, or where lanes should have
    /// no copy of all of it.
    ///
    /// # Errors
    /// If it has more than 2²⁴ classes, or weights of rows.
    pub fn dataset(data: impl Into<Arc<Dataset>>) -> Result<Self, DataError> {
        let data = data.into();
        if data.weights().is_some() {
            return Err(SourceError::Weights.into());
        }
        let (form, names) = (data.targets().form(), data.names().clone());
        let of = |targets: bool| memory::Columns { data: data.clone(), targets };
        let source = Self { names: Arc::new(names), ..Self::new(of(false)) };
        source.with(TargetsFrom::Apart { rows: Arc::new(of(true)), form })
    }

    /// Rows of `width` numbers that a program brings in blocks of any number of whole rows, the last columns of
    /// which may be [targets](Source::last_columns_as_targets). Each pass calls `begin` once more, and must get the same
    /// rows again. `rows` says how many there are; where it is not known, they are counted in a pass of their own,
    /// when the number is first asked for. Errors call it `name`.
    ///
    /// The blocks need not be those of [`Source::block_rows`]. They are asked for on a thread that reads ahead.
    ///
    /// ```
    /// use wgrad::data::Source;
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// // A thousand blocks of 100 rows: two features and a target.
    /// let block = |number| (0..300).map(|i| ((number * 300 + i) % 97) as f32).collect();
    /// let blocks = move || (0..1000).map(move |number| Ok(block(number)));
    /// let rows = Source::of_blocks("a formula", 3, None, blocks)?.last_columns_as_targets(1)?;
    /// assert_eq!((rows.rows(), rows.count()?, rows.width()), (None, 100_000, 2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If `width` or `rows` is 0.
    pub fn of_blocks<I>(
        name: &str,
        width: usize,
        rows: Option<usize>,
        begin: impl Fn() -> I + Send + Sync + 'static,
    ) -> Result<Self, DataError>
    where
        I: Iterator<Item = io::Result<Vec<f32>>> + Send + 'static,
    {
        let origin = Origin::Named(name.into());
        not_zero("width of the rows of a source", width)?;
        if rows == Some(0) {
            return Err(DataError::Empty { origin });
        }
        Ok(Self::new(forward::Forward::of_blocks(origin, width, rows, begin)))
    }

    /// With numbers to predict that are read apart: a row of them for each row of features.
    ///
    /// # Errors
    /// If there are more or fewer of them, as far as that is known.
    pub fn with_targets(self, rows: impl ReadRows) -> Result<Self, DataError> {
        let form = TargetForm::Values { width: rows.width() };
        self.with(TargetsFrom::Apart { rows: Arc::new(rows), form })
    }

    /// With classes that are read apart: for each row of features a number from 0 and below `classes`.
    ///
    /// # Errors
    /// If there are more or fewer of them, as far as that is known; there are several a row; or `classes` is 0 or
    /// above 2²⁴.
    pub fn with_labels(self, rows: impl ReadRows, classes: usize) -> Result<Self, DataError> {
        let form = TargetForm::Classes { classes };
        self.with(TargetsFrom::Apart { rows: Arc::new(rows), form })
    }

    /// With the last `count` columns as numbers to predict.
    ///
    /// # Errors
    /// If `count` is 0, or no column is left for features.
    pub fn last_columns_as_targets(self, count: usize) -> Result<Self, DataError> {
        self.with(TargetsFrom::Last(TargetForm::Values { width: count }))
    }

    /// With the last column as classes from 0 and below `classes`.
    ///
    /// # Errors
    /// If no column is left for features, or `classes` is 0 or above 2²⁴.
    pub fn last_column_as_labels(self, classes: usize) -> Result<Self, DataError> {
        self.with(TargetsFrom::Last(TargetForm::Classes { classes }))
    }

    fn with(self, targets: TargetsFrom) -> Result<Self, DataError> {
        let origin = self.features.origin();
        let wrong = |what, value, rule: String| {
            let origin = origin.clone();
            Err(SourceError::Targets { origin, what, value, rule }.into())
        };
        let form = match &targets {
            TargetsFrom::Nowhere => return Ok(self),
            TargetsFrom::Last(form) | TargetsFrom::Apart { form, .. } => *form,
        };
        if let TargetForm::Classes { classes } = form
            && !(1..=MOST_CLASSES).contains(&classes)
        {
            return wrong("number of classes", classes, format!("from 1 to {MOST_CLASSES}"));
        }
        match &targets {
            TargetsFrom::Last(form) => {
                let (count, most) = (form.width(), self.features.width().saturating_sub(1));
                if count == 0 || count > most {
                    return wrong(
                        "number of columns with targets",
                        count,
                        format!("from 1 to {most}"),
                    );
                }
            }
            TargetsFrom::Apart { rows, form } => {
                if matches!(form, TargetForm::Classes { .. }) && rows.width() != 1 {
                    return wrong("number of labels of a row", rows.width(), "1".into());
                }
                if let (Some(feature_rows), Some(target_rows)) = (self.features.rows(), rows.rows())
                    && feature_rows != target_rows
                {
                    let (features, targets) = (origin, rows.origin());
                    let pairs = SourceError::Pairs { features, targets, feature_rows, target_rows };
                    return Err(pairs.into());
                }
            }
            TargetsFrom::Nowhere => {}
        }
        let source = Self { targets, known: Arc::default(), ..self };
        let width = source.width();
        if let Some(standardizer) = source.standardizer.as_ref().filter(|own| own.width() != width)
        {
            let (standardizer, dataset) = (standardizer.width(), width);
            return Err(DataError::StandardizerWidth { standardizer, dataset });
        }
        // Names of other columns than these say nothing.
        let named = source.names.features.len();
        let names = if [0, width].contains(&named) { source.names } else { Arc::default() };
        Ok(Self { names, ..source })
    }

    /// With features shifted and scaled as they are read.
    ///
    /// # Errors
    /// If the standardizer has another width.
    pub fn standardized(self, standardizer: &Standardizer) -> Result<Self, DataError> {
        if standardizer.width() != self.width() {
            let (standardizer, dataset) = (standardizer.width(), self.width());
            return Err(DataError::StandardizerWidth { standardizer, dataset });
        }
        let standardizer = Some(Arc::new(standardizer.clone()));
        Ok(Self { standardizer, known: Arc::default(), ..self })
    }

    /// With another value of one feature in each row.
    pub(crate) fn with_feature(&self, feature: usize, values: Vec<f32>) -> Self {
        let moved = Some(Moved { feature, values: Arc::new(values) });
        // The targets are as they were; what the features summed up to is another.
        let spread = self.known.spread.clone();
        let known = Arc::new(Known { spread, ..Known::default() });
        Self { moved, known, ..self.clone() }
    }

    /// In blocks of so many rows: by default of about 1 MiB. A block is what is read at once, and what a split holds out.
    ///
    /// # Errors
    /// If it is 0.
    pub fn block_rows(self, rows: usize) -> Result<Self, DataError> {
        not_zero("rows of a block", rows)?;
        Ok(Self { block_rows: Some(rows), known: Arc::default(), ..self })
    }

    /// With rows shuffled within so many, rounded down to whole blocks, of which it has at least one: by default within
    /// about 128 MiB. Two windows must fit in memory.
    ///
    /// # Errors
    /// If it is 0.
    pub fn window_rows(self, rows: usize) -> Result<Self, DataError> {
        not_zero("rows of a window", rows)?;
        Ok(Self { window_rows: Some(rows), known: Arc::default(), ..self })
    }

    /// With its blocks never shuffled, as those of a text: rows are shuffled within a window alone.
    pub fn blocks_in_order(self) -> Self {
        Self { blocks_in_order: true, known: Arc::default(), ..self }
    }

    /// The blocks before the last `fraction` of them, and those: the split for a validation. Both are read from the
    /// same place.
    ///
    /// # Errors
    /// If one part would have no block, or the rows have to be counted and cannot be read.
    pub fn split_last(&self, fraction: f64) -> Result<(Self, Self), DataError> {
        let (rows, block_rows) = (self.count()?, self.rows_of_block());
        let blocks = rows.div_ceil(block_rows);
        let held_out = (blocks as f64 * fraction).round() as usize;
        if !(fraction > 0.0 && fraction < 1.0) || held_out == 0 || held_out >= blocks {
            let origin = self.origin();
            return Err(SourceError::Split { origin, blocks, block_rows, fraction }.into());
        }
        let middle = self.first + (blocks - held_out) * block_rows;
        let part = |first: usize, end: Option<usize>| Self {
            first,
            end,
            block_rows: Some(block_rows),
            known: Arc::default(),
            ..self.clone()
        };
        Ok((part(self.first, Some(middle)), part(middle, self.end)))
    }

    /// Its features in the order in which they lie, `rows` rows at a time, for a loop of one's own: for each some
    /// attributions, say. They are read once, ahead by a thread; a few MiB and a batch are in memory.
    ///
    /// ```no_run
    /// use wgrad::data::{NpyWriter, Source};
    /// use wgrad::explain::Explainer;
    /// # fn main() -> wgrad::Result<()> {
    /// # let model: wgrad::train::Model = todo!();
    /// let rows = Source::npy("rows.npy")?;
    /// let mut explainer = Explainer::of_model_blocking(&model)?;
    /// let mut file = NpyWriter::create("why.npy", rows.width())?;
    /// for some in rows.feature_batches(4096)? {
    ///     file.write(&explainer.saliency_blocking(&some?, &[3])?)?;
    /// }
    /// file.finish()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If `rows` is 0, or all of them have to be counted and cannot be read; those of reading come with the batch.
    pub fn feature_batches(&self, rows: usize) -> Result<FeatureBatches, DataError> {
        not_zero("rows of a batch", rows)?;
        FeatureBatches::new(self, rows)
    }

    /// Features per row, at least 1.
    pub fn width(&self) -> usize {
        let last = match &self.targets {
            TargetsFrom::Last(form) => form.width(),
            _ => 0,
        };
        self.features.width() - last
    }

    /// What columns are called, where a file says so.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// How many rows there are, if that is known before they are read.
    pub fn rows(&self) -> Option<usize> {
        Some(self.end.or(self.whole_rows())?.saturating_sub(self.first))
    }

    pub(crate) fn origin(&self) -> Origin {
        self.features.origin()
    }

    /// All rows of what it is a part of.
    fn whole_rows(&self) -> Option<usize> {
        self.features.rows().or_else(|| self.counted.get().copied())
    }

    fn target_form(&self) -> Result<TargetForm, DataError> {
        match &self.targets {
            TargetsFrom::Nowhere => Err(self.no_targets()),
            TargetsFrom::Last(form) | TargetsFrom::Apart { form, .. } => Ok(*form),
        }
    }

    fn no_targets(&self) -> DataError {
        SourceError::NoTargets { origin: self.origin() }.into()
    }

    pub(crate) fn form(&self) -> Result<Form, DataError> {
        Ok(Form { width: self.width(), targets: self.target_form()?, weighted: false })
    }

    /// Bytes of a row with its targets, in memory.
    fn row_bytes(&self) -> usize {
        let targets = match &self.targets {
            TargetsFrom::Apart { rows, .. } => rows.width(),
            _ => 0,
        };
        self.features.width().saturating_add(targets).saturating_mul(4).max(1)
    }

    fn rows_of_block(&self) -> usize {
        self.block_rows.unwrap_or_else(|| BLOCK / self.row_bytes()).max(1)
    }

    fn rows_of_window(&self) -> usize {
        self.window_rows.unwrap_or_else(|| WINDOW / self.row_bytes())
    }

    /// Whether its blocks can be had in any order, and are.
    fn shuffles_blocks(&self) -> bool {
        let apart = match &self.targets {
            TargetsFrom::Apart { rows, .. } => rows.reads_anywhere(),
            _ => true,
        };
        !self.blocks_in_order && self.features.reads_anywhere() && apart
    }
}

fn not_zero(what: &'static str, value: usize) -> Result<(), DataError> {
    if value == 0 { Err(SourceError::Zero { what }.into()) } else { Ok(()) }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("origin", &self.origin())
            .field("rows", &self.rows())
            .field("width", &self.width())
            .field("targets", &self.target_form().ok())
            .field("block_rows", &self.rows_of_block())
            .field("window_rows", &self.rows_of_window())
            .finish_non_exhaustive()
    }
}
