//! Encoders of random tables.

use proptest::prelude::*;
use wgrad::data::{
    Encoder, EncoderOptions, Encoding, MissingValues, Table, Targets, UnknownCategories,
};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// What a field may hold, of each kind that a column may be of, and some of others.
fn field(kind: usize) -> BoxedStrategy<String> {
    let number = prop_oneof![
        any::<i16>().prop_map(|n| n.to_string()),
        (-1e6..1e6f64).prop_map(|n| n.to_string()),
        Just("1e300".to_owned()),
    ];
    let word = "[a-dA-D]{1,2}".boxed();
    let date =
        (1900..2100u32, 1..13u32, 1..29u32).prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}"));
    let missing = prop_oneof![Just(String::new()), Just("NA".to_owned())];
    match kind {
        0 => prop_oneof![9 => number, 1 => missing].boxed(),
        1 => prop_oneof![9 => word, 1 => missing].boxed(),
        2 => prop_oneof![9 => date, 1 => missing].boxed(),
        3 => Just("same".to_owned()).boxed(),
        _ => prop_oneof![number, word, date, missing, "\\PC{0,6}"].boxed(),
    }
}

/// A table with columns of these kinds; the last one is the target.
fn table(rows: std::ops::Range<usize>) -> impl Strategy<Value = Table> {
    let kinds = prop::collection::vec(0..5usize, 2..6);
    (kinds, rows).prop_flat_map(|(kinds, rows)| {
        let row = kinds.iter().map(|&kind| field(kind)).collect::<Vec<_>>();
        let names: Vec<String> = (0..kinds.len()).map(|n| format!("c{n}")).collect();
        prop::collection::vec(row, rows)
            .prop_map(move |rows| Table::new(names.clone(), rows).unwrap())
    })
}

fn options() -> impl Strategy<Value = EncoderOptions> {
    let missing = prop_oneof![
        Just(MissingValues::Impute),
        Just(MissingValues::DropRow),
        Just(MissingValues::Refuse),
    ];
    let unknown = prop_oneof![Just(UnknownCategories::Other), Just(UnknownCategories::Refuse)];
    (missing, unknown, 2..6usize, any::<bool>()).prop_map(
        |(missing, unknown, most_categories, standardize)| EncoderOptions {
            missing,
            unknown,
            most_categories,
            standardize,
            ..EncoderOptions::default()
        },
    )
}

/// Reverses the columns.
fn turned(table: &Table) -> Table {
    let columns: Vec<usize> = (0..table.names().len()).rev().collect();
    let names: Vec<String> = columns.iter().map(|&c| table.names()[c].clone()).collect();
    let rows = (0..table.rows())
        .map(|row| columns.iter().map(|&c| table.field(row, c).unwrap()).collect::<Vec<_>>());
    Table::new(names, rows).unwrap()
}

proptest! {
    #![proptest_config(config())]

    /// Whatever a table holds: an error or an encoder; and what that makes of the table it saw is
    /// finite, of its width, one-hot where it says so, and the same for columns in another order.
    #[test]
    fn what_was_fitted_is_encoded(table in table(1..40), options in options()) {
        let Ok(encoder) = Encoder::fit(&table, &options) else { return Ok(()) };
        let width = encoder.width();
        prop_assert!(width > 0);
        prop_assert_eq!(encoder.feature_names().len(), width);
        let encoded = match encoder.encode(&table) {
            Ok(encoded) => encoded,
            // 1e300 leaves the range of f32 where nothing is scaled, and rows without a target, which the
            // encoder was not fitted on, may hold what it refuses.
            Err(error) => {
                let said = error.to_string();
                prop_assert!(said.contains("finite") || said.contains("missing") || said.contains("unknown"), "{said}");
                return Ok(());
            }
        };
        prop_assert_eq!(encoded.features.len(), encoded.rows.len() * width);
        prop_assert!(encoded.features.iter().all(|feature| feature.is_finite()));
        prop_assert_eq!(encoded.rows.len() + encoded.report.dropped, table.rows());
        for (column, range) in encoder.column_features() {
            let Encoding::Category { .. } = column.encoding else { continue };
            for row in encoded.features.chunks(width) {
                let hot = &row[range.clone()];
                prop_assert!(hot.iter().all(|&x| x == 0.0 || x == 1.0));
                prop_assert!(hot.iter().sum::<f32>() <= 1.0);
            }
        }
        prop_assert_eq!(&encoder.encode(&turned(&table)).unwrap().features, &encoded.features);
        let data = match encoder.dataset(&table) {
            Ok((data, _)) => data,
            // A target of 1e300 leaves the range of f32, too.
            Err(error) => {
                prop_assert!(error.to_string().contains("finite"), "{error}");
                return Ok(());
            }
        };
        prop_assert_eq!(data.width(), width);
        prop_assert_eq!(&data.names().features, &encoder.feature_names());
        if let Targets::Classes { labels, .. } = data.targets() {
            prop_assert!(labels.iter().all(|&label| encoder.class_name(label).is_some()));
        }
    }

    /// Rows of another table have the width of those that the encoder was fitted on, or are refused;
    /// block by block they become what they become at once.
    #[test]
    fn other_rows_have_the_same_width(
        table in table(5..30),
        others in prop::collection::vec(prop::collection::vec(field(4), 5), 1..12),
        options in options(),
        block in 1..5usize,
    ) {
        let Ok(encoder) = Encoder::fit(&table, &options) else { return Ok(()) };
        let names: Vec<String> = (0..5).map(|n| format!("c{n}")).collect();
        let other = Table::new(names, &others).unwrap();
        let Ok(whole) = encoder.encode(&other) else { return Ok(()) };
        prop_assert_eq!(whole.features.len(), whole.rows.len() * encoder.width());
        let mut features = Vec::new();
        let rows: Vec<usize> = (0..other.rows()).collect();
        for rows in rows.chunks(block) {
            // A block of which every row is left out is an error by itself.
            if let Ok(encoded) = encoder.encode(&other.select(rows).unwrap()) {
                features.extend(encoded.features);
            }
        }
        prop_assert_eq!(features, whole.features);
    }

    /// Standardized columns have mean 0 and deviation 1, and targets come back.
    #[test]
    fn numbers_are_standardized(numbers in prop::collection::vec(-1e6..1e6f64, 2..50)) {
        let rows = numbers.iter().map(|n| [n.to_string(), (n * 0.5 + 1.0).to_string()]);
        let table = Table::new(["x", "y"], rows).unwrap();
        let Ok(encoder) = Encoder::fit(&table, &EncoderOptions::default()) else { return Ok(()) };
        let (data, _) = encoder.dataset(&table).unwrap();
        let count = numbers.len() as f64;
        let features = data.features().iter().map(|&x| f64::from(x));
        let mean = features.clone().sum::<f64>() / count;
        let square = features.map(|x| x * x).sum::<f64>() / count;
        prop_assert!(mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-4, "{mean} {square}");
        if let Targets::Values { data, .. } = data.targets() {
            let mut back = data.clone();
            encoder.decode_values(&mut back).unwrap();
            for (back, number) in back.iter().zip(&numbers) {
                prop_assert!((f64::from(*back) - (number * 0.5 + 1.0)).abs() < 0.5, "{back} {number}");
            }
        }
    }
}
