//! Making, cutting and shuffling datasets.

use wgrad::data::{DataError, Dataset, Part, Standardizer, Targets, permutation};

use super::assert_says;

fn squares(rows: usize) -> Dataset {
    let features = (0..rows).flat_map(|row| [row as f32, -(row as f32)]).collect();
    let targets = (0..rows).map(|row| (row * row) as f32).collect();
    Dataset::regression(features, 2, targets, 1).unwrap()
}

fn first_features(dataset: &Dataset) -> Vec<f32> {
    dataset.features().chunks_exact(dataset.width()).map(|row| row[0]).collect()
}

#[test]
fn regression_keeps_what_it_was_given() {
    let dataset =
        Dataset::regression(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, vec![7.0, 8.0], 1).unwrap();
    assert_eq!((dataset.rows(), dataset.width(), dataset.target_width()), (2, 3, 1));
    assert_eq!(dataset.features(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(dataset.row(1), Some([4.0, 5.0, 6.0].as_slice()));
    assert_eq!(dataset.row(2), None);
    assert_eq!(dataset.row(usize::MAX), None);
    let targets = Targets::Values { data: vec![7.0, 8.0], width: 1 };
    assert_eq!(dataset.targets(), &targets);
    assert_eq!(dataset.into_parts(), (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, targets));
}

#[test]
fn classification_keeps_classes_without_rows() {
    let dataset = Dataset::classification(vec![0.5, 0.25], 1, vec![4, 0], 10).unwrap();
    assert_eq!((dataset.rows(), dataset.width(), dataset.target_width()), (2, 1, 1));
    let selected = dataset.select(&[1]).unwrap();
    assert_eq!(selected.targets(), &Targets::Classes { labels: vec![0], classes: 10 });
}

#[test]
fn tables_that_are_none_are_refused() {
    let empty = Dataset::regression(vec![], 1, vec![], 1);
    assert!(matches!(empty, Err(DataError::Empty { .. })));
    assert_says(Dataset::classification(vec![], 3, vec![], 2), &["no rows", "at least one"]);
    assert_says(Dataset::regression(vec![1.0], 0, vec![1.0], 1), &["features", "width of 0"]);
    assert_says(Dataset::regression(vec![1.0], 1, vec![1.0], 0), &["targets", "width of 0"]);
    assert_says(
        Dataset::regression(vec![1.0; 5], 2, vec![1.0], 1),
        &["5 values", "rows of 2 features"],
    );
    assert_says(
        Dataset::regression(vec![1.0; 4], 2, vec![1.0; 3], 2),
        &["3 values", "rows of 2 targets"],
    );
    assert_says(
        Dataset::regression(vec![1.0; 4], 2, vec![1.0; 3], 1),
        &["2 rows of features", "3 rows of targets"],
    );
    assert_says(
        Dataset::classification(vec![1.0; 4], 2, vec![0], 1),
        &["2 rows of features", "1 rows of targets"],
    );
    assert_says(Dataset::regression(vec![1.0], usize::MAX, vec![1.0], 1), &["1 values"]);
}

#[test]
fn values_that_are_not_finite_are_named_by_row_and_column() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let features = vec![0.0, 0.0, 0.0, 0.0, value, 0.0];
        match Dataset::regression(features.clone(), 3, vec![0.0; 2], 1) {
            Err(DataError::NotFinite {
                part: Part::Features,
                row: 1,
                column: 1,
                value: named,
                ..
            }) => {
                assert_eq!(named.to_bits(), value.to_bits());
            }
            other => panic!("{other:?}"),
        }
        let classified = Dataset::classification(features, 2, vec![0; 3], 1);
        assert_says(classified, &["row 2, column 0", "features", &value.to_string()]);
        let targets = Dataset::regression(vec![0.0; 2], 1, vec![1.0, 2.0, 3.0, value], 2);
        assert_says(targets, &["row 1, column 1", "targets", &value.to_string()]);
    }
    // The largest and smallest numbers there are do pass.
    assert!(Dataset::regression(vec![f32::MAX, f32::MIN, 1e-45], 3, vec![-0.0], 1).is_ok());
}

#[test]
fn labels_must_be_below_the_number_of_classes() {
    let result = Dataset::classification(vec![0.0; 3], 1, vec![0, 3, 7], 3);
    assert_says(result, &["row 1", "label 3", "3 classes", "below 3"]);
    let result = Dataset::classification(vec![0.0], 1, vec![0], 0);
    assert!(matches!(result, Err(DataError::LabelOutOfRange { row: 0, label: 0, classes: 0, .. })));
}

#[test]
fn selecting_repeats_and_orders_rows() {
    let selected = squares(4).select(&[3, 0, 3]).unwrap();
    assert_eq!(selected.features(), [3.0, -3.0, 0.0, 0.0, 3.0, -3.0]);
    assert_eq!(selected.targets(), &Targets::Values { data: vec![9.0, 0.0, 9.0], width: 1 });
    assert_says(squares(4).select(&[0, 4]), &["row 4", "only 4 rows"]);
    assert!(matches!(squares(4).select(&[]), Err(DataError::Empty { .. })));
}

#[test]
fn splitting_rounds_half_up_and_refuses_empty_sides() {
    for (rows, fraction, held_out) in
        [(10, 0.25, 3), (10, 0.2, 2), (7, 0.5, 4), (3, 0.4, 1), (2, 0.5, 1)]
    {
        let (train, test) = squares(rows).split(fraction, 5).unwrap();
        assert_eq!((train.rows(), test.rows()), (rows - held_out, held_out));
    }
    assert_says(squares(10).split(0.04, 5), &["10 rows to train on", "0 held out"]);
    assert_says(squares(10).split(0.96, 5), &["0 rows to train on", "10 held out"]);
    assert_says(squares(1).split(0.5, 5), &["both need at least one"]);
    for fraction in [0.0, 1.0] {
        assert!(matches!(squares(10).split(fraction, 5), Err(DataError::EmptySide { .. })));
    }
    for fraction in [-0.1, 1.1, f64::NAN, f64::INFINITY, 20.0] {
        assert_says(squares(10).split(fraction, 5), &[&fraction.to_string(), "between 0 and 1"]);
    }
}

#[test]
fn splitting_follows_the_permutation() {
    let order = permutation(10, 42);
    let (train, held_out) = squares(10).split(0.3, 42).unwrap();
    let dealt: Vec<u32> = first_features(&train)
        .into_iter()
        .chain(first_features(&held_out))
        .map(|row| row as u32)
        .collect();
    assert_eq!(dealt, order);
    assert_eq!(squares(10).split(0.3, 42).unwrap(), (train, held_out));
}

#[test]
fn splitting_at_a_row_keeps_the_order() {
    let (head, tail) = squares(5).split_at(2).unwrap();
    assert_eq!(first_features(&head), [0.0, 1.0]);
    assert_eq!(first_features(&tail), [2.0, 3.0, 4.0]);
    assert_eq!(tail.targets(), &Targets::Values { data: vec![4.0, 9.0, 16.0], width: 1 });
    assert!(matches!(
        squares(5).split_at(0),
        Err(DataError::EmptySide { training: 0, held_out: 5 })
    ));
    assert!(matches!(
        squares(5).split_at(5),
        Err(DataError::EmptySide { training: 5, held_out: 0 })
    ));
    assert_says(squares(5).split_at(6), &["row 6", "5 rows"]);
}

#[test]
fn standardizing_needs_the_same_width() {
    let standardizer = Standardizer::fit(&[1.0, 3.0], 1).unwrap();
    assert_says(squares(3).standardized(&standardizer), &["1 columns", "the dataset has 2"]);
    let standardizer = Standardizer::fit(squares(3).features(), 2).unwrap();
    let standardized = squares(3).standardized(&standardizer).unwrap();
    assert_eq!(standardized.row(1), Some([0.0, 0.0].as_slice()));
    assert_eq!(standardized.targets(), squares(3).targets());
}

/// The orders were computed by a second implementation, in Python, of xoshiro256++, its seeding by
/// SplitMix64, and the shuffle of Fisher and Yates. They must never change: runs are repeated by
/// their seed.
#[test]
fn orders_never_change() {
    assert_eq!(permutation(10, 0), [1, 4, 5, 8, 6, 7, 0, 2, 9, 3]);
    assert_eq!(permutation(10, 42), [5, 3, 1, 0, 9, 6, 4, 7, 2, 8]);
    assert_eq!(permutation(10, u64::MAX), [0, 4, 6, 5, 2, 9, 1, 7, 8, 3]);
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let long = permutation(70_000, 1);
    let hash = long.iter().flat_map(|row| row.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, fnv);
    assert_eq!(hash, 0x3b6d_935f_9d36_89c1);
}

#[test]
fn short_orders_are_orders() {
    assert!(permutation(0, 3).is_empty());
    assert_eq!(permutation(1, 3), [0]);
}

/// Each of the 6 orders of 3 rows should come up about 1000 times in 6000. The sum of squared
/// deviations over 1000 is chi-squared with 5 degrees of freedom, above 30 once in 70,000 times.
#[test]
fn every_order_is_equally_likely() {
    let mut counts = std::collections::HashMap::new();
    for seed in 0..6000 {
        *counts.entry(permutation(3, seed)).or_insert(0.0) += 1.0;
    }
    assert_eq!(counts.len(), 6);
    let chi_squared: f64 =
        counts.values().map(|count: &f64| (count - 1000.0).powi(2) / 1000.0).sum();
    assert!(chi_squared < 30.0, "{chi_squared}");
}

#[test]
fn weights_stay_with_their_rows() {
    let plain = squares(5);
    let weighted = plain.clone().with_weights(vec![0.0, 1.0, 2.0, 3.0, 4.5]).unwrap();
    assert_eq!((plain.weights(), weighted.rows()), (None, 5));
    assert_eq!(weighted.select(&[4, 0, 4]).unwrap().weights().unwrap(), [4.5, 0.0, 4.5]);
    let (before, after) = weighted.split_at(2).unwrap();
    assert_eq!(
        (before.weights().unwrap(), after.weights().unwrap()),
        (&[0.0, 1.0][..], &[2.0, 3.0, 4.5][..])
    );
    let standardizer = Standardizer::fit(plain.features(), 2).unwrap();
    assert_eq!(weighted.standardized(&standardizer).unwrap().weights(), weighted.weights());
    assert!(plain != weighted && plain.checksum() != weighted.checksum());
    let ones = plain.clone().with_weights(vec![1.0; 5]).unwrap();
    assert_ne!(weighted.checksum(), ones.checksum());
}

#[test]
fn weights_that_are_none_are_refused() {
    let data = squares(3);
    let with = |weights: &[f32]| data.clone().with_weights(weights.to_vec());
    assert_says(with(&[1.0, 2.0]), &["2 weights", "3 rows"]);
    assert_says(with(&[]), &["0 weights", "3 rows"]);
    assert_says(with(&[1.0, -0.5, 1.0]), &["row 1", "-0.5"]);
    assert_says(with(&[1.0, 1.0, f32::NAN]), &["row 2", "NaN"]);
    assert_says(with(&[f32::INFINITY, 1.0, 1.0]), &["row 0", "inf"]);
    assert_says(with(&[0.0, -0.0, 0.0]), &["all 3 rows", "at least one"]);
}

#[test]
fn classes_are_balanced_by_their_rows() {
    let labels = vec![0, 0, 0, 3, 1, 1];
    let data = Dataset::classification(vec![0.0; 6], 1, labels, 4).unwrap();
    // 6 rows, of three classes that have some.
    assert_eq!(data.balanced_class_weights().unwrap(), [2.0 / 3.0, 1.0, 1.0, 2.0]);
    assert_eq!(squares(3).balanced_class_weights(), None);
}
