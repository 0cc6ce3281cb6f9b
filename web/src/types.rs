//! The types of options and results, for TypeScript.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

#[cfg(feature = "training")]
#[wasm_bindgen(typescript_custom_section)]
const TRAINING: &str = include_str!("training/types.d.ts");

#[cfg(feature = "tasks")]
#[wasm_bindgen(typescript_custom_section)]
const TASKS: &str = include_str!("tasks/types.d.ts");

#[cfg(any(feature = "tasks", feature = "training"))]
#[wasm_bindgen(typescript_custom_section)]
const WATCHED: &str = include_str!("watch.d.ts");
