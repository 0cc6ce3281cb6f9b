//! Reading and writing the IDX format.

use std::fs;
use std::io::{self, Read, Write};

use wgrad::data::{
    DataError, DataOptions, IdxElement, read_idx, read_idx_file, read_idx_file_with, read_idx_with,
    write_idx,
};

use super::{assert_says, folder};

const TWO_BY_THREE: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 10, 20, 30, 40, 50, 60];

#[test]
fn arrays_are_read_as_they_are_written() {
    let array = read_idx(TWO_BY_THREE.as_slice()).unwrap();
    assert_eq!(array.element(), IdxElement::UnsignedByte);
    assert_eq!(array.dims(), [2, 3]);
    assert_eq!(array.data(), [10, 20, 30, 40, 50, 60]);
    let mut written = Vec::new();
    write_idx(&mut written, array.dims(), array.data()).unwrap();
    assert_eq!(written, TWO_BY_THREE);
    assert_eq!(array.into_parts(), (vec![2, 3], vec![10, 20, 30, 40, 50, 60]));
}

#[test]
fn arrays_without_elements_are_arrays() {
    // The other extents would overflow if they were multiplied first.
    let bytes = [[0, 0, 8, 4].as_slice(), &[255; 12], &[0; 4]].concat();
    let array = read_idx(bytes.as_slice()).unwrap();
    assert_eq!(array.dims(), [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0]);
    assert!(array.data().is_empty());
}

#[test]
fn files_cut_off_anywhere_are_refused() {
    assert!(matches!(read_idx([].as_slice()), Err(DataError::Empty { .. })));
    for length in 1..TWO_BY_THREE.len() {
        let expected = if length < 4 {
            4
        } else if length < 12 {
            12
        } else {
            18
        };
        match read_idx(&TWO_BY_THREE[..length]) {
            Err(DataError::IdxTruncated { expected: named, found, .. }) => {
                assert_eq!((named, found), (expected, length as u64));
            }
            other => panic!("{length} bytes: {other:?}"),
        }
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    let bytes = [TWO_BY_THREE.as_slice(), &[0]].concat();
    assert_says(read_idx(bytes.as_slice()), &["in-memory data", "after byte 18"]);
}

#[test]
fn headers_that_lie_are_refused() {
    // 4 GiB promised, 2 bytes there.
    let lying = [0, 0, 8, 1, 255, 255, 255, 255, 1, 2];
    assert_says(read_idx(lying.as_slice()), &["ends at byte 10", "promises 4294967303 bytes"]);
    // More than any memory.
    let overflowing = [[0, 0, 8, 3].as_slice(), &[255; 12], &[1, 2]].concat();
    assert_says(
        read_idx(overflowing.as_slice()),
        &["dimensions [4294967295, 4294967295, 4294967295]"],
    );
    // 255 dimensions of 1 are odd, but an array.
    let deep = [[0, 0, 8, 255].as_slice(), &[0, 0, 0, 1].repeat(255), &[7]].concat();
    assert_eq!(read_idx(deep.as_slice()).unwrap().data(), [7]);
    assert_says(read_idx([0, 0, 8, 0, 5].as_slice()), &["dimensions []"]);
}

#[test]
fn other_files_are_told_apart() {
    assert_says(
        read_idx([0x89, b'P', b'N', b'G', 13].as_slice()),
        &["no IDX file", "[89, 50, 4e, 47]"],
    );
    assert_says(
        read_idx([0, 0, 0x0a, 1, 0, 0, 0, 0].as_slice()),
        &["no IDX file", "[00, 00, 0a, 01]"],
    );
}

#[test]
fn element_types_that_cannot_be_read_are_named() {
    let others = [
        (0x09, "signed byte"),
        (0x0b, "16-bit integer"),
        (0x0c, "32-bit integer"),
        (0x0d, "32-bit float"),
        (0x0e, "64-bit float"),
    ];
    for (code, name) in others {
        let element = IdxElement::from_code(code).unwrap();
        assert_eq!((element.code(), element.to_string().as_str()), (code, name));
        let bytes = [0, 0, code, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_says(read_idx(bytes.as_slice()), &[name, &format!("0x{code:02x}"), "convert"]);
    }
    assert_eq!(IdxElement::from_code(0x0a), None);
}

#[test]
fn files_are_named_in_errors() {
    let folder = folder("idx-files");
    let path = folder.join("array");
    fs::write(&path, TWO_BY_THREE).unwrap();
    assert_eq!(read_idx_file(&path).unwrap().dims(), [2, 3]);
    fs::write(&path, &TWO_BY_THREE[..13]).unwrap();
    assert_says(
        read_idx_file(&path),
        &[&path.display().to_string(), "ends at byte 13", "18 bytes"],
    );
    let missing = folder.join("nothing");
    assert_says(read_idx_file(&missing), &[&missing.display().to_string(), "cannot be read"]);
    assert_says(read_idx_file(&folder), &[&folder.display().to_string()]);
}

#[test]
fn arrays_that_do_not_fit_the_format_are_not_written() {
    let write = |dims: &[usize], data: &[u8]| {
        let mut written = Vec::new();
        let result = write_idx(&mut written, dims, data);
        assert!(result.is_ok() || written.is_empty(), "half a file was written");
        result
    };
    assert_says(write(&[2, 2], &[1, 2, 3]), &["3 bytes", "[2, 2]"]);
    assert_says(write(&[], &[1]), &["1 bytes", "[]"]);
    assert_says(write(&[1; 256], &[1]), &["1 to 255 dimensions"]);
    assert_says(write(&[usize::MAX, 2], &[1]), &["1 bytes"]);
    #[cfg(target_pointer_width = "64")]
    assert_says(write(&[1 << 32, 0], &[]), &["below 2^32"]);
    assert!(write(&[1; 255], &[1]).is_ok());
}

/// A reader and writer that fails halfway.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the cable was pulled"))
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is full"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn failing_readers_and_writers_are_quoted() {
    for length in [0, 1, 3, 8, 15] {
        let result = read_idx(TWO_BY_THREE[..length].chain(Broken));
        assert_says(result, &["cannot be read", "the cable was pulled"]);
    }
    assert_says(write_idx(Broken, &[1], &[1]), &["cannot be written", "the disk is full"]);
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
fn slow_readers_are_read_to_the_end() {
    assert_eq!(
        read_idx(Dripping(&TWO_BY_THREE)).unwrap(),
        read_idx(TWO_BY_THREE.as_slice()).unwrap()
    );
}

#[cfg(feature = "gzip")]
#[test]
fn gzipped_arrays_are_known_by_their_first_bytes() {
    let packed = super::gzip(&TWO_BY_THREE);
    let plain = read_idx(TWO_BY_THREE.as_slice()).unwrap();
    assert_eq!(read_idx(packed.as_slice()).unwrap(), plain);
    assert_eq!(read_idx(Dripping(&packed)).unwrap(), plain);
    let path = folder("idx-gzip").join("array-without-ending");
    fs::write(&path, &packed).unwrap();
    assert_eq!(read_idx_file(&path).unwrap(), plain);
    // A file in two members, as `cat a.gz b.gz` makes it.
    let (head, tail) = TWO_BY_THREE.split_at(7);
    let members = [super::gzip(head), super::gzip(tail)].concat();
    assert_eq!(read_idx(members.as_slice()).unwrap(), plain);
}

#[cfg(feature = "gzip")]
#[test]
fn damaged_gzip_files_are_refused() {
    let packed = super::gzip(&TWO_BY_THREE);
    for length in 2..packed.len() {
        assert!(read_idx(&packed[..length]).is_err(), "{length} bytes of {}", packed.len());
    }
    let mut flipped = packed.clone();
    let checksum = packed.len() - 8;
    flipped[checksum] ^= 1;
    assert_says(read_idx(flipped.as_slice()), &["cannot be read"]);
    let followed = [packed.as_slice(), b"garbage"].concat();
    assert_says(read_idx(followed.as_slice()), &["cannot be read"]);
}

/// Tapes and some tools fill a file up with zeros; gzip passes over them.
#[cfg(feature = "gzip")]
#[test]
fn zeros_behind_a_gzip_file_are_passed_over() {
    let plain = read_idx(TWO_BY_THREE.as_slice()).unwrap();
    let (head, tail) = TWO_BY_THREE.split_at(7);
    let members = [super::gzip(head), super::gzip(tail)].concat();
    for count in [1, 2, 511, 8192, 100_000] {
        let padded = [members.as_slice(), &vec![0; count]].concat();
        assert_eq!(read_idx(padded.as_slice()).unwrap(), plain, "{count} zeros");
        assert_eq!(read_idx(Dripping(&padded)).unwrap(), plain, "{count} zeros");
        // But what comes behind them is not the end of a file.
        for more in [&b"x"[..], super::gzip(&TWO_BY_THREE).as_slice()] {
            let followed = [padded.as_slice(), more].concat();
            assert_says(
                read_idx(followed.as_slice()),
                &["cannot be read", "goes on behind the zeros"],
            );
        }
    }
}

#[test]
fn bytes_are_bounded() {
    let bounds = |max_unpacked_bytes| DataOptions { max_unpacked_bytes, ..DataOptions::default() };
    assert!(read_idx_with(TWO_BY_THREE.as_slice(), &bounds(18)).is_ok());
    for most in 0..18 {
        let read = read_idx_with(TWO_BY_THREE.as_slice(), &bounds(most));
        assert_says(read, &[&format!("more than {most} bytes"), "max_unpacked_bytes"]);
    }
    let path = folder("idx-bounds").join("array");
    fs::write(&path, TWO_BY_THREE).unwrap();
    assert!(read_idx_file_with(&path, &bounds(18)).is_ok());
    let read = read_idx_file_with(&path, &bounds(17));
    assert_says(read, &[&path.display().to_string(), "more than 17 bytes"]);
}

#[cfg(not(feature = "gzip"))]
#[test]
fn gzipped_arrays_need_the_feature() {
    let bytes = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    assert_says(read_idx(bytes.as_slice()), &["gzipped", "feature `gzip`"]);
}
