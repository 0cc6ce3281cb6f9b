//! Encoders: what they make of columns, and what they refuse.

use super::assert_says;
use wgrad::data::{
    ColumnType, DataError, Encoder, EncoderOptions, Encoding, LeftOutReason, MissingValues, Names,
    Table, TableError, TargetEncoding, TargetType, Targets, UnknownCategories,
};

/// A table of a header and lines, whose fields a `|` delimits.
fn table(lines: &[&str]) -> Table {
    let mut lines = lines.iter().map(|line| line.split('|'));
    Table::new(lines.next().unwrap(), lines).unwrap()
}

fn fit(table: &Table) -> Encoder {
    Encoder::fit(table, &EncoderOptions::default()).unwrap()
}

fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

/// An error of `Table`s with the name of its variant.
fn assert_table_error<T: std::fmt::Debug>(result: Result<T, DataError>, kind: &str) {
    match result {
        Err(DataError::Table(error)) => {
            assert!(format!("{error:?}").starts_with(kind), "{error:?}")
        }
        other => panic!("{kind} expected, not {other:?}"),
    }
}

#[test]
fn columns_are_taken_for_what_they_hold() {
    let table = table(&[
        "mass|sex|when|same|empty|y",
        "1|f|2024-01-01|7||1.5",
        "3|m|2024-01-02|7||2.5",
        "5|f|2024-01-03|7||0.5",
    ]);
    let encoder = fit(&table);
    let types: Vec<_> =
        encoder.columns().iter().map(|c| (c.name.as_str(), c.encoding.column_type())).collect();
    let expected =
        [("mass", ColumnType::Number), ("sex", ColumnType::Category), ("when", ColumnType::Date)];
    assert_eq!(types, expected);
    let names = [
        "mass",
        "sex=f",
        "sex=m",
        "when (days)",
        "when (year, sin)",
        "when (year, cos)",
        "when (week, sin)",
        "when (week, cos)",
    ];
    assert_eq!(encoder.feature_names(), names);
    assert_eq!(encoder.width(), 8);
    let left_out: Vec<_> = encoder.left_out().iter().map(|c| (&*c.name, &c.reason)).collect();
    let constant = |value: &str| LeftOutReason::Constant(value.into());
    assert_eq!(left_out, [("same", &constant("7")), ("empty", &constant(""))]);

    let (data, report) = encoder.dataset(&table).unwrap();
    assert_eq!((report.rows, report.columns.len(), report.unused.len()), (3, 0, 0));
    let deviation = (8.0f64 / 3.0).sqrt();
    let row = data.row(0).unwrap();
    assert_close(&row[..4], &[-2.0 / deviation, 1.0, 0.0, -(1.5f64.sqrt())]);
    // 2024-01-01 is day 19723.
    let year = 19723.0 / 365.2425 * std::f64::consts::TAU;
    let week = 19723.0 / 7.0 * std::f64::consts::TAU;
    assert_close(&row[4..], &[year.sin(), year.cos(), week.sin(), week.cos()]);
    let Targets::Values { data: targets, width: 1 } = data.targets() else { panic!() };
    assert_close(targets, &[0.0, 1.5f64.sqrt(), -(1.5f64.sqrt())]);
    let mut back = targets.clone();
    encoder.decode_values(&mut back).unwrap();
    assert_close(&back, &[1.5, 2.5, 0.5]);
}

#[test]
fn types_can_be_set() {
    let lines = ["zip|age|y", "1|10|a", "1.0|20|b", "2|30|a"];
    let options = EncoderOptions {
        types: vec![("zip".into(), ColumnType::Category)],
        standardize: false,
        ..EncoderOptions::default()
    };
    let encoder = Encoder::fit(&table(&lines), &options).unwrap();
    assert_eq!(encoder.feature_names(), ["zip=1", "zip=1.0", "zip=2", "age"]);
    assert_eq!(encoder.encode(&table(&lines)).unwrap().features[..4], [1.0, 0.0, 0.0, 10.0]);
    // What is no such thing is said with its place.
    for (column_type, parts) in [
        (ColumnType::Number, ["row 1 (from 0)", "\"word\"", "\"twenty\""]),
        (ColumnType::Date, ["row 0 (from 0)", "\"word\"", "\"ten\""]),
    ] {
        let table = table(&["word|x|y", "ten|1|a", "twenty|2|b", "3|4|a"]);
        let types = vec![("word".into(), column_type)];
        let options = EncoderOptions { types, ..EncoderOptions::default() };
        let result = Encoder::fit(&table, &options);
        let parts = if column_type == ColumnType::Number { &parts[1..2] } else { &parts[..] };
        assert_says(result, parts);
    }
}

#[test]
fn missing_numbers_become_the_median_and_are_shown() {
    let table = table(&["x|y", "1|0.5", "NA|1.5", "2|2.5", "9|0.1", "4|0.2"]);
    let options = EncoderOptions { standardize: false, ..EncoderOptions::default() };
    let encoder = Encoder::fit(&table, &options).unwrap();
    assert_eq!(encoder.feature_names(), ["x", "x (missing)"]);
    let encoded = encoder.encode(&table).unwrap();
    assert_eq!(encoded.features[..4], [1.0, 0.0, 3.0, 1.0]);
    assert_eq!(encoded.report.columns[0].missing, 1);
    // A column that had no missing values has no feature for them: the width stays.
    let whole = Encoder::fit(&table.select(&[0, 2, 3]).unwrap(), &options).unwrap();
    let encoded = whole.encode(&table).unwrap();
    assert_eq!(encoded.features, [1.0, 2.0, 2.0, 9.0, 4.0]);
    assert!(encoded.report.to_string().contains("\"x\" is missing in 1 row"));
}

#[test]
fn missing_categories_are_one_of_their_own() {
    let lines = ["x|y", "a|1.5", "?|2.5", "b|3.5", "a|0.5"];
    let encoder = fit(&table(&lines));
    assert_eq!(encoder.feature_names(), ["x=a", "x=b", "x (missing)"]);
    let features = encoder.encode(&table(&lines)).unwrap().features;
    assert_eq!(features[..6], [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    // Without one in fitting, a missing value is no category at all.
    let whole = fit(&table(&["x|y", "a|1.5", "b|3.5", "a|0.5"]));
    let encoded = whole.encode(&table(&lines)).unwrap();
    assert_eq!(encoded.features, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    assert_eq!(encoded.report.columns[0].missing, 1);
}

#[test]
fn rows_with_missing_values_are_dropped_or_refused() {
    let table = table(&["a|b|y", "1|5|0.1", "|6|0.2", "3||0.3", "4|8|", "5|9|0.5"]);
    let options = EncoderOptions {
        missing_in: vec![("a".into(), MissingValues::DropRow)],
        standardize: false,
        standardize_targets: false,
        ..EncoderOptions::default()
    };
    let encoder = Encoder::fit(&table, &options).unwrap();
    assert_eq!(encoder.feature_names(), ["a", "b", "b (missing)"]);
    let encoded = encoder.encode(&table).unwrap();
    assert_eq!((&encoded.rows[..], encoded.report.dropped), (&[0, 2, 3, 4][..], 1));
    // A row without a target teaches nothing.
    let (data, report) = encoder.dataset(&table).unwrap();
    assert_eq!((data.rows(), report.dropped), (3, 2));
    assert_eq!(data.targets(), &Targets::Values { data: vec![0.1, 0.3, 0.5], width: 1 });
    assert!(report.to_string().contains("2 rows left out"));

    let refuse = |missing| EncoderOptions { missing, ..EncoderOptions::default() };
    let result = Encoder::fit(&table, &refuse(MissingValues::Refuse));
    assert_says(result, &["row 1 (from 0)", "\"a\"", "missing value \"\"", "impute"]);
    let none = table.select(&[1, 2]).unwrap();
    assert_says(Encoder::fit(&none, &refuse(MissingValues::DropRow)), &["all 2 rows"]);
}

#[test]
fn many_categories_share_other() {
    let mut lines = vec!["c|y".to_owned()];
    for (category, count) in [("a", 4), ("b", 3), ("c", 2), ("d", 2), ("e", 1)] {
        lines.extend((0..count).map(|n| format!("{category}|{n}.5")));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let options = EncoderOptions { most_categories: 3, ..EncoderOptions::default() };
    let encoder = Encoder::fit(&table(&lines), &options).unwrap();
    assert_eq!(encoder.feature_names(), ["c=a", "c=b", "c (other)"]);
    let rows = table(&["c", "b", "e", "new"]);
    let encoded = encoder.encode(&rows).unwrap();
    assert_eq!(encoded.features, [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(encoded.report.columns[0].unknown, 2);
    let one = EncoderOptions { most_categories: 1, ..EncoderOptions::default() };
    assert_table_error(Encoder::fit(&table(&lines), &one), "CategoryLimit");
}

#[test]
fn unknown_categories_are_counted_or_refused() {
    let lines = ["c|y", "a|0.5", "b|1.5", "a|2.5"];
    let rows = table(&["c", "a", "x", "z"]);
    let encoded = fit(&table(&lines)).encode(&rows).unwrap();
    assert_eq!(encoded.features, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let said = encoded.report.to_string();
    assert!(said.contains("2 rows") && said.contains("\"x\", row 1"), "{said}");
    let options =
        EncoderOptions { unknown: UnknownCategories::Refuse, ..EncoderOptions::default() };
    let encoder = Encoder::fit(&table(&lines), &options).unwrap();
    assert_says(encoder.encode(&rows), &["row 1 (from 0)", "\"c\"", "\"x\"", "\"a\", \"b\""]);
}

#[test]
fn reports_of_blocks_add_up() {
    let lines = table(&["x|c|y", "1|a|0.5", "2|b|1.5", "|a|2.5"]);
    let options = EncoderOptions {
        missing_in: vec![("x".into(), MissingValues::DropRow)],
        ..EncoderOptions::default()
    };
    let encoder = Encoder::fit(&lines, &options).unwrap();
    let rows = table(&["x|c", "1|z", "|b", "2|", "3|w", "4|a", "|a"]);
    let whole = encoder.encode(&rows).unwrap().report;
    let mut sum = Default::default();
    for block in [&[0, 1, 2][..], &[3, 4, 5]] {
        wgrad::data::EncodingReport::add(
            &mut sum,
            encoder.encode(&rows.select(block).unwrap()).unwrap().report,
        );
    }
    assert_eq!(sum, whole);
    assert_eq!((whole.rows, whole.dropped), (4, 2));
    assert_eq!((whole.columns[0].missing, whole.columns[0].unknown), (1, 2));
}

#[test]
fn columns_are_found_by_name_and_a_missing_one_is_said() {
    let lines = ["a|b|y", "1|u|2.5", "2|v|3.5", "3|u|0.5"];
    let encoder = fit(&table(&lines));
    let straight = encoder.encode(&table(&lines)).unwrap();
    let turned = table(&["extra|b|a", "?|u|1", "?|v|2", "?|u|3"]);
    let encoded = encoder.encode(&turned).unwrap();
    assert_eq!(straight.features, encoded.features);
    assert_eq!(encoded.report.unused, ["extra"]);
    let lacks = table(&["b|y", "u|1"]);
    assert_says(encoder.encode(&lacks), &["lacks", "(\"a\")", "it has \"b\", \"y\""]);
    assert_says(encoder.dataset(&turned), &["lacks", "(\"y\")"]);
    // One that held a single value is not needed.
    let encoder = fit(&table(&["a|same|y", "1|k|2.5", "2|k|3.5"]));
    assert_eq!(encoder.encode(&table(&["a", "7"])).unwrap().report.unused.len(), 0);
}

#[test]
fn classes_have_names() {
    let lines = ["x|y", "1|Gentoo", "2|Adelie", "3|Gentoo", "4|Chinstrap"];
    let encoder = fit(&table(&lines));
    assert_eq!(encoder.class_names(), ["Adelie", "Chinstrap", "Gentoo"]);
    let (data, _) = encoder.dataset(&table(&lines)).unwrap();
    assert_eq!(data.targets(), &Targets::Classes { labels: vec![2, 0, 2, 1], classes: 3 });
    assert_eq!(encoder.targets().outputs(), 3);
    assert_eq!((encoder.class_name(1), encoder.class_name(3)), (Some("Chinstrap"), None));
    let unknown = table(&["x|y", "1|Gentoo", "2|Emperor"]);
    assert_says(encoder.dataset(&unknown), &["row 1", "\"y\"", "\"Emperor\"", "\"Adelie\""]);
    // Parts of the data know the names, too.
    let names = Names {
        features: vec!["x".into()],
        targets: vec!["y".into()],
        classes: encoder.class_names().to_vec(),
    };
    let (train, held_out) = data.split(0.5, 0).unwrap();
    assert_eq!((train.names(), held_out.names()), (&names, &names));
}

#[test]
fn numbers_are_classes_if_they_are_few_and_whole() {
    let lines = |value: fn(usize) -> String| {
        let rows = (0..40).map(|n| format!("{}|{}", n * n, value(n)));
        let lines: Vec<String> = ["x|y".to_owned()].into_iter().chain(rows).collect();
        table(&lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let zero_one = lines(|n| (n % 2).to_string());
    assert_eq!(fit(&zero_one).class_names(), ["0", "1"]);
    // 2 before 10, and 10.0 is 10.
    let mixed = lines(|n| ["2", "10", "10.0"][n % 3].into());
    let encoder = fit(&mixed);
    assert_eq!(encoder.class_names(), ["2", "10"]);
    let (data, _) = encoder.dataset(&mixed).unwrap();
    let Targets::Classes { labels, .. } = data.targets() else { panic!() };
    assert_eq!(labels[..4], [0, 1, 1, 0]);
    for numbers in [lines(|n| n.to_string()), lines(|n| format!("{}.5", n % 2))] {
        let TargetEncoding::Values { columns, .. } = fit(&numbers).targets().clone() else {
            panic!()
        };
        assert_eq!(columns, ["y"]);
    }
    let as_values =
        EncoderOptions { target_type: Some(TargetType::Values), ..EncoderOptions::default() };
    assert!(Encoder::fit(&zero_one, &as_values).unwrap().class_names().is_empty());
}

#[test]
fn several_targets_are_numbers() {
    let options = EncoderOptions { targets: vec!["b".into(), "a".into()], ..Default::default() };
    let table_of = |lines: &[&str]| table(lines);
    let table = table_of(&["a|b|x", "1|10|5", "2|30|6", "3|20|9"]);
    let encoder = Encoder::fit(&table, &options).unwrap();
    let (data, _) = encoder.dataset(&table).unwrap();
    let Targets::Values { data: mut values, width: 2 } = data.targets().clone() else { panic!() };
    encoder.decode_values(&mut values).unwrap();
    assert_close(&values, &[10.0, 1.0, 30.0, 2.0, 20.0, 3.0]);
    assert_says(encoder.decode_values(&mut values[..3]), &["3 predictions", "2 targets"]);
    let words = table_of(&["a|b|x", "u|10|5", "v|30|6", "u|20|9"]);
    assert_table_error(Encoder::fit(&words, &options), "SeveralClasses");
}

#[test]
fn without_targets_all_columns_are_features() {
    let options = EncoderOptions { target_type: Some(TargetType::None), ..Default::default() };
    let table = table(&["a|b", "1|10", "2|30", "3|20"]);
    let encoder = Encoder::fit(&table, &options).unwrap();
    assert_eq!(encoder.feature_names(), ["a", "b"]);
    assert_eq!(encoder.targets().outputs(), 0);
    assert_eq!(encoder.encode(&table).unwrap().rows, [0, 1, 2]);
    assert_table_error(encoder.dataset(&table), "NoTargets");
    let both = EncoderOptions { targets: vec!["b".into()], ..options.clone() };
    assert_table_error(Encoder::fit(&table, &both), "TargetsOfNone");
    let one = EncoderOptions { exclude: vec!["a".into(), "b".into()], ..options };
    assert_says(Encoder::fit(&table, &one), &["tell rows apart by"]);
}

#[test]
fn text_is_refused_with_advice() {
    let mut lines = vec!["name|note|x|y".to_owned()];
    lines.extend((0..20).map(|n| format!("Name {n}|Note {}|{n}|{n}.5", n + 1)));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let result = Encoder::fit(&table(&lines), &EncoderOptions::default());
    assert_says(
        result,
        &["\"name\", \"note\"", "hold text", "20 different", "\"Name 0\"", "exclude"],
    );
    let exclude = vec!["name".into(), "note".into()];
    let options = EncoderOptions { exclude, ..EncoderOptions::default() };
    assert_eq!(Encoder::fit(&table(&lines), &options).unwrap().feature_names(), ["x"]);
    // Numbers but for a few words: what they may stand for.
    let mut lines = vec!["x|y".to_owned()];
    lines
        .extend((0..40).map(|n| {
            format!("{}|{n}.5", if n % 9 == 8 { "broken".into() } else { n.to_string() })
        }));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let result = Encoder::fit(&table(&lines), &EncoderOptions::default());
    assert_says(result, &["36 of its 40 values are numbers", "\"broken\"", "missing words"]);
}

#[test]
fn what_cannot_be_fitted_is_said() {
    let fit_table = |lines: &[&str], options: EncoderOptions| Encoder::fit(&table(lines), &options);
    let default = EncoderOptions::default;
    let odd = ["x|y", "1|0.5", "1,234|1.5", "2|2.5"];
    assert_says(fit_table(&odd, default()), &["row 1", "\"1,234\"", "a comma"]);
    let infinite = ["x|y", "1|0.5", "inf|1.5", "2|2.5"];
    assert_table_error(fit_table(&infinite, default()), "NotFinite");
    assert_table_error(fit_table(&["x|y", "1|2", "2|2"], default()), "ConstantTarget");
    assert_table_error(fit_table(&["x|y", "1|2", "1|3"], default()), "NoFeatures");
    assert_table_error(fit_table(&["y", "1", "3"], default()), "NoFeatures");
    let lines = ["x|z|y", "1|2|0.5", "2|5|1.5"];
    let with = |change: fn(&mut EncoderOptions)| {
        let mut options = EncoderOptions::default();
        change(&mut options);
        fit_table(&lines, options)
    };
    assert_says(with(|o| o.targets.push("w".into())), &["\"w\"", "\"x\", \"z\", \"y\""]);
    assert_table_error(with(|o| o.exclude = vec!["x".into(), "x".into()]), "ColumnTwice");
    let twice = with(|o| (o.targets, o.features) = (vec!["x".into()], vec!["x".into()]));
    assert_says(twice, &["\"x\"", "a target", "a feature"]);
    assert_table_error(with(|o| o.types = vec![("y".into(), ColumnType::Number)]), "ColumnTwice");
    assert_table_error(
        with(|o| o.missing_in = vec![("?".into(), MissingValues::Refuse)]),
        "UnknownColumn",
    );
    let empty = Table::new(["x", "y"], Vec::<[&str; 2]>::new()).unwrap();
    assert!(matches!(Encoder::fit(&empty, &default()), Err(DataError::Empty { .. })));
    let mut texts = vec!["x|y".to_owned()];
    texts.extend((0..30).map(|n| format!("{n}|title {n}")));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_table_error(fit_table(&texts, default()), "TextTarget");
}

#[test]
fn what_cannot_be_encoded_is_said() {
    let encoder =
        fit(&table(&["x|d|y", "1|2024-01-01|0.5", "2|2024-01-02|1.5", "3|2024-01-05|2.5"]));
    let encode = |row: &str| encoder.encode(&table(&["x|d", "1|2024-01-01", row]));
    assert_says(encode("word|2024-01-01"), &["row 1", "\"x\"", "\"word\"", "number"]);
    assert_says(encode("5|soon"), &["row 1", "\"d\"", "\"soon\"", "date"]);
    assert_table_error(encode("1 %|2024-01-01"), "OddNumber");
    assert_table_error(encode("1e300|2024-01-01"), "NotFinite");
    assert_table_error(encode("inf|2024-01-01"), "NotFinite");
    let empty = Table::new(["x", "d"], Vec::<[&str; 2]>::new()).unwrap();
    assert!(matches!(encoder.encode(&empty), Err(DataError::Empty { .. })));
}

#[test]
fn numbers_far_from_zero_keep_their_digits() {
    // Seconds since 1970 in f32 would all be one number.
    let lines = ["t|y", "1700000000|0.5", "1700000010|1.5", "1700000020|2.5"];
    let features = fit(&table(&lines)).encode(&table(&lines)).unwrap().features;
    assert_close(&features, &[-(1.5f64.sqrt()), 0.0, 1.5f64.sqrt()]);
    // Squares of these would be infinite.
    let lines = ["t|y", "-1e300|0.5", "0|1.5", "1e300|2.5"];
    let features = fit(&table(&lines)).encode(&table(&lines)).unwrap().features;
    assert_close(&features, &[-(1.5f64.sqrt()), 0.0, 1.5f64.sqrt()]);
    // One value, however it is rounded, has no deviation to be scaled by.
    let lines = ["t|u|y", "0.1|1|0.5", "0.1|2|1.5", "0.10|3|2.5"];
    let encoder = fit(&table(&lines));
    let Encoding::Number(scaling) = &encoder.columns()[0].encoding else { panic!() };
    assert_eq!((scaling.deviation, scaling.mean), (1.0, 0.1));
}

#[test]
fn numbers_beyond_all_that_was_seen_are_clamped_if_asked_for() {
    let lines = table(&["x|y", "1|0.5", "2|1.5", "4|2.5"]);
    let rows = table(&["x", "-3", "3", "40", "NA"]);
    let encode = |clamp| {
        let options = EncoderOptions { clamp, standardize: false, ..Default::default() };
        Encoder::fit(&lines, &options).unwrap().encode(&rows).unwrap()
    };
    assert_eq!(encode(false).features, [-3.0, 3.0, 40.0, 2.0]);
    let clamped = encode(true);
    assert_eq!(clamped.features, [1.0, 3.0, 4.0, 2.0]);
    assert_eq!(clamped.report.columns[0].clamped, 2);
    let said = clamped.report.to_string();
    assert!(said.contains("beyond") && said.contains("\"-3\", row 0"), "{said}");
}

#[test]
fn times_of_day_have_features() {
    let lines = ["t|y", "2024-01-01T00:00|0.5", "2024-01-01T06:00|1.5", "2024-01-01 12:00|2.5"];
    let encoder = fit(&table(&lines));
    assert_eq!(encoder.feature_names()[5..], ["t (day, sin)", "t (day, cos)"]);
    let features = encoder.encode(&table(&lines)).unwrap().features;
    assert_close(&features[12..14], &[1.0, 0.0]);
}

#[test]
fn names_fit_what_they_name() {
    let data = wgrad::data::Dataset::classification(vec![1.0, 2.0], 2, vec![0], 2).unwrap();
    let names = |features: usize, classes: usize| Names {
        features: vec!["f".into(); features],
        targets: Vec::new(),
        classes: vec!["c".into(); classes],
    };
    assert!(data.clone().named(names(2, 2)).is_ok() && data.clone().named(names(0, 0)).is_ok());
    assert_says(data.clone().named(names(1, 2)), &["1 names", "2 features"]);
    assert_says(data.named(names(2, 3)), &["3 names", "2 classes"]);
    // An error of standardizing says which column it was.
    let names = Names { features: vec!["age".into()], ..Names::default() };
    let data = wgrad::data::Dataset::regression(vec![3e38], 1, vec![0.0], 1).unwrap();
    let small = wgrad::data::Standardizer::from_parts(vec![0.0], vec![1e-3]).unwrap();
    assert_says(data.named(names).unwrap().standardized(&small), &["column 0 (\"age\")"]);
}

#[test]
fn errors_of_a_table_name_its_file() {
    let error =
        Encoder::fit(&table(&["x|y", "1|2", "2|2"]), &EncoderOptions::default()).unwrap_err();
    assert!(matches!(error, DataError::Table(TableError::ConstantTarget { .. })));
    assert!(error.to_string().starts_with("in-memory data"));
}
