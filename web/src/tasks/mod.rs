//! Clusters and principal components: `KMeans` and `Pca`.

mod kmeans;
mod pca;

pub use kmeans::KMeans;
pub use pca::Pca;

use js_sys::{Array, Reflect};
use wasm_bindgen::JsValue;

use crate::convert::floats;
use crate::error::{Result, argument};
use crate::options::Options;
use crate::watch::field;

/// A table: its numbers and how many each row has, as the option `columns` says or the first row does.
fn table(rows: &JsValue, options: &mut Options) -> Result<(Vec<f32>, usize)> {
    let first = match Array::is_array(rows) {
        true => Reflect::get_u32(rows, 0)?,
        false => JsValue::UNDEFINED,
    };
    let width = field(&first, "length").and_then(|width| width.as_f64());
    let said = options.count("columns")?;
    let columns = match (said, width.map(|width| width as usize)) {
        (Some(said), Some(width)) if said != width => {
            let rule = format!("{width}, the length of the first row; it may be left out");
            return Err(argument(options.path("columns"), said.to_string(), rule));
        }
        (Some(columns), _) | (None, Some(columns)) => columns,
        (None, None) => {
            let rule = "how many numbers each row has, since the rows are in one array";
            return Err(argument(options.path("columns"), "missing", rule));
        }
    };
    Ok((floats("rows", rows)?, columns))
}
