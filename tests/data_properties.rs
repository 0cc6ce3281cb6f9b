//! Datasets and their readers under random and damaged input.

use crate::support::memory::most_held;
use approx::abs_diff_eq;
use proptest::prelude::*;
use proptest::sample::Index;
use wgrad::data::{Dataset, Standardizer, Targets, permutation, read_idx, write_idx};

/// What any reader may hold besides what the input makes it hold: buffers, 8 KiB here and there,
/// the window of a decompressor, and the path or the text of an error.
const BUFFERS: usize = 256 << 10;

fn idx_bytes(dims: &[usize], data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_idx(&mut bytes, dims, data).unwrap();
    bytes
}

/// Extents and as many bytes as they need.
fn idx_array() -> impl Strategy<Value = (Vec<usize>, Vec<u8>)> {
    prop::collection::vec(0usize..6, 1..5).prop_flat_map(|dims| {
        let length = dims.iter().product::<usize>();
        (Just(dims), prop::collection::vec(any::<u8>(), length))
    })
}

/// Damage: bytes changed, put in, taken out, or the end cut off.
#[derive(Debug, Clone)]
enum Damage {
    Change(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Damage::Change(place, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Damage::Insert(place, byte)),
        any::<Index>().prop_map(Damage::Remove),
        any::<Index>().prop_map(Damage::Cut),
    ];
    prop::collection::vec(one, 1..4)
}

fn damaged(mut bytes: Vec<u8>, damage: &[Damage]) -> Vec<u8> {
    for damage in damage {
        if bytes.is_empty() {
            break;
        }
        match damage {
            Damage::Change(place, byte) => *place.get_mut(&mut bytes) = *byte,
            Damage::Insert(place, byte) => bytes.insert(place.index(bytes.len()), *byte),
            Damage::Remove(place) => drop(bytes.remove(place.index(bytes.len()))),
            Damage::Cut(place) => bytes.truncate(place.index(bytes.len())),
        }
    }
    bytes
}

/// Reads whatever it is; an array that comes out must be one.
fn check_idx(bytes: &[u8]) {
    let ((), most) = most_held(|| {
        if let Ok(array) = read_idx(bytes) {
            let empty = array.dims().contains(&0);
            let length = if empty { 0 } else { array.dims().iter().product::<usize>() };
            assert_eq!(length, array.data().len());
            assert!(!array.dims().is_empty());
        }
    });
    // A growing vector holds its old and its new room for a moment: one and two times the bytes.
    assert!(most <= 4 * bytes.len() + BUFFERS, "{most} bytes held for {}", bytes.len());
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn idx_is_read_as_written((dims, data) in idx_array()) {
        let array = read_idx(idx_bytes(&dims, &data).as_slice()).unwrap();
        prop_assert_eq!(array.into_parts(), (dims, data));
    }

    #[test]
    fn random_bytes_are_read_or_refused_as_idx(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        check_idx(&bytes);
    }

    #[test]
    fn random_bytes_after_a_good_start_are_read_or_refused(
        rank in any::<u8>(),
        bytes in prop::collection::vec(any::<u8>(), 0..1200),
    ) {
        check_idx(&[[0, 0, 8, rank].as_slice(), &bytes].concat());
        check_idx(&[[0x1f, 0x8b, 8, rank].as_slice(), &bytes].concat());
    }

    #[test]
    fn damaged_idx_is_read_or_refused((dims, data) in idx_array(), damage in damage()) {
        check_idx(&damaged(idx_bytes(&dims, &data), &damage));
    }

    #[test]
    fn headers_cannot_order_memory(extents in prop::collection::vec(any::<u32>(), 1..6)) {
        let mut bytes = vec![0, 0, 8, extents.len() as u8];
        bytes.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
        check_idx(&bytes);
    }

    #[test]
    fn whatever_becomes_a_dataset_is_sound(
        features in prop::collection::vec(prop::num::f32::ANY, 0..40),
        width in 0usize..8,
        targets in prop::collection::vec(prop::num::f32::ANY, 0..20),
        target_width in 0usize..4,
        labels in prop::collection::vec(0u32..12, 0..20),
        classes in 0usize..12,
    ) {
        let made = [
            Dataset::regression(features.clone(), width, targets, target_width),
            Dataset::classification(features, width, labels, classes),
        ];
        for dataset in made.into_iter().flatten() {
            prop_assert!(dataset.rows() > 0);
            prop_assert_eq!(dataset.features().len(), dataset.rows() * dataset.width());
            prop_assert!(dataset.features().iter().all(|value| value.is_finite()));
            match dataset.targets() {
                Targets::Values { data, width } => {
                    prop_assert_eq!(data.len(), dataset.rows() * width);
                    prop_assert!(data.iter().all(|value| value.is_finite()));
                }
                Targets::Classes { labels, classes } => {
                    prop_assert_eq!(labels.len(), dataset.rows());
                    prop_assert!(labels.iter().all(|&label| (label as usize) < *classes));
                }
            }
        }
    }

    #[test]
    fn permutations_hold_every_row_once(rows in 0usize..500, seed in any::<u64>()) {
        let mut order = permutation(rows, seed);
        order.sort_unstable();
        prop_assert!(order.into_iter().map(|row| row as usize).eq(0..rows));
    }

    #[test]
    fn splits_are_partitions(rows in 1usize..200, fraction in 0.0f64..=1.0, seed in any::<u64>()) {
        let numbers: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        let labels: Vec<u32> = (0..rows as u32).collect();
        let dataset = Dataset::classification(numbers.clone(), 1, labels, rows).unwrap();
        let expected = (rows as f64 * fraction).round() as usize;
        match dataset.split(fraction, seed) {
            Ok((train, held_out)) => {
                prop_assert_eq!(held_out.rows(), expected);
                let mut dealt = [train.features(), held_out.features()].concat();
                dealt.sort_unstable_by(f32::total_cmp);
                prop_assert_eq!(dealt, numbers);
                // Every row still has its own target.
                for side in [train, held_out] {
                    let Targets::Classes { labels, .. } = side.targets() else { panic!("no classes") };
                    prop_assert!(labels.iter().zip(side.features()).all(|(&label, &row)| label as f32 == row));
                }
            }
            Err(_) => prop_assert!(expected == 0 || expected == rows),
        }
    }

    #[test]
    fn standardizing_can_be_undone(
        width in 1usize..5,
        mut values in prop_oneof![
            prop::collection::vec(-1e6f32..1e6, 4..80),
            prop::collection::vec(2000f32..2030.0, 4..80),
            prop::collection::vec(any_size(), 4..80),
        ],
    ) {
        values.truncate(values.len() / width * width);
        let standardizer = Standardizer::fit(&values, width).unwrap();
        let mut back = values.clone();
        standardizer.apply(&mut back).unwrap();
        standardizer.invert(&mut back).unwrap();
        for (index, (&value, &back)) in values.iter().zip(&back).enumerate() {
            let mean = standardizer.means()[index % width];
            let deviation = standardizer.deviations()[index % width];
            let (value, back) = (f64::from(value), f64::from(back));
            // Rounding the standardized value to f32 moves it by 2⁻²⁴ of itself, hence the value by
            // 2⁻²⁴ of its distance from the mean; rounding the result moves it by 2⁻²⁴ of itself.
            // The product of the two, and the roundings of f64, are less than a thousandth of that.
            // Below the normal numbers, each of the two roundings moves its number by up to 2⁻¹⁵⁰.
            let tolerance = f64::exp2(-24.0) * ((value - mean).abs() + value.abs()) * 1.001
                + f64::exp2(-150.0) * (deviation + 1.0);
            prop_assert!(abs_diff_eq!(back, value, epsilon = tolerance), "{value} came back as {back}");
        }
    }
}

/// Numbers of any size, but so far below the largest that rounding cannot lead beyond it.
fn any_size() -> impl Strategy<Value = f32> {
    use prop::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    (POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO)
        .prop_filter("huge", |value| value.abs() < 1e38)
}

#[cfg(all(feature = "csv", feature = "gzip"))]
mod gzip {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use wgrad::data::{CsvError, CsvOptions, DataError, DataOptions, read_csv, read_idx_with};

    use super::{BUFFERS, config, damage, damaged};
    use crate::support::memory::most_held;

    const MOST: u64 = 1 << 20;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bounds() -> DataOptions {
        DataOptions { max_unpacked_bytes: MOST, ..DataOptions::default() }
    }

    /// Reads it as CSV and as IDX; the memory is bounded by what may be unpacked, not by what could be.
    fn check(bytes: &[u8], times: usize) -> [Option<DataError>; 2] {
        let options = CsvOptions { bounds: bounds(), ..CsvOptions::default() };
        let mut errors = [None, None];
        let ((), most) = most_held(|| {
            errors = [read_csv(bytes, &options).err(), read_idx_with(bytes, &bounds()).err()];
        });
        assert!(most <= times * MOST as usize + BUFFERS, "{most} bytes held");
        errors
    }

    #[test]
    fn bombs_are_refused_in_bounded_memory() {
        let size = 8 << 20;
        let header = [0, 0, 8, 2, 0, 0, 4, 0, 0, 1, 0, 0];
        // An array of zeros; a table of one endless line, of one endless field, of endless rows.
        let bombs: [Vec<u8>; 5] = [
            [header.as_slice(), &vec![0; size]].concat(),
            b",".repeat(size),
            b"x".repeat(size),
            [b"a,y\n".as_slice(), &b"1,2\n".repeat(size / 4)].concat(),
            [b"a,y\n\"".as_slice(), &b"\n".repeat(size)].concat(),
        ];
        for bomb in bombs {
            let bytes = packed(&bomb);
            assert!(bytes.len() < size / 100);
            // The table takes two and a half times its text, and twice that while it grows.
            let [csv, _] = check(&bytes, 12);
            let csv = csv.expect("too much");
            let bounded = matches!(
                csv,
                DataError::TooManyBytes { most: MOST, .. }
                    | DataError::Csv(CsvError::TooManyColumns { .. })
            );
            assert!(bounded, "{csv}");
        }
        let array = [header.as_slice(), &vec![0; size]].concat();
        let [_, idx] = check(&packed(&array), 12);
        assert!(matches!(idx, Some(DataError::TooManyBytes { most: MOST, .. })), "{idx:?}");
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn damaged_gzip_is_read_or_refused(
            text in "[a-b0-9.,\"\n ]{0,2000}",
            damage in damage(),
        ) {
            check(&damaged(packed(text.as_bytes()), &damage), 12);
        }
    }
}

#[cfg(feature = "csv")]
mod csv {
    use proptest::prelude::*;
    use wgrad::data::{CsvOptions, Missing, read_csv};

    use super::{BUFFERS, config, damage, damaged};
    use crate::support::memory::most_held;

    fn check(bytes: &[u8], missing: Missing) {
        let options = CsvOptions { missing, ..CsvOptions::default() };
        let ((), most) = most_held(|| {
            if let Ok(table) = read_csv(bytes, &options) {
                assert_eq!(table.dataset.width(), table.feature_names.len());
                assert!(table.dataset.features().iter().all(|value| value.is_finite()));
            }
        });
        // A field of one letter and its delimiter can become 64 features of 4 bytes: 128 for one.
        // A header of empty names takes some 200 bytes a column, for 1 of the input.
        assert!(most <= 256 * bytes.len() + BUFFERS, "{most} bytes held for {}", bytes.len());
    }

    fn missing() -> impl Strategy<Value = Missing> {
        prop_oneof![Just(Missing::Error), Just(Missing::DropRow)]
    }

    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => any::<i16>().prop_map(|number| number.to_string()),
            4 => prop::num::f32::NORMAL.prop_map(|number| number.to_string()),
            2 => "[a-c]".prop_map(|letter| letter.to_string()),
            1 => prop::sample::select(vec![
                "", "NA", "NaN", "?", "inf", "1e99", "\"", "\"a,b\"", "é", "\"1,234\"", "5%", " ", "null",
            ])
                .prop_map(str::to_owned),
        ]
    }

    fn table() -> impl Strategy<Value = String> {
        (1usize..6, 0usize..12).prop_flat_map(|(columns, rows)| {
            let row = prop::collection::vec(field(), columns);
            prop::collection::vec(row, rows).prop_map(move |rows| {
                let header = (0..columns).map(|column| format!("c{column}")).collect::<Vec<_>>();
                let lines = std::iter::once(header).chain(rows).map(|row| row.join(","));
                lines.collect::<Vec<_>>().join("\n")
            })
        })
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn random_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            missing in missing(),
        ) {
            check(&bytes, missing);
        }

        #[test]
        fn random_text_of_csv_letters_is_read_or_refused(
            text in "[a-b0-9.,\"?\r\n \u{feff}-]{0,400}",
            missing in missing(),
        ) {
            check(text.as_bytes(), missing);
        }

        #[test]
        fn tables_damaged_or_not_are_read_or_refused(
            text in table(),
            damage in damage(),
            missing in missing(),
        ) {
            check(text.as_bytes(), missing);
            check(&damaged(text.into_bytes(), &damage), missing);
        }

        #[test]
        fn numbers_are_read_as_they_are_written(
            rows in prop::collection::vec([prop::num::f32::NORMAL, prop::num::f32::NORMAL], 1..20),
        ) {
            let lines = rows.iter().map(|[a, y]| format!("{a},{y}\n"));
            let text: String = std::iter::once("a,y\n".to_owned()).chain(lines).collect();
            let table = read_csv(text.as_bytes(), &CsvOptions::default()).unwrap();
            let features: Vec<f32> = rows.iter().map(|[a, _]| *a).collect();
            prop_assert_eq!(table.dataset.features(), features);
        }
    }

    #[test]
    fn wide_headers_take_memory_in_proportion() {
        check(",".repeat(100_000).as_bytes(), Missing::Error);
        let names: String = (0..50_000).map(|column| format!("{column:x},")).collect();
        check(format!("{names}y\n").as_bytes(), Missing::Error);
    }

    #[test]
    fn tables_of_categories_take_memory_in_proportion() {
        let letters = || ('0'..='9').chain('a'..='z').chain('A'..='Z').chain(['-', '_']);
        let header = (0..200).map(|column| format!("c{column},")).collect::<String>() + "y\n";
        let row = |letter: char| format!("{letter},").repeat(200) + "1\n";
        let text = header + &letters().map(row).collect::<String>().repeat(4);
        check(text.as_bytes(), Missing::Error);
    }
}
