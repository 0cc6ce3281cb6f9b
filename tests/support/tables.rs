//! The tables of `goldens/sklearn/clusterings.json`, with what scikit-learn made of them.

use serde_json::Value as Json;

use super::{f32s, golden, json, numbers};

/// Tables that clusterings and decompositions are compared on.
pub const TABLES: [&str; 4] = ["iris", "wine", "breast cancer", "digits"];

/// Those that were added to every number.
pub const OFFSETS: [&str; 2] = ["0", "100000"];

/// A table with an offset, and what scikit-learn found.
pub struct Table {
    pub name: String,
    pub values: Vec<f32>,
    pub columns: usize,
    pub clusters: usize,
    /// Rows at which the centres begin.
    pub starts: Vec<usize>,
    pub k_means: Json,
    pub pca: Json,
}

impl Table {
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// The rows at which the centres begin, one after another.
    pub fn centers(&self) -> Vec<f32> {
        let row = |&row: &usize| &self.values[row * self.columns..][..self.columns];
        self.starts.iter().flat_map(row).copied().collect()
    }
}

pub fn tables() -> Vec<Table> {
    let file = json(&golden("sklearn/clusterings.json"));
    let mut all = Vec::new();
    for name in TABLES {
        let table = &file[name];
        let plain = match name {
            "digits" => digits(),
            _ => f32s(&numbers(&table["rows"])),
        };
        for offset in OFFSETS {
            let added: f32 = offset.parse().unwrap();
            all.push(Table {
                name: format!("{name} + {offset}"),
                values: plain.iter().map(|value| value + added).collect(),
                columns: table["columns"].as_u64().unwrap() as usize,
                clusters: table["clusters"].as_u64().unwrap() as usize,
                starts: numbers(&table["starts"]).iter().map(|&row| row as usize).collect(),
                k_means: table[offset]["k_means"].clone(),
                pca: table[offset]["pca"].clone(),
            });
        }
    }
    all
}

/// The digits of the repository, from 0 to 16.
fn digits() -> Vec<f32> {
    let bytes = include_bytes!("../../data/digits/images-idx3-ubyte");
    bytes[16..].iter().map(|&value| f32::from(value)).collect()
}
