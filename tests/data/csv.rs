//! Reading CSV files.

use approx::abs_diff_eq;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};

use wgrad::data::{
    ColumnKind, CsvColumn, CsvOptions, CsvTable, DataError, DataOptions, Missing, Targets,
    read_csv, read_csv_file,
};

use super::{assert_says, folder};

fn read(text: &str) -> Result<CsvTable, DataError> {
    read_csv(text.as_bytes(), &CsvOptions::default())
}

fn read_dropping(text: &str) -> Result<CsvTable, DataError> {
    read_csv(text.as_bytes(), &CsvOptions { missing: Missing::DropRow, ..CsvOptions::default() })
}

fn read_target(text: &str, target: &str) -> Result<CsvTable, DataError> {
    read_with(text, |options| options.targets = vec![target.into()])
}

fn read_with(text: &str, change: impl FnOnce(&mut CsvOptions)) -> Result<CsvTable, DataError> {
    let mut options = CsvOptions::default();
    change(&mut options);
    read_csv(text.as_bytes(), &options)
}

fn targets(table: &CsvTable) -> &[f32] {
    match table.dataset.targets() {
        Targets::Values { data, width: 1 } => data,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_column_is_the_target_unless_another_is_named() {
    let text = "a,b,c\n1,2,3\n4,5,6\n";
    let table = read(text).unwrap();
    assert_eq!(table.feature_names, ["a", "b"]);
    assert_eq!(table.target_names, ["c"]);
    assert_eq!(table.dropped_rows, 0);
    assert_eq!(table.dataset.features(), [1.0, 2.0, 4.0, 5.0]);
    assert_eq!(targets(&table), [3.0, 6.0]);

    let table = read_target(text, "b").unwrap();
    assert_eq!(table.feature_names, ["a", "c"]);
    assert_eq!(table.dataset.features(), [1.0, 3.0, 4.0, 6.0]);
    assert_eq!(targets(&table), [2.0, 5.0]);
}

#[test]
fn text_becomes_categories_in_alphabetical_order() {
    let table = read("size,colour,price\n1,red,10\n2,blue,20\n3,green,30\n4,red,40\n").unwrap();
    assert_eq!(table.feature_names, ["size", "colour=blue", "colour=green", "colour=red"]);
    let rows =
        [[1.0, 0.0, 0.0, 1.0], [2.0, 1.0, 0.0, 0.0], [3.0, 0.0, 1.0, 0.0], [4.0, 0.0, 0.0, 1.0]];
    assert_eq!(table.dataset.features(), rows.concat());
}

#[test]
fn numbers_before_the_first_text_are_categories_too() {
    let table = read("code,y\n7,1\n007,2\nx,3\n7,4\n").unwrap();
    assert_eq!(table.feature_names, ["code=007", "code=7", "code=x"]);
    let rows = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]];
    assert_eq!(table.dataset.features(), rows.concat());
}

/// A column of `texts`, each on its line, beside a target of zeros.
fn column(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().fold("name,y\n".to_owned(), |mut text, field| {
        writeln!(text, "{field},0").unwrap();
        text
    })
}

#[test]
fn there_may_be_64_categories() {
    let table = read(&column((0..64).rev().map(|n| format!("c{n:03}")))).unwrap();
    assert_eq!(table.dataset.width(), 64);
    // Row 0 has the last category, row 63 the first.
    for (row, features) in table.dataset.features().chunks_exact(64).enumerate() {
        assert_eq!(features.iter().position(|&feature| feature == 1.0), Some(63 - row));
        assert_eq!(features.iter().sum::<f32>(), 1.0);
    }
    let too_many = read(&column((0..65).map(|n| format!("c{n:03}"))));
    assert_says(too_many, &["column \"name\"", "line 2", "\"c000\"", "more than 64"]);
    // 100 different numbers are fine, up to the one with a typing error.
    let numbers = || (0..100).map(|n| n.to_string());
    assert_eq!(read(&column(numbers())).unwrap().dataset.width(), 1);
    let mistyped = read(&column(numbers().chain(["1o1".to_owned()])));
    assert_says(mistyped, &["column \"name\"", "line 102", "\"1o1\"", "correct that value"]);
}

#[test]
fn white_space_blank_lines_quotes_and_marks_do_not_count() {
    let plain = read("a,b,y\n1,x,3\n4,\"p, q\",6\n").unwrap();
    let texts = [
        "\u{feff}a,b,y\n1,x,3\n4,\"p, q\",6\n",
        "\u{feff}\"a\",b,y\n1,x,3\n4,\"p, q\",6\n",
        "a,b,y\r\n1,x,3\r\n4,\"p, q\",6\r\n",
        "a,b,y\r1,x,3\r4,\"p, q\",6",
        "\n\na , b,y\n\n 1,x ,\t3\n\n\n4,\"p, q\",6",
    ];
    for text in texts {
        assert_eq!(read(text).unwrap(), plain, "{text:?}");
        assert_eq!(
            read_csv(Dripping(text.as_bytes()), &CsvOptions::default()).unwrap(),
            plain,
            "{text:?}"
        );
    }
}

/// Hands out one byte at a time, as a slow connection may.
struct Dripping<'a>(&'a [u8]);

impl Read for Dripping<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(1);
        self.0.read(&mut out[..count])
    }
}

#[test]
fn other_delimiters_can_be_set() {
    let with = |delimiter| CsvOptions { delimiter, ..CsvOptions::default() };
    for delimiter in [b';', b'\t', b'|'] {
        let text = "a,y\n1,2\n".replace(',', &char::from(delimiter).to_string());
        assert_eq!(
            read_csv(text.as_bytes(), &with(delimiter)).unwrap(),
            read("a,y\n1,2\n").unwrap()
        );
    }
    for (delimiter, shown) in [(b'"', "'\"'"), (b'\n', "'\\n'"), (b'\r', "'\\r'"), (0xe9, "'é'")] {
        assert_says(
            read_csv("a,y\n1,2\n".as_bytes(), &with(delimiter)),
            &[shown, "cannot delimit"],
        );
    }
}

#[test]
fn rows_with_missing_values_are_refused_or_dropped() {
    let words = [
        "", "-", "--", ".", "?", "na", "n/a", "n.a.", "#na", "#n/a", "<na>", "nan", "-nan", "null",
        "nil", "none", " ? ", "NA", "N/A", "NaN", "Nan", "NULL", "Null", "None", "NONE", "nAn",
        "\" \"",
    ];
    for missing in words {
        let text = format!("a,b,y\n1,2,3\n4,{missing},6\n7,8,{missing}\n9,10,11\n");
        assert_says(
            read(&text),
            &[
                "line 3",
                "column \"b\"",
                &format!("{:?}", missing.trim_matches([' ', '"'])),
                "DropRow",
            ],
        );
        let table = read_dropping(&text).unwrap();
        assert_eq!(table.dropped_rows, 2);
        assert_eq!(table.dataset.features(), [1.0, 2.0, 9.0, 10.0]);
        assert_eq!(targets(&table), [3.0, 11.0]);
    }
    assert_says(read("a,y\n1,NA\n"), &["line 2", "column \"y\"", "\"NA\""]);
    assert_says(read_dropping("a,y\nNA,2\n3,?\n"), &["all 2 rows", "missing value"]);
    // A dropped row leaves no category behind.
    assert_eq!(read_dropping("a,y\nred,1\nblue,NA\n").unwrap().feature_names, ["a=red"]);
}

#[test]
fn tables_that_are_none_are_refused() {
    assert!(matches!(read(""), Err(DataError::Empty { .. })));
    assert!(matches!(read("\n\r\n"), Err(DataError::Empty { .. })));
    assert!(matches!(read("a,y\n"), Err(DataError::Empty { .. })));
    assert_says(
        read("\n1.5,2,-3e4\n4,5,6\n"),
        &["line 2", "only numbers", "\"1.5\"", "line of names"],
    );
    assert_says(read("a,b,a,y\n"), &["columns 0 and 2", "\"a\""]);
    assert_says(read("only\n1\n"), &["none of its 1 columns", "\"only\"", "delimiter"]);
    assert_says(read_target("a,b,y\n1,2,3\n", "z"), &["no column \"z\"", "\"a\", \"b\", \"y\""]);
    assert_says(
        read_with("a,b,y\n1,2,3\n", |options| options.exclude = vec![3.into()]),
        &["no column number 3 (from 0)", "\"a\", \"b\", \"y\""],
    );
    let wide: Vec<String> = (0..30).map(|n| format!("c{n}")).collect();
    assert_says(read_target(&wide.join(","), "z"), &["\"c23\" and 6 more"]);
}

#[test]
fn ragged_rows_are_named_by_line() {
    assert_says(read("a,b,y\n1,2,3\n4,5\n"), &["line 3", "2 fields", "first line has 3"]);
    assert_says(read("a,b,y\n1,2,3,4\n"), &["line 2", "4 fields", "first line has 3"]);
    // Ragged, even if a value is missing too.
    assert_says(read_dropping("a,b,y\n1,NA\n"), &["line 2", "2 fields"]);
}

#[test]
fn lines_are_counted_as_editors_do() {
    let lines = ["a,b,y", "", "1,\"two", "lines\",3", "", "", "4,5", "6,7,8", ""];
    for ending in ["\n", "\r\n", "\r"] {
        assert_says(read(&lines.join(ending)), &["line 7 has 2 fields"]);
        // The row that starts on line 3 and ends on line 4.
        let target = lines.join(ending).replace("lines\",3", "lines\",x");
        assert_says(read(&target), &["line 3", "\"x\""]);
    }
    assert_says(read("a,y\n1,2\n3"), &["line 3 has 1 fields"]);
    assert_says(read("a,y\n1,2\n\"3,4\n5,6\n"), &["line 3 has 1 fields"]);
}

#[test]
fn targets_must_be_numbers() {
    assert_says(
        read("a,y\n1,2\n3,high\n"),
        &["line 3", "target column \"y\"", "\"high\"", "no number"],
    );
    for value in ["inf", "-Infinity", "1e39", "-3.5e38"] {
        let text = format!("a,y\n1,{value}\n");
        assert_says(
            read(&text),
            &["line 2", "column \"y\"", &format!("{value:?}"), "no finite 32-bit number"],
        );
    }
}

#[test]
fn features_must_be_finite() {
    for value in ["inf", "-Infinity", "1e39"] {
        let text = format!("a,b,y\n0,1,2\n0,{value},3\n");
        assert_says(
            read(&text),
            &["line 3", "column \"b\"", &format!("{value:?}"), "no finite 32-bit number"],
        );
        // Among words, it is a word.
        assert_eq!(read(&format!("a,y\n{value},1\nword,2\n")).unwrap().dataset.width(), 2);
    }
    assert_eq!(read("a,y\n1e-60,1\n").unwrap().dataset.features(), [0.0]);
}

#[test]
fn text_that_is_no_text_is_refused() {
    let latin = b"a,b,y\n1,2,3\n4,caf\xe9,6\n".as_slice();
    assert_says(
        read_csv(latin, &CsvOptions::default()),
        &["line 3, column 1", "not UTF-8", "caf\u{fffd}"],
    );
    let header = b"a,\xff,y\n1,2,3\n".as_slice();
    assert_says(read_csv(header, &CsvOptions::default()), &["line 1, column 1", "not UTF-8"]);
}

#[test]
fn long_fields_are_cut_in_messages() {
    let message = read(&format!("a,y\n1,{}\n", "é".repeat(100_000))).unwrap_err().to_string();
    assert!(message.contains(&format!("\"{}…\"", "é".repeat(40))), "{message}");
    assert!(message.len() < 500);
}

#[test]
fn files_are_named_in_errors() {
    let folder = folder("csv-files");
    let path = folder.join("table.csv");
    fs::write(&path, "a,y\n1,2\n3\n").unwrap();
    let options = CsvOptions::default();
    assert_says(read_csv_file(&path, &options), &[&path.display().to_string(), "line 3"]);
    let missing = folder.join("nothing.csv");
    assert_says(
        read_csv_file(&missing, &options),
        &[&missing.display().to_string(), "cannot be read"],
    );
    assert_says(
        read_csv_file(&folder, &options),
        &[&folder.display().to_string(), "cannot be read"],
    );
}

#[cfg(feature = "gzip")]
#[test]
fn gzipped_tables_are_unpacked() {
    let packed = super::gzip(b"a,y\n1,2\n");
    let options = CsvOptions::default();
    assert_eq!(read_csv(packed.as_slice(), &options).unwrap(), read("a,y\n1,2\n").unwrap());
    assert_says(read_csv(&packed[..packed.len() - 9], &options), &["cannot be read"]);
}

/// The sums were taken from the file by Python's csv module and floats.
#[test]
fn the_concrete_table_is_read_whole() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/concrete.csv");
    let table = read_csv_file(path, &CsvOptions::default()).unwrap();
    assert_eq!((table.dataset.rows(), table.dataset.width()), (1030, 8));
    assert_eq!(table.target_names, ["compressive_strength"]);
    assert!(table.feature_columns.iter().all(|column| column.kind == ColumnKind::Numbers));
    assert_eq!(table.feature_names[0], "cement");
    assert_eq!(table.feature_names[7], "age");
    let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
    // Each value is off by at most half a unit of f32 in its last place, 2⁻²⁴ of itself.
    let near = |sum: f64, exact: f64| abs_diff_eq!(sum, exact, epsilon = exact * f64::exp2(-24.0));
    assert!(near(sum(table.dataset.features()), 2_460_861.1));
    assert!(near(sum(targets(&table)), 36_892.5));
}

/// More words for what is missing, and fewer.
#[test]
fn the_words_for_missing_values_can_be_set() {
    let text = "a,y\n1,2\n-999,3\nunknown,4\n5,6\n";
    let table = read_with(text, |options| {
        options.missing = Missing::DropRow;
        options.missing_words.extend(["-999".into(), " Unknown ".into()]);
    });
    let table = table.unwrap();
    assert_eq!((table.dropped_rows, table.dataset.features()), (2, [1.0, 5.0].as_slice()));
    // `None` is a kind of garage, not a missing one.
    let text = "garage,y\nNone,1\nbarn,2\n";
    assert_says(read(text), &["line 2", "\"None\"", "missing_words"]);
    let table = read_with(text, |options| options.missing_words.retain(|word| word != "none"));
    assert_eq!(table.unwrap().feature_names, ["garage=None", "garage=barn"]);
}

/// A number with marks of people is never a category among numbers, and never another number.
#[test]
fn numbers_as_people_write_them_are_refused() {
    for (field, why) in [
        ("\"1,234\"", "a comma"),
        ("\"3,14\"", "a comma"),
        ("1 234", "marks between groups"),
        ("1'234.5", "marks between groups"),
        ("\"1.234.567,8\"", "marks between groups"),
        ("12%", "a percent sign"),
        ("$5", "a currency sign"),
        ("(5)", "brackets"),
    ] {
        let value = format!("{:?}", field.trim_matches('"'));
        // Among numbers, alone in its column, and as a target.
        for (text, line, column) in [
            (format!("a,b,y\n1,2,3\n4,{field},6\n7,8,9\n"), 3, "b"),
            (format!("a,b,y\n1,{field},3\n4,{field},6\n"), 2, "b"),
            (format!("a,b,y\n1,2,3\n4,5,{field}\n"), 3, "y"),
        ] {
            let says = [&format!("line {line}, column {column:?}"), value.as_str(), why];
            assert_says(read(&text), &says);
            assert_says(read(&text), &["with digits, and a point before decimals"]);
        }
        // Among words it is a word.
        let table = read(&format!("a,y\n{field},1\nword,2\n")).unwrap();
        assert_eq!(table.dataset.width(), 2);
    }
    // More of them than there may be categories.
    let many = column((0..100).map(|n| format!("{n}%")));
    assert_says(read(&many), &["line 2", "\"0%\"", "a percent sign"]);
}

#[test]
fn what_columns_became_is_said() {
    let table = read("size,colour,price\n1,red,10\n2,blue,20\n").unwrap();
    let kinds: Vec<_> =
        table.feature_columns.iter().map(|column| (column.name.as_str(), &column.kind)).collect();
    let words = ColumnKind::Categories(vec!["blue".into(), "red".into()]);
    assert_eq!(kinds, [("size", &ColumnKind::Numbers), ("colour", &words)]);
}

#[test]
fn lines_of_white_space_are_blank() {
    let plain = read("a,y\n1,2\n3,4\n").unwrap();
    for blank in [" ", "\t", "   \t ", "\u{c}", "\"\"", "\" \""] {
        let text = format!("{blank}\na,y\n{blank}\n1,2\n{blank}\n{blank}\n3,4\n{blank}");
        assert_eq!(read(&text).unwrap(), plain, "{blank:?}");
        let text = format!("a,y\n{blank}\n1,2\n{blank}\n3\n");
        assert_says(read(&text), &["line 5 has 1 fields"]);
    }
    // Three fields without a value are a row.
    assert_says(read("a,b,y\n1,2,3\n ,\t, \n"), &["line 3", "missing value \"\""]);
}

#[test]
fn a_file_may_have_no_header() {
    let without = |text: &str, change: fn(&mut CsvOptions)| {
        read_with(text, |options| {
            options.header = false;
            change(options);
        })
    };
    let table = without("1,2,3\n4,5,6\n", |_| {}).unwrap();
    assert_eq!(table.dataset.features(), [1.0, 2.0, 4.0, 5.0]);
    assert_eq!(targets(&table), [3.0, 6.0]);
    assert_eq!(table.feature_names, ["0", "1"]);
    assert_eq!(table.target_names, ["2"]);
    let table = without("1,red,3\n4,blue,6\n", |options| options.targets = vec![0.into()]);
    let table = table.unwrap();
    assert_eq!(table.feature_names, ["1=blue", "1=red", "2"]);
    assert_eq!(targets(&table), [1.0, 4.0]);
    assert_says(without("1,2\n3\n", |_| {}), &["line 2", "first line has 2"]);
    assert_says(read("1,2\n3,4\n"), &["line 1", "set `header` to false"]);
}

#[test]
fn columns_can_be_chosen_and_left_out() {
    let text = "id,a,b,y,z\nx1,1,2,3,4\nx2,5,6,7,NA\n";
    let columns =
        |names: &[&str]| names.iter().map(|&name| CsvColumn::from(name)).collect::<Vec<_>>();
    // Several targets, in the order in which they are named; z's missing value does not matter.
    let table = read_with(text, |options| {
        options.targets = columns(&["y", "a"]);
        options.exclude = columns(&["id", "z"]);
    });
    let table = table.unwrap();
    assert_eq!(
        (table.feature_names, table.target_names),
        (vec!["b".to_owned()], vec!["y".into(), "a".into()])
    );
    assert_eq!(table.dataset.features(), [2.0, 6.0]);
    let Targets::Values { data, width: 2 } = table.dataset.targets() else { panic!("two targets") };
    assert_eq!(*data, [3.0, 1.0, 7.0, 5.0]);
    // Features in the order in which they are named, by name or position.
    let table = read_with(text, |options| {
        options.targets = vec![3.into()];
        options.features = vec!["b".into(), 1.into()];
    });
    let table = table.unwrap();
    assert_eq!(table.feature_names, ["b", "a"]);
    assert_eq!(table.dataset.features(), [2.0, 1.0, 6.0, 5.0]);
    // What is not read is not looked at.
    assert_eq!(table.dropped_rows, 0);

    let says =
        |change: fn(&mut CsvOptions), parts: &[&str]| assert_says(read_with(text, change), parts);
    says(|o| o.targets = vec!["y".into(), 3.into()], &["number 3", "a target and as a target"]);
    says(
        |o| (o.targets, o.exclude) = (vec!["y".into()], vec!["y".into()]),
        &["\"y\"", "excluded and as a target"],
    );
    says(
        |o| (o.targets, o.features) = (vec!["y".into()], vec!["y".into()]),
        &["\"y\"", "a target and as a feature"],
    );
    says(|o| o.exclude = vec!["z".into()], &["no target", "\"z\", is excluded", "`targets`"]);
    says(|o| o.features = vec!["z".into()], &["no target", "\"z\", is a feature"]);
    says(
        |o| {
            o.targets = vec!["y".into(), "z".into()];
            o.exclude = vec!["id".into(), "a".into(), "b".into()];
        },
        &["none of its 5 columns", "left to predict from"],
    );
}

/// Every bound, one below it and one above.
#[test]
fn bounds_are_kept() {
    let text = "a,b,y\n1,x,3\n4,y,6\n";
    let with = |bounds: DataOptions| read_with(text, |options| options.bounds = bounds);
    let bounds = DataOptions::default();
    let bytes = text.len() as u64;
    assert!(with(DataOptions { max_unpacked_bytes: bytes, ..bounds }).is_ok());
    for max_unpacked_bytes in 0..bytes {
        assert_says(
            with(DataOptions { max_unpacked_bytes, ..bounds }),
            &[&format!("more than {max_unpacked_bytes} bytes"), "max_unpacked_bytes"],
        );
    }
    assert!(with(DataOptions { max_columns: 3, ..bounds }).is_ok());
    for max_columns in 0..3 {
        let parts = ["line 1", &format!("more than {max_columns} fields"), "max_columns"];
        assert_says(with(DataOptions { max_columns, ..bounds }), &parts);
    }
    // Two rows of three fields; the table has three features, since `b` has two categories.
    assert!(with(DataOptions { max_fields: 6, ..bounds }).is_ok());
    for max_fields in 0..6 {
        let parts = [&format!("more than {max_fields} numbers"), "max_fields"];
        assert_says(with(DataOptions { max_fields, ..bounds }), &parts);
    }
    let wide = "b,y\nu,1\nv,2\nw,3\n";
    let bounds = DataOptions { max_fields: 8, ..bounds };
    assert_says(read_with(wide, |o| o.bounds = bounds), &["3 rows by 3 columns", "more than 8"]);
}

/// A gigabyte of zeros packs to a megabyte.
#[cfg(feature = "gzip")]
#[test]
fn what_unpacks_to_too_much_is_refused() {
    let packed = super::gzip(&[b"a,y\n".as_slice(), &b"1,2\n".repeat(1 << 20)].concat());
    assert!(packed.len() < 1 << 16);
    let bounds = DataOptions { max_unpacked_bytes: 1 << 20, ..DataOptions::default() };
    let options = CsvOptions { bounds, ..CsvOptions::default() };
    assert_says(read_csv(packed.as_slice(), &options), &["more than 1048576 bytes"]);
}
