//! Labelled images from IDX files: MNIST, its relatives, and the digits built into this crate.

use std::path::{Path, PathBuf};

use super::bytes;
use super::dataset::Dataset;
use super::error::DataError;
use super::idx::{self, IdxArray};
use super::options::DataOptions;
use super::origin::Origin;

/// Images with their labels, ready for training.
#[derive(Debug, Clone, PartialEq)]
pub struct IdxSet {
    /// One row per image, `image_rows × image_columns` features wide: the pixels, row by row, as
    /// shares of the largest pixel value. The targets are classes.
    pub dataset: Dataset,
    /// The height of each image in pixels.
    pub image_rows: usize,
    /// The width of each image in pixels.
    pub image_columns: usize,
}

impl IdxSet {
    /// Pairs images, `[images, rows, columns]`, with their labels, `[images]`.
    ///
    /// Pixels are divided by `max_value`, the pixel value that should become 1: 255 for MNIST, or 1
    /// to keep the bytes as they are. With `classes: None` there are as many classes as the largest
    /// label needs.
    ///
    /// # Errors
    /// If `max_value` is not a number from 1 up, the arrays have other numbers of dimensions, the
    /// one is longer than the other, there are no images or no pixels, or a label is not below
    /// `classes`.
    pub fn from_arrays(
        images: &IdxArray,
        labels: &IdxArray,
        max_value: f32,
        classes: Option<usize>,
    ) -> Result<Self, DataError> {
        let [images, labels] = [images, labels].map(|array| (array, &Origin::Memory));
        pair(images, labels, max_value, classes)
    }
}

/// Reads images and their labels from two IDX files, gzipped or not; for `max_value` and `classes`
/// see [`IdxSet::from_arrays`].
///
/// # Errors
/// As [`read_idx_file`](super::read_idx_file) and [`IdxSet::from_arrays`].
pub fn load_idx_pair(
    images: impl AsRef<Path>,
    labels: impl AsRef<Path>,
    max_value: f32,
    classes: Option<usize>,
) -> Result<IdxSet, DataError> {
    let images = load(images.as_ref())?;
    let labels = load(labels.as_ref())?;
    pair((&images.0, &images.1), (&labels.0, &labels.1), max_value, classes)
}

/// Reads a folder as MNIST, Fashion-MNIST and others come: a set to train on, and one to test on.
///
/// Each of `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte` may end in `.gz`, and may have a dot before `idx`. For `max_value` see
/// [`IdxSet::from_arrays`]. Both sets have as many classes as the largest label of either needs.
///
/// # Errors
/// If a file is missing, naming all names under which the missing ones were looked for; if the
/// images of the two sets differ in size; or as [`load_idx_pair`].
pub fn load_idx_folder(
    folder: impl AsRef<Path>,
    max_value: f32,
) -> Result<(IdxSet, IdxSet), DataError> {
    const STEMS: [[&str; 2]; 4] = [
        ["train-images", "idx3-ubyte"],
        ["train-labels", "idx1-ubyte"],
        ["t10k-images", "idx3-ubyte"],
        ["t10k-labels", "idx1-ubyte"],
    ];
    let folder = folder.as_ref();
    let mut looked_for = Vec::new();
    let found = STEMS.map(|[stem, kind]| {
        let names = [("-", ""), ("-", ".gz"), (".", ""), (".", ".gz")]
            .map(|(joint, ending)| format!("{stem}{joint}{kind}{ending}"));
        let path = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        if path.is_none() {
            looked_for.extend(names);
        }
        path
    });
    let [Some(train_images), Some(train_labels), Some(test_images), Some(test_labels)] = found
    else {
        return Err(DataError::MissingFiles { folder: folder.to_path_buf(), looked_for });
    };

    let (train_labels, test_labels) = (load(&train_labels)?, load(&test_labels)?);
    // A small test set may lack the last class; both must suit one model.
    let classes = Some(classes_of(&train_labels.0).max(classes_of(&test_labels.0)));
    let set = |images: PathBuf, labels: (IdxArray, Origin)| {
        let images = load(&images)?;
        pair((&images.0, &images.1), (&labels.0, &labels.1), max_value, classes)
    };
    let train = set(train_images, train_labels)?;
    let test = set(test_images, test_labels)?;
    let size = |set: &IdxSet| [set.image_rows, set.image_columns];
    if size(&train) != size(&test) {
        let folder = folder.to_path_buf();
        return Err(DataError::ImageSizes { folder, train: size(&train), test: size(&test) });
    }
    Ok((train, test))
}

fn load(path: &Path) -> Result<(IdxArray, Origin), DataError> {
    let (file, origin) = bytes::open(path)?;
    Ok((idx::read_from(file, &DataOptions::default(), &origin)?, origin))
}

fn pair(
    (images, images_origin): (&IdxArray, &Origin),
    (labels, labels_origin): (&IdxArray, &Origin),
    max_value: f32,
    classes: Option<usize>,
) -> Result<IdxSet, DataError> {
    if !(max_value.is_finite() && max_value >= 1.0) {
        return Err(DataError::MaxValue { max_value });
    }
    let wrong_rank = |array: &IdxArray, origin: &Origin, expected| DataError::IdxRank {
        origin: origin.clone(),
        dims: array.dims().to_vec(),
        expected,
    };
    let &[image_count, image_rows, image_columns] = images.dims() else {
        return Err(wrong_rank(images, images_origin, 3));
    };
    let &[label_count] = labels.dims() else {
        return Err(wrong_rank(labels, labels_origin, 1));
    };
    if image_count != label_count {
        return Err(DataError::IdxCounts {
            images: images_origin.clone(),
            labels: labels_origin.clone(),
            image_count,
            label_count,
        });
    }
    if images.data().is_empty() {
        return Err(DataError::Empty { origin: images_origin.clone() });
    }
    let pixels = images.data().iter().map(|&pixel| f32::from(pixel) / max_value).collect();
    let classes = classes.unwrap_or_else(|| classes_of(labels));
    let labels = labels.data().iter().map(|&label| u32::from(label)).collect();
    let dataset = Dataset::classification_from(
        pixels,
        image_rows * image_columns,
        labels,
        classes,
        labels_origin,
    )?;
    Ok(IdxSet { dataset, image_rows, image_columns })
}

/// How many classes the largest label needs.
fn classes_of(labels: &IdxArray) -> usize {
    labels.data().iter().max().map_or(0, |&largest| usize::from(largest) + 1)
}
