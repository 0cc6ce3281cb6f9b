//! Sources: files of arrays and texts in blocks, rows of a program's own, and what is wrong with them.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wgrad::data::{
    ArrayFile, DataError, Dataset, NpyWriter, ReadRows, RowReader, Source, Standardizer, Targets,
    write_idx,
};

use super::{assert_says, folder};

/// A `.npy` file as numpy writes it.
fn npy(path: &Path, kind: &str, shape: &str, elements: &[u8]) {
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend(elements);
    fs::write(path, bytes).unwrap();
}

fn rows(array: &ArrayFile) -> Vec<f32> {
    let mut out = Vec::new();
    array.open().unwrap().read(0, usize::MAX, &mut out).unwrap();
    out
}

/// Every type of element, in both orders of bytes, rows from anywhere.
#[test]
fn arrays_of_all_types_are_read() {
    let folder = folder("arrays");
    let path = folder.join("a.npy");
    macro_rules! check {
        ($($name:literal $type:ty),*) => {$(
            let numbers: Vec<$type> = [0, 1, 2, 100, 5, 127].map(|n: i8| n as $type).to_vec();
            for (order, bytes) in [
                ("<", numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>()),
                (">", numbers.iter().flat_map(|n| n.to_be_bytes()).collect()),
            ] {
                npy(&path, &format!("{order}{}", $name), "(3, 2)", &bytes);
                let array = ArrayFile::npy(&path).unwrap();
                assert_eq!((array.rows(), array.width()), (Some(3), 2));
                assert_eq!(rows(&array), [0.0, 1.0, 2.0, 100.0, 5.0, 127.0], "{order}{}", $name);
                let mut some = vec![7.0];
                assert_eq!(array.open().unwrap().read(2, 9, &mut some).unwrap(), 1);
                assert_eq!(some, [7.0, 5.0, 127.0]);
            }
        )*};
    }
    check!("u1" u8, "i1" i8, "u2" u16, "i2" i16, "u4" u32, "i4" i32, "u8" u64, "i8" i64, "f4" f32, "f8" f64);
    npy(&path, "|u1", "(2, 1, 3)", &[9, 8, 7, 6, 5, 4]);
    let array = ArrayFile::npy(&path).unwrap().divided_by(2.0).unwrap();
    assert_eq!((array.dims(), array.width()), ([2, 1, 3].as_slice(), 3));
    assert_eq!(rows(&array), [4.5, 4.0, 3.5, 3.0, 2.5, 2.0]);
    npy(&path, "<f4", "(2,)", &[0, 0, 128, 63, 0, 0, 0, 192]);
    assert_eq!(rows(&ArrayFile::npy(&path).unwrap()), [1.0, -2.0]);

    let images = folder.join("images");
    fs::write(
        &images,
        [&[0, 0, 0x0b, 2, 0, 0, 0, 1, 0, 0, 0, 2], &[0xff, 0xfe, 1, 0][..]].concat(),
    )
    .unwrap();
    assert_eq!(rows(&ArrayFile::idx(&images).unwrap()), [-2.0, 256.0]);
}

#[test]
fn what_is_written_is_read() {
    let path = folder("written").join("w.npy");
    let mut file = NpyWriter::create(&path, 3).unwrap();
    file.write(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    file.write(&[5.0, 6.5]).unwrap();
    file.finish().unwrap();
    let array = ArrayFile::npy(&path).unwrap();
    assert_eq!(
        (array.dims(), rows(&array)),
        ([2, 3].as_slice(), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5])
    );
    // The elements begin at a multiple of 64 bytes, as numpy has it.
    assert_eq!(fs::metadata(&path).unwrap().len(), 128 + 24);
    let mut file = NpyWriter::create(&path, 3).unwrap();
    file.write(&[1.0; 4]).unwrap();
    assert_says(file.finish(), &["w.npy", "after row 1", "1 numbers", "whole rows of 3"]);
    assert_says(NpyWriter::create(&path, 0), &["width", "is 0"]);
}

#[test]
fn damaged_arrays_are_named() {
    let folder = folder("damaged");
    let path = folder.join("d.npy");
    let says = |parts: &[&str]| assert_says(ArrayFile::npy(&path), &[&["d.npy"], parts].concat());
    npy(&path, "<f4", "(3, 2)", &[0; 23]);
    says(&["has", "where by its header it should have", "cut off"]);
    npy(&path, "<f4", "(3, 2)", &[0; 25]);
    says(&["damaged or"]);
    npy(&path, "<f4", "(0, 2)", &[]);
    says(&["holds no rows"]);
    npy(&path, "<f4", "()", &[0; 4]);
    says(&["holds one number"]);
    npy(&path, "<c8", "(1,)", &[0; 8]);
    says(&["elements are of the type '<c8'", "no number"]);
    npy(&path, "<f4", "(9999999999, 9999999999, 9)", &[0; 8]);
    says(&["9999999999"]);
    npy(&path, "<f4", "(-1, 2)", &[0; 8]);
    says(&["its shape is (-1, 2)"]);
    let text = fs::read_to_string(file!()).unwrap_or_default();
    fs::write(&path, &text.as_bytes()[..text.len().min(40)]).unwrap();
    says(&["is no .npy file"]);
    fs::write(&path, b"\x93NUMPY\x01\x00\x76\x00{'descr'").unwrap();
    says(&["ends within its header"]);
    fs::write(&path, b"\x93NUMPY\x09\x00\x76\x00{'descr'").unwrap();
    says(&["version 9"]);
    fs::write(&path, [0x1f, 0x8b, 8, 0]).unwrap();
    says(&["gzipped", "gunzip"]);
    assert_says(ArrayFile::npy(folder.join("none.npy")), &["none.npy", "cannot be read"]);
    let order = "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((order.len() as u16).to_le_bytes());
    fs::write(&path, [&bytes, order.as_bytes(), &[0; 8]].concat()).unwrap();
    says(&["Fortran", "ascontiguousarray"]);
    fs::write(&path, [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3]).unwrap();
    assert_says(ArrayFile::idx(&path), &["has 15 bytes", "should have 16"]);
    npy(&path, "<f4", "(1, 1)", &[0; 4]);
    assert_says(ArrayFile::npy(&path).unwrap().divided_by(0.0), &["divided by 0"]);
}

/// A file that is cut off after it was opened.
#[test]
fn a_file_that_is_cut_midway_is_named() {
    let path = folder("cut").join("c.npy");
    npy(&path, "<f4", "(6, 2)", &[0; 48]);
    let array = ArrayFile::npy(&path).unwrap();
    let mut reader = array.open().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let whole = file.metadata().unwrap().len();
    file.set_len(whole - 9).unwrap();
    let mut out = Vec::new();
    assert_eq!(reader.read(0, 4, &mut out).unwrap(), 4);
    let (expected, found) = (format!("should have {whole}"), format!("has {} bytes", whole - 9));
    assert_says(reader.read(0, 6, &mut out), &["c.npy", &expected, &found, "cut off"]);
    assert_says(array.open().map(drop), &[&expected]);
}

fn table() -> Dataset {
    let features: Vec<f32> = (0..39).map(|i| ((i * 31) % 17) as f32).collect();
    Dataset::regression(features, 3, (0..13).map(|i| i as f32).collect(), 1).unwrap()
}

/// Rows of a table with their targets behind them.
fn joined(data: &Dataset) -> Vec<f32> {
    let Targets::Values { data: targets, .. } = data.targets() else { panic!("values") };
    let rows = data.features().chunks(3).zip(targets);
    rows.flat_map(|(row, &target)| [row[0], row[1], row[2], target]).collect()
}

/// Blocks of 1, 2, 3, 4, 3 rows.
fn in_blocks(numbers: Vec<f32>) -> Vec<Vec<f32>> {
    let mut rest = numbers.as_slice();
    [1, 2, 0, 3, 4, 3]
        .map(|rows| {
            let (block, later) = rest.split_at(rows * 4);
            rest = later;
            block.to_vec()
        })
        .to_vec()
}

fn own(blocks: Vec<Vec<f32>>, rows: Option<usize>) -> Source {
    let begin = move || blocks.clone().into_iter().map(Ok);
    Source::of_blocks("own", 4, rows, begin).unwrap().last_columns_as_targets(1).unwrap()
}

#[test]
fn every_source_gives_its_rows() {
    let (folder, data) = (folder("sources"), table());
    assert_eq!(Source::dataset(data.clone()).unwrap().block_rows(4).unwrap().read().unwrap(), data);
    for rows in [None, Some(13)] {
        let source = own(in_blocks(joined(&data)), rows).block_rows(5).unwrap();
        assert_eq!(source.rows(), rows);
        assert_eq!((source.count().unwrap(), source.width()), (13, 3));
        assert_eq!(source.rows(), Some(13));
        assert_eq!(source.read().unwrap(), data);
    }
    let (x, y) = (folder.join("x.npy"), folder.join("y.npy"));
    for (path, numbers, width) in [(&x, joined(&data), 4), (&y, joined(&data), 1)] {
        let mut file = NpyWriter::create(path, width).unwrap();
        file.write(&numbers).unwrap();
        file.finish().unwrap();
    }
    assert_eq!(Source::npy(&x).unwrap().last_columns_as_targets(1).unwrap().read().unwrap(), data);
    let apart = Source::npy(&x).unwrap().with_targets(ArrayFile::npy(&y).unwrap());
    assert_says(apart, &["x.npy", "13 rows", "y.npy", "52"]);
    let labels = folder.join("labels");
    let mut bytes = Vec::new();
    write_idx(&mut bytes, &[13], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]).unwrap();
    fs::write(&labels, bytes).unwrap();
    let with = |classes| Source::npy(&x)?.with_labels(ArrayFile::idx(&labels)?, classes);
    let read = with(3).unwrap().block_rows(6).unwrap().read().unwrap();
    assert_eq!(read.features(), joined(&data));
    assert_eq!(
        read.targets().clone(),
        Targets::Classes { labels: vec![0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0], classes: 3 }
    );
    assert_says(with(2).unwrap().read(), &["labels: row 2 has label 2", "below 2"]);
    assert_says(with(0), &["number of classes is 0"]);
    assert_says(with(1 << 25), &["number of classes", "16777216"]);
    let source = || Source::npy(&x).unwrap();
    assert_says(source().with_labels(ArrayFile::npy(&x).unwrap(), 3), &["labels of a row is 4"]);
    assert_says(source().last_columns_as_targets(4), &["is 4", "from 1 to 3"]);
    assert_says(source().last_column_as_labels(3).unwrap().read(), &["row 3 has label 3"]);
    assert_says(source().read(), &["x.npy", "rows without targets", "with_labels"]);
    assert_says(source().block_rows(0), &["rows of a block is 0"]);
    assert_says(source().window_rows(0), &["rows of a window is 0"]);
    assert_says(Source::of_blocks("o", 0, None, io_nothing), &["width of the rows"]);
    assert_says(Source::of_blocks("o", 1, Some(0), io_nothing), &["o: holds no rows"]);
    let none = Source::of_blocks("o", 1, None, io_nothing).unwrap();
    assert_says(none.count(), &["o: holds no rows"]);
}

fn io_nothing() -> std::iter::Empty<io::Result<Vec<f32>>> {
    std::iter::empty()
}

#[test]
fn parts_are_blocks_and_rows_keep_their_numbers() {
    let source = Source::dataset(table()).unwrap().block_rows(4).unwrap();
    // Blocks of 4, 4, 4 and 1 rows.
    let (first, last) = source.split_last(0.5).unwrap();
    assert_eq!((first.rows(), last.rows()), (Some(8), Some(5)));
    let (train, test) = table().split_at(8).unwrap();
    assert_eq!((first.read().unwrap(), last.read().unwrap()), (train, test));
    for fraction in [0.0, 0.1, 0.9, 1.0, f64::NAN] {
        assert_says(source.split_last(fraction), &["4 blocks of 4 rows", "smaller blocks"]);
    }
    // Of a part of a part.
    let (_, end) = last.split_last(0.5).unwrap();
    assert_eq!(end.read().unwrap(), table().split_at(12).unwrap().1);

    let mut numbers = joined(&table());
    numbers[4 * 11 + 2] = f32::NAN;
    let (first, last) =
        own(in_blocks(numbers.clone()), None).block_rows(3).unwrap().split_last(0.3).unwrap();
    assert!(first.read().is_ok());
    assert_says(last.read(), &["own: row 11, column 2 of the features is NaN"]);
    numbers[4 * 11 + 2] = 0.0;
    numbers[4 * 12 + 3] = f32::INFINITY;
    let source = own(in_blocks(numbers), None);
    assert_says(source.read(), &["own: row 12, column 0 of the targets is inf"]);
}

#[test]
fn rows_that_are_not_as_said_are_named() {
    let blocks = || in_blocks(joined(&table()));
    assert_says(own(blocks(), Some(14)).read(), &["own: ended after 13 rows, where 14"]);
    assert_says(own(blocks(), Some(12)).read(), &["own: goes on after 12 rows"]);
    assert_says(own(blocks(), Some(10)).block_rows(10).unwrap().read(), &["goes on after 10"]);
    // The first part ends elsewhere.
    let (first, _) = own(blocks(), Some(10)).block_rows(5).unwrap().split_last(0.5).unwrap();
    assert_eq!(first.read().unwrap().rows(), 5);
    let mut uneven = blocks();
    uneven[3].pop();
    assert_says(
        own(uneven.clone(), None).count(),
        &["own", "after row 3", "11 numbers", "rows of 4"],
    );
    assert_says(own(uneven, Some(13)).read(), &["own", "after row 3"]);
    let fails =
        || (0..3).map(|i| if i < 2 { Ok(vec![1.0; 4]) } else { Err(io::Error::other("hm")) });
    let source = Source::of_blocks("own", 4, None, fails).unwrap();
    assert_says(source.count(), &["own: cannot be read: hm"]);

    // Fewer rows in the second pass than were counted in the first.
    let (passes, numbers) = (AtomicUsize::new(0), Arc::new(blocks()));
    let fewer = move || {
        let blocks = numbers.len() - passes.fetch_add(1, Ordering::Relaxed);
        numbers.clone().to_vec().into_iter().take(blocks).map(Ok)
    };
    let source = Source::of_blocks("own", 4, None, fewer).unwrap();
    let source = source.last_columns_as_targets(1).unwrap();
    assert_eq!(source.count().unwrap(), 13);
    assert_says(source.read(), &["own: ended after 10 rows, where 13"]);
}

/// A reader of a program's own.
#[derive(Clone)]
struct Squares;

impl ReadRows for Squares {
    fn origin(&self) -> wgrad::data::Origin {
        wgrad::data::Origin::Named("squares".into())
    }
    fn width(&self) -> usize {
        2
    }
    fn rows(&self) -> Option<usize> {
        Some(50)
    }
    fn reads_anywhere(&self) -> bool {
        true
    }
    fn open(&self) -> Result<Box<dyn RowReader>, DataError> {
        Ok(Box::new(Self))
    }
}

impl RowReader for Squares {
    fn read(&mut self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<usize, DataError> {
        let rows = (first..50).take(count);
        let before = out.len();
        out.extend(rows.flat_map(|row| [row as f32, (row * row) as f32]));
        Ok((out.len() - before) / 2)
    }
}

#[test]
fn readers_of_ones_own_are_read() {
    let source = Source::new(Squares).last_columns_as_targets(1).unwrap().block_rows(7).unwrap();
    let data = source.read().unwrap();
    assert_eq!(data.row(49), Some([49.0].as_slice()));
    let standardizer = Standardizer::fit(data.features(), 1).unwrap();
    let scaled = source.clone().standardized(&standardizer).unwrap().read().unwrap();
    assert_eq!(scaled, data.standardized(&standardizer).unwrap());
    let wide = Standardizer::fit(&[1.0, 2.0], 2).unwrap();
    assert_says(source.standardized(&wide), &["2 columns"]);
}

#[cfg(feature = "csv")]
mod csv {
    use super::*;
    use wgrad::data::{CsvOptions, Missing, read_csv_file};

    #[test]
    fn texts_are_read_as_they_are_in_memory() {
        let path = folder("texts").join("t.csv");
        let row = |i: usize| format!("{},{},{}\n", i % 7, i * i, (i as f32).sqrt());
        let text: String = (0..3000).map(row).collect();
        fs::write(&path, format!("a,b,c\r\n\n{text}")).unwrap();
        let options = CsvOptions { targets: vec!["b".into()], ..CsvOptions::default() };
        let expected = read_csv_file(&path, &options).unwrap();
        let source = Source::csv(&path, &options).unwrap();
        assert_eq!(
            (source.rows(), source.names().features.clone()),
            (None, expected.feature_names)
        );
        assert_eq!(source.block_rows(1000).unwrap().read().unwrap(), expected.dataset);

        fs::write(&path, &text).unwrap();
        let options = CsvOptions { header: false, ..CsvOptions::default() };
        let expected = read_csv_file(&path, &options).unwrap().dataset;
        assert_eq!(Source::csv(&path, &options).unwrap().read().unwrap(), expected);
        #[cfg(feature = "gzip")]
        {
            fs::write(&path, super::super::gzip(text.as_bytes())).unwrap();
            assert_eq!(Source::csv(&path, &options).unwrap().read().unwrap(), expected);
        }
    }

    #[test]
    fn texts_that_are_wrong_are_named() {
        let path = folder("wrong-texts").join("t.csv");
        let read = |text: &str, missing: Missing| {
            fs::write(&path, text).unwrap();
            let options = CsvOptions { missing, ..CsvOptions::default() };
            Source::csv(&path, &options).and_then(|source| source.read())
        };
        let says = |text: &str, parts: &[&str]| assert_says(read(text, Missing::Error), parts);
        says("a,b\n1,2\n1,2,3\n", &["t.csv: line 3"]);
        says("a,b\n1,2\nred,2\n", &["line 3", "\"a\" holds \"red\"", "no number"]);
        says("a,b\n1,2\n1 %,2\n", &["line 3", "percent"]);
        says("a,b\n1,nan\n1,1e99\n", &["line 2"]);
        says("a,b\n1,1e99\n", &["line 2", "1e99"]);
        says("a,b\n", &["holds no rows"]);
        says("", &["holds no rows"]);
        assert_eq!(read("a,b\n1,2\n,3\n4,5\n", Missing::DropRow).unwrap().features(), [1.0, 4.0]);
    }
}
