//! Reading a safetensors file: eight bytes with the length of a JSON header, the header, the data.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value as Json;

use super::{numbers, text};

/// A tensor, its numbers as `f64`, which holds `f32`, `i32` and `bool` exactly (and the small
/// `i64` that are axes, shapes and labels).
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
    pub dtype: String,
}

pub fn read(path: &Path) -> HashMap<String, Array> {
    let file = std::fs::read(path).expect("a readable file");
    let (length, rest) = file.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("8 bytes")) as usize;
    let (header, data) = rest.split_at(length);
    let header: Json = serde_json::from_slice(header).expect("JSON");
    let entries = header.as_object().expect("an object").iter();
    entries
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, entry)| {
            let offsets = numbers(&entry["data_offsets"]);
            let bytes = &data[offsets[0] as usize..offsets[1] as usize];
            let dtype = text(&entry["dtype"]).to_string();
            let shape = numbers(&entry["shape"]).iter().map(|&n| n as usize).collect();
            (name.clone(), Array { shape, values: decode(&dtype, bytes), dtype })
        })
        .collect()
}

fn decode(dtype: &str, bytes: &[u8]) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.chunks_exact(N).map(|chunk| number(chunk.try_into().expect("N bytes"))).collect()
    }
    match dtype {
        "F32" => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        "F64" => each(bytes, f64::from_le_bytes),
        "I32" => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
        "I64" => each(bytes, |b| i64::from_le_bytes(b) as f64),
        "BOOL" => each(bytes, |[b]| f64::from(b)),
        // Cases of other types are not covered; their number of elements is all that is needed.
        "F16" => each(bytes, |b| f64::from(u16::from_le_bytes(b))),
        other => panic!("dtype {other}"),
    }
}
