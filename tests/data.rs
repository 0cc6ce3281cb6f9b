//! Datasets and their readers, seen from outside.

#[cfg(feature = "csv")]
mod csv;
mod dataset;
mod encoder;
#[cfg(feature = "files")]
mod encoder_files;
mod encoder_properties;
mod idx;
mod idx_set;
mod source;
mod standardize;
#[cfg(feature = "csv")]
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use wgrad::data::DataError;

/// Checks that an error tells a person all of `parts`.
fn assert_says<T: std::fmt::Debug>(result: Result<T, DataError>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("data").join(name);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => fs::create_dir_all(&folder).unwrap(),
    }
    folder
}

#[cfg(feature = "gzip")]
fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
