//! Rows of features, each with what should be learned from it.

use std::sync::{Arc, OnceLock};

use super::error::DataError;
use super::origin::Origin;
use super::part::Part;
use super::rows::{check_count, checked_rows};
use super::shuffle::permutation;
use super::standardize::Standardizer;
use crate::checksum::Checksum;

/// What a model should learn, one item for each row of a [`Dataset`].
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Numbers, for regression.
    Values {
        /// Shape `[rows, width]`, row by row; all finite.
        data: Vec<f32>,
        /// Numbers per row, at least 1.
        width: usize,
    },
    /// One class per row, for classification.
    Classes {
        /// Shape `[rows]`; all below `classes`.
        labels: Vec<u32>,
        /// How many classes there are, those that no row belongs to included.
        classes: usize,
    },
}

impl Targets {
    /// The checksum of what came before, with these.
    pub(super) fn checksum(&self, sum: Checksum) -> Checksum {
        match self {
            Self::Values { data, width } => sum.count(*width).numbers(data),
            Self::Classes { labels, classes } => sum.count(*classes).words(labels),
        }
    }
}

/// A table in memory: rows of features, each with its targets.
///
/// Whatever is in a dataset has been checked: at least one row, whole rows, finite numbers, labels
/// below the number of classes, and no more rows than `u32` numbers.
///
/// ```
/// use wgrad::data::Dataset;
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let features = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
/// let xor = Dataset::classification(features, 2, vec![0, 1, 1, 0], 2)?;
/// assert_eq!(xor.rows(), 4);
/// assert_eq!(xor.row(2), Some([1.0, 0.0].as_slice()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Dataset {
    features: Vec<f32>,
    width: usize,
    targets: Targets,
    /// A weight per row, or each row counts once.
    weights: Option<Vec<f32>>,
    names: Arc<Names>,
    /// Once somebody has asked for it.
    checksum: OnceLock<u64>,
}

/// What the columns and classes of a [`Dataset`] are called. Each list may be empty: then nothing of its
/// kind has a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    /// A name per feature.
    pub features: Vec<String>,
    /// A name per number of the targets; one for classes.
    pub targets: Vec<String>,
    /// A name per class, in the order of the labels.
    pub classes: Vec<String>,
}

/// Two are equal if their rows are, wherever they come from and whatever they are called.
impl PartialEq for Dataset {
    fn eq(&self, other: &Self) -> bool {
        let parts = |data: &Self| (data.width, data.features.len());
        parts(self) == parts(other)
            && self.features == other.features
            && self.targets == other.targets
            && self.weights == other.weights
    }
}

impl Dataset {
    /// Rows with numbers to predict: `features` is `[rows, width]` and `targets` is
    /// `[rows, target_width]`, both row by row.
    ///
    /// # Errors
    /// If there are no rows, a width is 0, values do not fill whole rows, the two have different
    /// numbers of rows, or a value is NaN or infinite.
    pub fn regression(
        features: Vec<f32>,
        width: usize,
        targets: Vec<f32>,
        target_width: usize,
    ) -> Result<Self, DataError> {
        let rows = checked_rows(&features, width, Part::Features)?;
        let target_rows = checked_rows(&targets, target_width, Part::Targets)?;
        check_pairs(rows, target_rows)?;
        let targets = Targets::Values { data: targets, width: target_width };
        Ok(Self::of(features, width, targets))
    }

    /// Rows to be classified: `features` is `[rows, width]`, row by row, and `labels` is `[rows]`,
    /// with classes counted from 0.
    ///
    /// # Errors
    /// If there are no rows, the width is 0, values do not fill whole rows, there are more or fewer
    /// labels than rows, a label is not below `classes`, or a feature is NaN or infinite.
    pub fn classification(
        features: Vec<f32>,
        width: usize,
        labels: Vec<u32>,
        classes: usize,
    ) -> Result<Self, DataError> {
        Self::classification_from(features, width, labels, classes, &Origin::Memory)
    }

    /// Rows that have been checked already.
    pub(super) fn of_checked(
        features: Vec<f32>,
        width: usize,
        targets: Targets,
        names: Arc<Names>,
    ) -> Self {
        Self { features, width, targets, names, weights: None, checksum: OnceLock::new() }
    }

    /// [`classification`](Self::classification) with labels that came from somewhere.
    pub(super) fn classification_from(
        features: Vec<f32>,
        width: usize,
        labels: Vec<u32>,
        classes: usize,
        labels_origin: &Origin,
    ) -> Result<Self, DataError> {
        let rows = checked_rows(&features, width, Part::Features)?;
        check_pairs(rows, labels.len())?;
        let out_of_range = |&(_, &label): &(usize, &u32)| label as usize >= classes;
        if let Some((row, &label)) = labels.iter().enumerate().find(out_of_range) {
            let origin = labels_origin.clone();
            return Err(DataError::LabelOutOfRange { origin, row, label, classes });
        }
        let targets = Targets::Classes { labels, classes };
        Ok(Self::of(features, width, targets))
    }

    fn of(features: Vec<f32>, width: usize, targets: Targets) -> Self {
        let (weights, names, checksum) = (None, Arc::default(), OnceLock::new());
        Self { features, width, targets, weights, names, checksum }
    }

    /// These rows, each with how often it counts in the loss: Keras's `sample_weight`. The loss of a row is
    /// multiplied by its weight, and the sum still divided by the number of rows. Parts of them keep their
    /// weights; metrics count each row once.
    ///
    /// # Errors
    /// If there is not one for each row, one is negative or not finite, or all are 0.
    pub fn with_weights(mut self, weights: Vec<f32>) -> Result<Self, DataError> {
        let rows = self.rows();
        if weights.len() != rows {
            return Err(DataError::WeightCount { weights: weights.len(), rows });
        }
        let wrong = |weight: &f32| !(*weight >= 0.0 && weight.is_finite());
        if let Some(row) = weights.iter().position(wrong) {
            let weight = weights.get(row).copied().unwrap_or_default();
            return Err(DataError::Weight { row, weight });
        }
        if weights.iter().all(|&weight| weight == 0.0) {
            return Err(DataError::NoWeight { rows });
        }
        self.weights = Some(weights);
        self.checksum = OnceLock::new();
        Ok(self)
    }

    /// These rows with names, which parts of them keep, and errors and predictions can say.
    ///
    /// # Errors
    /// If a list of names is neither empty nor as long as there are features, numbers per row of the
    /// targets, or classes.
    pub fn named(mut self, names: Names) -> Result<Self, DataError> {
        let classes = match &self.targets {
            Targets::Values { .. } => 0,
            Targets::Classes { classes, .. } => *classes,
        };
        for (what, names, expected) in [
            ("features", &names.features, self.width),
            ("targets", &names.targets, self.target_width()),
            ("classes", &names.classes, classes),
        ] {
            if !names.is_empty() && names.len() != expected {
                return Err(DataError::NameCount { what, names: names.len(), expected });
            }
        }
        self.names = Arc::new(names);
        Ok(self)
    }

    /// What columns and classes are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// How many rows there are: at least 1, at most `u32::MAX`.
    pub fn rows(&self) -> usize {
        self.features.len() / self.width
    }

    /// A number for the rows: the same for the same rows in every process, another one for others (except for
    /// one in 2⁶⁴). By it a training that was broken off knows its data again.
    pub fn checksum(&self) -> u64 {
        *self.checksum.get_or_init(|| {
            let sum = Checksum::new().count(self.width).numbers(&self.features);
            let sum = self.targets.checksum(sum);
            match &self.weights {
                Some(weights) => sum.numbers(weights).value(),
                None => sum.value(),
            }
        })
    }

    /// Features per row, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All features, `[rows, width]`, row by row.
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// The features of row `index`, if there is such a row.
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        self.features.chunks_exact(self.width).nth(index)
    }

    /// What should be learned.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Items per row of the targets: the width of values; 1 for classes, since a row has one label
    /// however many classes there are.
    pub fn target_width(&self) -> usize {
        match self.targets {
            Targets::Values { width, .. } => width,
            Targets::Classes { .. } => 1,
        }
    }

    /// How often each row counts in the loss, if rows were given weights.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// A weight for each class by which all classes count alike, however many rows they have: the number of
    /// rows, divided by the number of classes that have some and by that of the class's rows (`balanced` in
    /// scikit-learn; King and Zeng, 2001). A class without rows has 1. `None` if the targets are values.
    pub fn balanced_class_weights(&self) -> Option<Vec<f32>> {
        let Targets::Classes { labels, classes } = &self.targets else { return None };
        let mut counts = vec![0_usize; *classes];
        for &label in labels {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        let present = counts.iter().filter(|&&count| count > 0).count();
        let weight = |&count: &usize| match count {
            0 => 1.0,
            count => (labels.len() as f64 / (present as f64 * count as f64)) as f32,
        };
        Some(counts.iter().map(weight).collect())
    }

    /// The features, their width and the targets, to be changed and made into a dataset again. Names and
    /// weights are not among them.
    pub fn into_parts(self) -> (Vec<f32>, usize, Targets) {
        (self.features, self.width, self.targets)
    }

    /// This dataset with its features standardized; the targets stay as they are.
    ///
    /// Fit the standardizer on the rows to train on, and apply the same one to the rows held out:
    /// one fitted on all rows would tell the model about rows that it must not know.
    ///
    /// # Errors
    /// If the standardizer has another width, or a feature leaves the range of `f32`.
    pub fn standardized(&self, standardizer: &Standardizer) -> Result<Self, DataError> {
        if standardizer.width() != self.width {
            return Err(DataError::StandardizerWidth {
                standardizer: standardizer.width(),
                dataset: self.width,
            });
        }
        let mut dataset = Self { checksum: OnceLock::new(), ..self.clone() };
        standardizer.apply(&mut dataset.features).map_err(|error| match error {
            DataError::NotFinite { part, row, column, value, name: None } => {
                let name = self.names.features.get(column).cloned();
                DataError::NotFinite { part, row, column, value, name }
            }
            other => other,
        })?;
        Ok(dataset)
    }

    /// The rows of the given numbers, in the given order; a row may be taken several times.
    ///
    /// # Errors
    /// If no row is selected, more than `u32::MAX` are, or one that does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self, DataError> {
        check_count(rows.len())?;
        match rows.iter().find(|&&row| row >= self.rows()) {
            Some(&row) => Err(DataError::RowOutOfRange { row, rows: self.rows() }),
            None => Ok(self.pick(rows.iter().copied())),
        }
    }

    /// Deals the rows into some to train on and some held out, both in an order drawn from `seed`:
    /// `round(rows × fraction)` are held out. The same seed deals alike on every machine.
    ///
    /// # Errors
    /// If `fraction` is not between 0 and 1, or one of the two would be empty.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(DataError::Fraction { fraction });
        }
        let rows = self.rows();
        // `rows` has at most 32 bits and `fraction` is at most 1: nothing is lost either way.
        let held_out = (rows as f64 * fraction).round() as usize;
        let training = rows.saturating_sub(held_out);
        check_sides(training, held_out)?;
        let order = permutation(rows, seed);
        let (training, held_out) = order.split_at(training);
        let pick = |order: &[u32]| self.pick(order.iter().map(|&row| row as usize));
        Ok((pick(training), pick(held_out)))
    }

    /// The rows before `row`, and those from `row` on, in the order that they have: the split for
    /// rows in order of time, or for a test set appended to the training set.
    ///
    /// # Errors
    /// If one of the two would be empty, or `row` is beyond the last.
    pub fn split_at(&self, row: usize) -> Result<(Self, Self), DataError> {
        let rows = self.rows();
        if row > rows {
            return Err(DataError::RowOutOfRange { row, rows });
        }
        check_sides(row, rows - row)?;
        Ok((self.pick(0..row), self.pick(row..rows)))
    }

    /// Copies rows that are known to exist.
    fn pick(&self, rows: impl Iterator<Item = usize> + Clone) -> Self {
        let features = gather(&self.features, self.width, rows.clone());
        let weighted = rows.clone();
        let targets = match &self.targets {
            Targets::Values { data, width } => {
                Targets::Values { data: gather(data, *width, rows), width: *width }
            }
            Targets::Classes { labels, classes } => {
                Targets::Classes { labels: gather(labels, 1, rows), classes: *classes }
            }
        };
        let weights = self.weights.as_ref().map(|weights| gather(weights, 1, weighted));
        let names = Arc::clone(&self.names);
        Self { weights, names, ..Self::of(features, self.width, targets) }
    }
}

fn check_pairs(features: usize, targets: usize) -> Result<(), DataError> {
    if features == targets { Ok(()) } else { Err(DataError::RowCounts { features, targets }) }
}

fn check_sides(training: usize, held_out: usize) -> Result<(), DataError> {
    if training == 0 || held_out == 0 {
        return Err(DataError::EmptySide { training, held_out });
    }
    Ok(())
}

/// Copies rows of `width` items.
fn gather<T: Copy>(items: &[T], width: usize, rows: impl Iterator<Item = usize>) -> Vec<T> {
    let chunks = items.chunks_exact(width);
    rows.filter_map(|row| chunks.clone().nth(row)).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // A dataset with this many rows would take 32 GiB, so the rule is tested alone.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn row_numbers_have_32_bits() {
        assert!(check_count(u32::MAX as usize).is_ok());
        let too_many = u32::MAX as usize + 1;
        assert!(
            matches!(check_count(too_many), Err(DataError::TooManyRows { rows }) if rows == too_many)
        );
    }
}
