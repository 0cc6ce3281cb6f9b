//! The types of options and results, for TypeScript.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

#[cfg(feature = "training")]
#[wasm_bindgen(typescript_custom_section)]
const TRAINING: &str = include_str!("training/types.d.ts");
