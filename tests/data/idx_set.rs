//! Labelled images.

use std::fs;
use std::path::Path;

use wgrad::data::{
    DataError, IdxArray, IdxSet, Targets, load_idx_folder, load_idx_pair, read_idx, write_idx,
};

use super::{assert_says, folder};

fn idx(dims: &[usize], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_idx(&mut bytes, dims, data).unwrap();
    bytes
}

fn array(dims: &[usize], data: &[u8]) -> IdxArray {
    read_idx(idx(dims, data).as_slice()).unwrap()
}

fn labels(set: &IdxSet) -> (&[u32], usize) {
    match set.dataset.targets() {
        Targets::Classes { labels, classes } => (labels, *classes),
        other => panic!("{other:?}"),
    }
}

/// Two images to train on and one to test on, 1 by 2 pixels each.
fn write_set(folder: &Path, names: [&str; 4]) {
    let [train_images, train_labels, test_images, test_labels] = names;
    fs::write(folder.join(train_images), idx(&[2, 1, 2], &[0, 51, 102, 255])).unwrap();
    fs::write(folder.join(train_labels), idx(&[2], &[4, 0])).unwrap();
    fs::write(folder.join(test_images), idx(&[1, 1, 2], &[255, 0])).unwrap();
    fs::write(folder.join(test_labels), idx(&[1], &[2])).unwrap();
}

const DASHES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

#[test]
fn pixels_become_shares_of_the_largest() {
    let images = array(&[2, 3, 2], &[0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6]);
    let set = IdxSet::from_arrays(&images, &array(&[2], &[3, 1]), 255.0, None).unwrap();
    assert_eq!((set.image_rows, set.image_columns), (3, 2));
    assert_eq!((set.dataset.rows(), set.dataset.width()), (2, 6));
    assert_eq!(set.dataset.row(0), Some([0.0, 0.2, 0.4, 0.6, 0.8, 1.0].as_slice()));
    assert_eq!(labels(&set), ([3, 1].as_slice(), 4));
    let raw = IdxSet::from_arrays(&images, &array(&[2], &[3, 1]), 1.0, Some(10)).unwrap();
    assert_eq!(raw.dataset.row(1), Some([1.0, 2.0, 3.0, 4.0, 5.0, 6.0].as_slice()));
    assert_eq!(labels(&raw).1, 10);
}

#[test]
fn a_scale_below_1_is_taken_for_a_mistake() {
    let (images, labels) = (array(&[1, 1, 1], &[9]), array(&[1], &[0]));
    for max_value in [1.0 / 255.0, 0.0, -255.0, f32::NAN, f32::INFINITY] {
        let result = IdxSet::from_arrays(&images, &labels, max_value, None);
        assert_says(result, &[&max_value.to_string(), "for example 255"]);
    }
}

#[test]
fn arrays_that_are_no_pair_are_refused() {
    let pair = |images: &IdxArray, labels: &IdxArray, classes| {
        IdxSet::from_arrays(images, labels, 255.0, classes)
    };
    let (images, labels) = (array(&[2, 1, 1], &[7, 8]), array(&[2], &[0, 3]));
    assert_says(pair(&labels, &images, None), &["1 dimensions", "3 are needed", "swapped"]);
    assert_says(pair(&images, &images, None), &["3 dimensions", "1 are needed"]);
    assert_says(pair(&images, &array(&[1], &[0]), None), &["2 images", "1 labels"]);
    assert_says(pair(&images, &labels, Some(3)), &["row 1", "label 3", "3 classes"]);
    let (none, no_labels) = (array(&[0, 28, 28], &[]), array(&[0], &[]));
    assert!(matches!(pair(&none, &no_labels, None), Err(DataError::Empty { .. })));
    assert!(matches!(pair(&array(&[2, 0, 5], &[]), &labels, None), Err(DataError::Empty { .. })));
}

#[test]
fn pairs_of_files_name_the_file_at_fault() {
    let folder = folder("idx-pair");
    write_set(&folder, DASHES);
    let [images, labels] = [folder.join(DASHES[0]), folder.join(DASHES[1])];
    assert_eq!(load_idx_pair(&images, &labels, 255.0, None).unwrap().dataset.rows(), 2);
    let label_name = labels.display().to_string();
    assert_says(
        load_idx_pair(&images, &labels, 255.0, Some(4)),
        &[&label_name, "row 0", "label 4"],
    );
    let test_labels = folder.join(DASHES[3]);
    let unpaired = load_idx_pair(&images, &test_labels, 255.0, None);
    assert_says(unpaired, &[&images.display().to_string(), &test_labels.display().to_string()]);
}

#[test]
fn folders_are_read_under_all_usual_names() {
    let dots = DASHES.map(|name| name.replace("-idx", ".idx"));
    let [a, b, c, d] = &dots;
    for (name, names) in [
        ("idx-dashes", DASHES),
        ("idx-dots", [a, b, c, d]),
        ("idx-mixed", [a, DASHES[1], c, DASHES[3]]),
    ] {
        let folder = folder(name);
        write_set(&folder, names);
        let (train, test) = load_idx_folder(&folder, 255.0).unwrap();
        assert_eq!(train.dataset.features(), [0.0, 0.2, 0.4, 1.0]);
        assert_eq!(test.dataset.features(), [1.0, 0.0]);
        // The test set alone would have 3 classes.
        assert_eq!(labels(&train), ([4, 0].as_slice(), 5));
        assert_eq!(labels(&test), ([2].as_slice(), 5));
    }
    // And the other way round.
    let folder = folder("idx-classes");
    write_set(&folder, [DASHES[2], DASHES[3], DASHES[0], DASHES[1]]);
    let (train, test) = load_idx_folder(&folder, 255.0).unwrap();
    assert_eq!(labels(&train), ([2].as_slice(), 5));
    assert_eq!(labels(&test), ([4, 0].as_slice(), 5));
}

#[cfg(feature = "gzip")]
#[test]
fn folders_are_read_gzipped() {
    let folder = folder("idx-folder-gzip");
    write_set(&folder, DASHES);
    let plain = load_idx_folder(&folder, 255.0).unwrap();
    for name in DASHES {
        let packed = super::gzip(&fs::read(folder.join(name)).unwrap());
        fs::remove_file(folder.join(name)).unwrap();
        fs::write(folder.join(format!("{name}.gz")), packed).unwrap();
    }
    assert_eq!(load_idx_folder(&folder, 255.0).unwrap(), plain);
}

#[test]
fn missing_files_are_listed() {
    let folder = folder("idx-missing");
    write_set(&folder, DASHES);
    fs::remove_file(folder.join("train-labels-idx1-ubyte")).unwrap();
    match load_idx_folder(&folder, 255.0) {
        Err(DataError::MissingFiles { folder: named, looked_for }) => {
            assert_eq!(named, folder);
            let names = ["-idx1-ubyte", "-idx1-ubyte.gz", ".idx1-ubyte", ".idx1-ubyte.gz"];
            assert_eq!(looked_for, names.map(|ending| format!("train-labels{ending}")));
        }
        other => panic!("{other:?}"),
    }
    let nowhere = folder.join("nowhere");
    assert_says(
        load_idx_folder(&nowhere, 255.0),
        &["nowhere", "train-images-idx3-ubyte", "t10k-labels.idx1-ubyte.gz"],
    );
}

#[test]
fn halves_of_different_sets_are_refused() {
    let folder = folder("idx-sizes");
    write_set(&folder, DASHES);
    fs::write(folder.join("t10k-images-idx3-ubyte"), idx(&[1, 2, 1], &[255, 0])).unwrap();
    assert_says(load_idx_folder(&folder, 255.0), &["1 rows by 2 columns", "2 by 1"]);
}

/// Class counts and the sum of all pixels were taken from the source, before it was made into IDX.
#[cfg(feature = "digits")]
#[test]
fn digits_are_built_in() {
    let set = wgrad::data::digits().unwrap();
    assert_eq!((set.image_rows, set.image_columns), (8, 8));
    assert_eq!((set.dataset.rows(), set.dataset.width()), (1797, 64));
    let (labels, classes) = labels(&set);
    assert_eq!(classes, 10);
    assert_eq!(labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let count = |class: u32| labels.iter().filter(|&&label| label == class).count();
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(count),
        [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    );
    let ink: f64 = set.dataset.features().iter().map(|&pixel| f64::from(pixel) * 16.0).sum();
    assert_eq!(ink, 561_718.0);
    assert_eq!(set.dataset.row(0).unwrap()[..6], [0.0, 0.0, 0.3125, 0.8125, 0.5625, 0.0625]);
}
