//! Tables of text, in memory and out of CSV files.

use super::{assert_says, folder};
use wgrad::data::{
    DataError, DataOptions, Place, Table, TableError, TableOptions, TableReader, read_table,
    read_table_file,
};

fn read(text: &str) -> Result<Table, DataError> {
    read_table(text.as_bytes(), &TableOptions::default())
}

fn rows(table: &Table) -> Vec<Vec<&str>> {
    let row =
        |row| (0..table.names().len()).map(|column| table.field(row, column).unwrap()).collect();
    (0..table.rows()).map(row).collect()
}

#[test]
fn a_table_has_names_rows_and_fields() {
    let table = Table::new(["a", "b"], [[" 1", "x"], ["", "ä ö "]]).unwrap();
    assert_eq!(table.names(), ["a", "b"]);
    assert_eq!(rows(&table), [["1", "x"], ["", "ä ö"]]);
    assert_eq!(table.field(0, 2), None);
    assert_eq!(table.field(2, 0), None);
    assert_eq!(table.field(usize::MAX, 1), None);
    assert_eq!(table.fields(1).collect::<Vec<_>>(), ["x", "ä ö"]);
    assert_eq!(table.place(1), Place::Row(1));
    assert_eq!(Table::new(["a"], Vec::<[&str; 1]>::new()).unwrap().rows(), 0);
}

#[test]
fn a_table_that_is_none_is_refused() {
    assert_says(Table::new(Vec::<String>::new(), [["1"]]), &["no columns"]);
    assert_says(Table::new(["a", "b", "a"], [["1", "2", "3"]]), &["columns 0 and 2", "\"a\""]);
    let ragged = Table::new(["a", "b"], [vec!["1", "2"], vec!["3"]]);
    assert_says(ragged, &["row 1 (from 0)", "1 fields", "2 columns"]);
    let table = Table::new(["a"], [["1"]]).unwrap();
    assert_says(table.select(&[0, 1]), &["row 1"]);
    assert_says(table.join(&table), &["both named \"a\""]);
    let two = Table::new(["b"], [["1"], ["2"]]).unwrap();
    assert_says(table.join(&two), &["1 rows", "has 2"]);
    assert_says(table.renamed(["a", "b"]), &["2 fields"]);
}

#[test]
fn rows_are_selected_and_tables_joined() {
    let left = read("a\n1\n2\n3\n").unwrap();
    let right = Table::new(["b"], [["x"], ["y"], ["z"]]).unwrap();
    let joined = left.join(&right).unwrap();
    assert_eq!(rows(&joined), [["1", "x"], ["2", "y"], ["3", "z"]]);
    let picked = joined.select(&[2, 0, 2]).unwrap();
    assert_eq!(rows(&picked), [["3", "z"], ["1", "x"], ["3", "z"]]);
    assert_eq!(picked.place(0), Place::Line(4));
    assert_eq!(left.renamed(["c"]).unwrap().names(), ["c"]);
}

#[test]
fn delimiters_and_names_are_guessed_and_can_be_given() {
    for text in ["a,b\n1,2\n", "a;b\n1;2\n", "a\tb\n1\t2\n", "a b\n1 2\n", "a|b\r\n1|2\r\n"] {
        let table = read(text).unwrap();
        assert_eq!(
            (table.names(), rows(&table)),
            (["a".into(), "b".into()].as_slice(), vec![vec!["1", "2"]])
        );
    }
    // A line of numbers is no header.
    let table = read("1,2\n3,4\n").unwrap();
    assert_eq!(table.names(), ["0", "1"]);
    assert_eq!(rows(&table), [["1", "2"], ["3", "4"]]);
    assert_eq!(table.place(0), Place::Line(1));
    // A name may look like a number.
    assert_eq!(read("city,2020\nBonn,7\n").unwrap().names(), ["city", "2020"]);
    let header = TableOptions { header: Some(true), ..TableOptions::default() };
    assert_eq!(read_table("1,2\n3,4\n".as_bytes(), &header).unwrap().names(), ["1", "2"]);
    let none = TableOptions { header: Some(false), ..TableOptions::default() };
    assert_eq!(read_table("a,b\n3,4\n".as_bytes(), &none).unwrap().rows(), 2);
    let comma = TableOptions { delimiter: Some(b','), ..TableOptions::default() };
    assert_eq!(read_table("a;b\n1;2\n".as_bytes(), &comma).unwrap().names(), ["a;b"]);
    let quote = TableOptions { delimiter: Some(b'"'), ..TableOptions::default() };
    assert_says(read_table("a,b\n".as_bytes(), &quote), &["cannot delimit"]);
}

#[test]
fn tables_of_scikit_learn_name_their_classes() {
    let text = "3,2,setosa,virginica\n5.1,3.5,0\n4.9,3.0,1\n4.7,3.2,0\n";
    let table = read(text).unwrap();
    assert_eq!(table.names(), ["0", "1", "target"]);
    let classes: Vec<&str> = table.fields(2).collect();
    assert_eq!(classes, ["setosa", "virginica", "setosa"]);
    assert_says(read("4,2,a,b\n1,2,0\n1,2,1\n1,2,0\n"), &["4 rows follow", "3 do"]);
    assert_says(read("2,2,a,b\n1,2,0\n1,2,1\n1,2,0\n"), &["2 rows follow", "3 do"]);
    assert_says(read("2,2,a,b\n1,2,0\n1,2,5\n"), &["line 3", "\"5\"", "0 to 1"]);
    // In blocks, too.
    let mut reader = TableReader::new(text.as_bytes(), &TableOptions::default()).unwrap();
    let sizes: Vec<usize> =
        std::iter::from_fn(|| reader.next_block(2).unwrap().map(|block| block.rows())).collect();
    assert_eq!(sizes, [2, 1]);
}

#[test]
fn files_are_read_in_blocks() {
    let path = folder("table_blocks").join("table.csv");
    let text: String = (0..10).map(|row| format!("{row},\"w {row}\"\n")).collect();
    std::fs::write(&path, format!("\u{feff}n,word\n\n{text}")).unwrap();
    let mut reader = TableReader::open(&path, &TableOptions::default()).unwrap();
    assert_eq!(reader.names(), ["n", "word"]);
    let mut fields = Vec::new();
    let mut sizes = Vec::new();
    while let Some(block) = reader.next_block(4).unwrap() {
        sizes.push(block.rows());
        fields.extend(block.fields(1).map(str::to_owned));
        assert_eq!(block.place(0), Place::Line(3 + 4 * (sizes.len() as u64 - 1)));
    }
    assert_eq!(sizes, [4, 4, 2]);
    assert_eq!(fields, (0..10).map(|row| format!("w {row}")).collect::<Vec<_>>());
    assert_eq!(read_table_file(&path, &TableOptions::default()).unwrap().rows(), 10);
    let missing = read_table_file(path.with_extension("not"), &TableOptions::default());
    assert_says(missing, &["table.not", "cannot be read"]);
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    assert_says(read(""), &["holds no rows"]);
    assert_says(read("a,b\n"), &["holds no rows"]);
    assert_says(read("a,b\n1,2\n1\n"), &["line 3", "1 fields"]);
    assert_says(read("a,a\n1,2\n"), &["both named \"a\""]);
    let options = TableOptions::default();
    let pipe = TableReader::named("a,b\n1\n".as_bytes(), "a pipe", &options).unwrap();
    assert_says(pipe.read_all(), &["a pipe: line 2"]);
}

#[test]
fn what_is_held_at_once_is_bounded_and_what_goes_through_is_not() {
    let bounds = DataOptions { max_unpacked_bytes: 100, max_fields: 40, max_columns: 3 };
    let options = TableOptions { bounds, ..TableOptions::default() };
    let text = format!("a,b\n{}", "12345,6\n".repeat(1000));
    assert!(matches!(
        read_table(text.as_bytes(), &options),
        Err(DataError::TooManyBytes { most: 100, .. })
    ));
    let short = format!("a,b\n{}", "1,2\n".repeat(100));
    assert_says(read_table(short.as_bytes(), &options), &["more than 40 numbers"]);
    let mut reader = TableReader::new(text.as_bytes(), &options).unwrap();
    let mut count = 0;
    while let Some(block) = reader.next_block(10).unwrap() {
        count += block.rows();
    }
    assert_eq!(count, 1000);
    // A row without an end is held as a whole.
    let endless = format!("a,b\n1,2\n\"{}", "x".repeat(1000));
    assert!(matches!(
        read_table(endless.as_bytes(), &options),
        Err(DataError::TooManyBytes { most: 100, .. })
    ));
    assert_says(read_table("a,b,c,d\n".as_bytes(), &options), &["more than 3 fields"]);
}

/// A pipe that brings one line, and then waits: rows that are there must not wait for more.
#[test]
fn a_slow_pipe_is_not_waited_for() {
    /// Gives what there is, and panics where it would have to wait.
    struct Pipe<'a>(&'a [u8]);
    impl std::io::Read for Pipe<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            assert!(!self.0.is_empty(), "more was waited for than two lines");
            self.0.read(out)
        }
    }
    let reader = TableReader::new(Pipe(b"a,b\n1,2\n"), &TableOptions::default());
    assert_eq!(reader.unwrap().names(), ["a", "b"]);
}

#[cfg(feature = "gzip")]
#[test]
fn gzipped_tables_are_unpacked() {
    let packed = super::gzip(b"a,b\n1,2\n");
    assert_eq!(read_table(packed.as_slice(), &TableOptions::default()).unwrap().rows(), 1);
}

#[test]
fn errors_of_tables_can_be_told_apart() {
    let error = read("a,b\n1\n").unwrap_err();
    let place = Place::Line(2);
    assert!(
        matches!(&error, DataError::Table(TableError::Ragged { place: p, expected: 2, found: 1, .. }) if *p == place),
        "{error:?}"
    );
}
