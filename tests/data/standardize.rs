//! Standardizing columns and taking them back.

use wgrad::data::{DataError, Part, Source, Standardizer};

use super::assert_says;

#[test]
fn columns_get_mean_0_and_deviation_1() {
    let values =
        [2.0, 10.0, 4.0, 10.0, 4.0, 40.0, 4.0, 20.0, 5.0, 20.0, 5.0, 20.0, 7.0, 20.0, 9.0, 20.0];
    let standardizer = Standardizer::fit(&values, 2).unwrap();
    assert_eq!(standardizer.width(), 2);
    assert_eq!(standardizer.means(), [5.0, 20.0]);
    // (9 + 1 + 1 + 1 + 0 + 0 + 4 + 16) / 8 and (100 + 100 + 400) / 8.
    assert_eq!(standardizer.deviations(), [2.0, 75.0f64.sqrt()]);
    let mut standardized = values;
    standardizer.apply(&mut standardized).unwrap();
    assert_eq!(standardized[0], -1.5);
    assert_eq!(standardized[15], 0.0);
}

#[test]
fn constant_columns_become_0() {
    let mut values = [0.1; 1000];
    let standardizer = Standardizer::fit(&values, 1).unwrap();
    assert_eq!(standardizer.deviations(), [1.0]);
    standardizer.apply(&mut values).unwrap();
    assert_eq!(values, [0.0; 1000]);
    standardizer.invert(&mut values).unwrap();
    assert_eq!(values, [0.1; 1000]);

    assert_eq!(Standardizer::fit(&[0.0, -0.0], 1).unwrap().deviations(), [1.0]);
}

#[test]
fn columns_far_from_0_keep_their_digits() {
    // In f32, or as mean of squares less square of the mean, nothing would be left of these.
    let values: Vec<f32> = (0..4).map(|step| 16_000_000.0 + step as f32).collect();
    let standardizer = Standardizer::fit(&values, 1).unwrap();
    assert_eq!(standardizer.means(), [16_000_001.5]);
    assert_eq!(standardizer.deviations(), [1.25f64.sqrt()]);
}

#[test]
fn the_largest_and_smallest_numbers_can_be_fitted() {
    for size in [f32::MAX, f32::MIN_POSITIVE, 1e-45] {
        let mut values = [size, -size];
        Standardizer::fit(&values, 1).unwrap().apply(&mut values).unwrap();
        assert_eq!(values, [1.0, -1.0]);
    }
}

#[test]
fn rows_that_are_none_are_refused() {
    assert!(matches!(Standardizer::fit(&[], 1), Err(DataError::Empty { .. })));
    assert_says(Standardizer::fit(&[1.0], 0), &["values", "width of 0"]);
    assert_says(Standardizer::fit(&[1.0; 3], 2), &["3 values", "rows of 2"]);
    assert_says(Standardizer::fit(&[1.0, 2.0, 3.0, f32::NAN], 2), &["row 1, column 1", "NaN"]);
    let standardizer = Standardizer::fit(&[1.0; 2], 2).unwrap();
    assert_says(standardizer.apply(&mut [1.0; 3]), &["3 values", "rows of 2"]);
    assert_says(standardizer.invert(&mut [1.0; 3]), &["3 values", "rows of 2"]);
    assert!(standardizer.apply(&mut []).is_ok());
}

#[test]
fn an_error_changes_no_value() {
    let standardizer = Standardizer::from_parts(vec![0.0], vec![1e-30]).unwrap();
    let mut values = [1.0, 2.0, 1e10];
    match standardizer.apply(&mut values) {
        Err(DataError::NotFinite { part: Part::Values, row: 2, column: 0, value, .. }) => {
            assert_eq!(value, f32::INFINITY);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(values, [1.0, 2.0, 1e10]);

    let standardizer = Standardizer::from_parts(vec![0.0], vec![1e30]).unwrap();
    assert_says(standardizer.invert(&mut [1.0, -1e10]), &["row 1, column 0", "-inf"]);
    assert_says(standardizer.invert(&mut [f32::NAN]), &["row 0, column 0", "NaN"]);
}

#[test]
fn parts_make_the_same_standardizer_again() {
    let fitted = Standardizer::fit(&[1.0, 2.0, 4.0, 8.0], 2).unwrap();
    let again = Standardizer::from_parts(fitted.means().to_vec(), fitted.deviations().to_vec());
    assert_eq!(again.unwrap(), fitted);

    assert_says(Standardizer::from_parts(vec![1.0], vec![]), &["1 means", "0 deviations"]);
    assert!(matches!(Standardizer::from_parts(vec![], vec![]), Err(DataError::ZeroWidth { .. })));
    for (mean, deviation) in [(0.0, 0.0), (0.0, -1.0), (0.0, f64::NAN), (f64::INFINITY, 1.0)] {
        let result = Standardizer::from_parts(vec![0.0, mean], vec![1.0, deviation]);
        assert_says(result, &["column 1", &mean.to_string(), &deviation.to_string()]);
    }
}

/// Of a source the bits are those of its rows in memory, whatever the blocks; and it is read once.
#[test]
fn sources_are_fitted_as_rows_in_memory() {
    let rows: Vec<f32> =
        (0..900).map(|i| (i * 37 % 101) as f32 * 0.3 + [0.0, 1e5, 0.1][i % 3]).collect();
    let rows: Vec<f32> =
        rows.iter().enumerate().map(|(i, &x)| if i % 3 == 2 { 0.1 } else { x }).collect();
    let expected = Standardizer::fit(&rows, 3).unwrap();
    assert_eq!(expected.deviations()[2], 1.0);
    for of_block in [1, 7, 64, 300] {
        let passes = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (blocks, begun): (Vec<Vec<f32>>, _) =
            (rows.chunks(3 * of_block).map(<[f32]>::to_vec).collect(), passes.clone());
        let source = Source::of_blocks("own", 3, Some(300), move || {
            begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            blocks.clone().into_iter().map(Ok)
        });
        let source = source.unwrap().block_rows(of_block).unwrap();
        let found = Standardizer::fit_source(&source).unwrap();
        assert_eq!(found, expected);
        assert_eq!(passes.load(std::sync::atomic::Ordering::Relaxed), 1);
        // And seen through it, it is what the rows become.
        let mut standardized = rows.clone();
        expected.apply(&mut standardized).unwrap();
        let seen: Result<Vec<Vec<f32>>, DataError> =
            source.standardized(&found).unwrap().feature_batches(11).unwrap().collect();
        assert_eq!(seen.unwrap().concat(), standardized);
    }
    let wrong = || std::iter::once(Ok(vec![1.0, f32::NAN]));
    let source = Source::of_blocks("wrong", 2, Some(1), wrong).unwrap();
    assert_says(Standardizer::fit_source(&source), &["wrong", "row 0", "column 1", "NaN"]);
}
