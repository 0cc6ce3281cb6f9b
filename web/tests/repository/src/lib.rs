//! The repository's GPU tests for the browser: a table of them, and a way to run one.

pub mod blocking;
pub mod files;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

use wasm_bindgen::prelude::*;

/// One test.
pub struct Test {
    pub name: &'static str,
    pub run: fn(),
    /// Why it is not to be run, or nothing.
    pub skipped: &'static str,
}

#[wasm_bindgen]
extern "C" {
    /// Takes what a test panics with.
    #[wasm_bindgen(js_namespace = globalThis, js_name = testPanicked)]
    fn panicked(message: &str);
}

#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|info| panicked(&info.to_string())));
}

fn all() -> impl Iterator<Item = (&'static str, &'static Test)> {
    FILES.iter().flat_map(|(file, tests)| tests.iter().map(move |test| (*file, test)))
}

/// File, name and reason to skip of every test, a line each with tabs between.
#[wasm_bindgen]
pub fn tests() -> String {
    let line = |(file, test): (&str, &Test)| format!("{file}\t{}\t{}", test.name, test.skipped);
    all().map(line).collect::<Vec<_>>().join("\n")
}

/// Runs test number `index`. To be called through `WebAssembly.promising`.
#[unsafe(no_mangle)]
pub extern "C" fn run_test(index: u32) {
    if let Some((_, test)) = all().nth(index as usize) {
        (test.run)();
    }
}
