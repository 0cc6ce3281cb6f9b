//! Turns the repository's GPU tests into modules of this crate: their text, with `#[test]` taken off,
//! a table of their tests put at the end, and the few things replaced that a browser lacks. Nothing of
//! what they check changes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const NOOP: &str = "wgpu's no-op device, which the browser's build leaves out";

const TILINGS: &str = "all tilings, which a driver compiles one by one; they run natively";
const WHOLE_STEP: &str = "a page's models train with these kernels only when asked to; random nets run natively on the same driver";
const MILLIONS: &str =
    "a minute each, of millions of elements; it runs natively on the same driver";

const MANY: &str = "many cases of what other tests run here; it runs natively";

const LONG: &str = "a minute; it runs natively, its kernels in others here";

const LANES_TOO: &str =
    "trains over lanes too, which have threads; the kernels that it is made of are tested here";

const MIXED: &str = "a page trains in 32 bits";

const NATIVE_CALLS: &str = "what it calls waits, which it does natively only; the kernels that it is made of are tested here";

/// Files under `tests/` that do not run here, and why; all others do.
const LEFT_OUT: &[(&str, &str)] = &[
    ("cluster", NATIVE_CALLS),
    ("data", "reads and writes files; no device"),
    ("data_properties", "no device"),
    ("decompose", NATIVE_CALLS),
    ("devices_lost", "a device may be lost at any moment only to another thread"),
    ("differentiation", "no device"),
    ("encoders", "waits for the device by polling it, which a page does by itself"),
    ("errors", NOOP),
    ("errors_executor", NOOP),
    ("errors_remedies", NOOP),
    ("explain", NATIVE_CALLS),
    ("filled", "waits for the device by polling it, which a page does by itself"),
    (
        "given_up",
        "catches panics, which end a module, and polls without the page, which answers only between polls",
    ),
    ("handles", NOOP),
    ("identities", NOOP),
    ("kernels_two", "a page runs each of two products in a dispatch of its own"),
    ("kernels_turns", "naga reads the shaders' texts"),
    ("kernels_f16", MIXED),
    ("lanes", "lanes have threads"),
    ("lanes_drivers", "lanes have threads, and a browser has one driver"),
    ("lanes_faults", "lanes have threads"),
    ("lanes_fit", "lanes have threads"),
    ("lanes_given_up", "lanes have threads"),
    ("lanes_limits", "lanes have threads"),
    ("lanes_measured", "lanes have threads"),
    ("lanes_mixed", "lanes have threads"),
    ("lanes_options", "lanes have threads"),
    ("lanes_random", "lanes have threads"),
    ("lanes_shards", "lanes have threads"),
    ("lanes_threads", "lanes have threads, and a page no processes"),
    ("lanes_wire", "lanes have threads"),
    ("lanes_world", "lanes have threads"),
    ("lanes_world_faults", "lanes have threads"),
    ("launch_limits", NOOP),
    ("layer_norm", LANES_TOO),
    ("layer_residual", LANES_TOO),
    ("layers", LANES_TOO),
    ("main", "lists the others"),
    ("model_encoder", "files of models, a feature that the package has not"),
    ("model_file", "reads and writes files"),
    ("model_file_mutated", "reads and writes files"),
    ("model_properties", NOOP),
    ("noop", NOOP),
    ("noop_limits", NOOP),
    ("noop_plans", NOOP),
    ("page", "makes the native run that the page is compared with"),
    ("onnx_models", "reads and writes files"),
    ("onnx_tables", "reads and writes files"),
    ("predictor", "threads, and waits for the device by polling it, which a page does by itself"),
    ("send", "a browser's page has one thread"),
    ("shaders", "naga reads the shaders' texts; no device"),
    ("source_passes", NATIVE_CALLS),
    ("sources", "reads and writes files"),
    ("sources_lanes", "has lanes, and files"),
    ("texels", "a page has no integers of 64 bits, without which products read no texels"),
    ("threads", "a browser's page has one thread"),
    ("timeline", "arithmetic and files; no device"),
    ("timestamps", "clocks of lanes, which have threads"),
    ("training_accumulated", LANES_TOO),
    ("training_dropout", LANES_TOO),
    ("plot", "pictures; no device"),
    ("training_frozen", LANES_TOO),
    ("training_l1", LANES_TOO),
    ("training_mixed", MIXED),
    ("training_own", LANES_TOO),
    ("training_weights", LANES_TOO),
    ("training_logged", "writes files"),
    ("training_resumed", "reads and writes files, has processes and lanes"),
];

/// Tests left out of those files that do run, and why.
const SKIPPED: &[(&str, &str)] = &[
    (
        "all_cases",
        "the folder with all of ONNX's cases is not the repository's; the 119 in the repository run",
    ),
    ("gradients_agree_with_the_twin", MANY),
    ("gradients_agree_with_the_twin_in_every_tiling", TILINGS),
    ("every_tiling", TILINGS),
    ("tilings_agree_to_the_bit", TILINGS),
    ("sums_in_parts_in_every_tiling", TILINGS),
    ("many_products_in_every_tiling", TILINGS),
    ("trajectories_of_the_reference", MANY),
    ("streamed_is_resident_bit_for_bit", MANY),
    ("keep_best_survives_every_end", MANY),
    ("random_graphs_and_their_gradients_agree_with_the_twin", MANY),
    ("single_gradients_agree_with_finite_differences", MANY),
    ("norms_of_every_size", MANY),
    ("every_kernel_at_its_limit_and_beyond", MILLIONS),
    ("random_nets_follow_the_reference", WHOLE_STEP),
    ("more_random_nets_follow_the_reference", WHOLE_STEP),
    ("still_more_random_nets_follow_the_reference", WHOLE_STEP),
    (
        "teams_take_fewer_turns",
        "a page may not ask which of several subgroups an invocation is in, so there is one team",
    ),
    ("parameters_in_chunks_are_updated_by_parts", LONG),
    ("nan_goes_wherever_it_is_looked_at", MANY),
    ("more_tiles_than_one_dimension_holds", MILLIONS),
    ("more_lines_than_one_dimension_holds", MILLIONS),
    ("no_call_panics", NOOP),
    ("ten_epochs_are_one_dispatch", NOOP),
    ("dispatches_are_bounded", NOOP),
    ("turns_of_loops_in_memory_are_bounded", NOOP),
    ("the_choice_is_said_and_refused_with_reasons", NOOP),
    ("texts_are_looked_at_when_they_are_added", "a browser looks at WGSL when it is compiled"),
];

fn main() {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let tests = manifest.join("../../../tests").canonicalize().unwrap();
    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    println!("cargo::rerun-if-changed={}", tests.display());
    let mut modules = String::new();
    for shared in ["common", "support"] {
        copy_folder(&tests.join(shared), &out.join(shared));
        let path = out.join(shared).join("mod.rs");
        writeln!(modules, "#[path = {path:?}]\npub mod {shared};").unwrap();
    }
    let (mut table, mut texts) = (String::new(), String::new());
    let mut files: Vec<_> =
        fs::read_dir(&tests).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        if LEFT_OUT.iter().any(|(left_out, _)| *left_out == name) {
            continue;
        }
        let path = out.join(format!("{name}.rs"));
        let text = fs::read_to_string(file).unwrap();
        fs::write(&path, test_file(&text)).unwrap();
        texts.push_str(&text);
        // Of tests that are skipped: extents that only 64 bits hold, and what follows a replacement.
        let allowed = "arithmetic_overflow, unreachable_code, unused_imports";
        writeln!(modules, "#[allow({allowed})]\n#[path = {path:?}]\nmod {name};").unwrap();
        writeln!(table, "    ({name:?}, {name}::TESTS),").unwrap();
    }
    for (name, _) in SKIPPED {
        assert!(
            texts.contains(&format!("fn {name}(")),
            "no test is called {name}, which is to be left out"
        );
    }
    let text = format!("{modules}\npub const FILES: &[(&str, &[Test])] = &[\n{table}];\n");
    fs::write(out.join("files.rs"), text).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &to);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        fs::write(to, adapt(&text)).unwrap();
    }
}

fn adapt(text: &str) -> String {
    // Files beside the folder of tests.
    let beside = format!("\"{}/../../../", env::var("CARGO_MANIFEST_DIR").unwrap());
    let mut text = text
        .replace("include_str!(\"../", &format!("include_str!({beside}"))
        .replace("#[path = \"../", &format!("#[path = {beside}"))
        .replace("std::fs::", "crate::files::")
        .replace("env!(\"CARGO_MANIFEST_DIR\")", "\"/\"")
        .replace(".recv_timeout(", ".recv_within(")
        .replace(
            "staging.map_async(wgpu::MapMode::Read, .., |result| result.expect(\"mapped\"));",
            "crate::blocking::map(&staging);",
        )
        // Of tests that are skipped.
        .replace("wgpu::Device::noop(&wgpu::DeviceDescriptor::default())", "unreachable!()");
    // A time limit by a thread; here the page's driver has one.
    if let Some(start) = text.find("fn within<") {
        let end = start + text[start..].find("\n}\n").unwrap() + 3;
        let plain = "fn within<T>(_: u64, work: impl FnOnce() -> T) -> T { work() }\n";
        text.replace_range(start..end, plain);
    }
    // After the inner attributes and comments, which must come first.
    let (head, body): (Vec<&str>, Vec<&str>) = {
        let lines: Vec<&str> = text.lines().collect();
        let first =
            lines.iter().position(|l| !l.starts_with("//!") && !l.starts_with("#!")).unwrap_or(0);
        (lines[..first].to_vec(), lines[first..].to_vec())
    };
    format!(
        "{}\n#[allow(unused_imports)] use crate::blocking::*;\n{}\n",
        head.join("\n"),
        body.join("\n")
    )
}

fn test_file(text: &str) -> String {
    let text = adapt(text);
    let mut lines = Vec::new();
    let mut tests: Vec<String> = Vec::new();
    let mut marked = false;
    for line in text.lines() {
        let code = line.trim_start();
        if code == "#[test]" {
            marked = true;
            continue;
        }
        if marked && let Some(rest) = code.strip_prefix("fn ") {
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            tests.push(name);
            marked = false;
        }
        lines.push(line);
    }
    let mut text = lines.join("\n");
    text.push_str("\n\npub const TESTS: &[crate::Test] = &[\n");
    for name in tests {
        let skipped = SKIPPED.iter().find(|(test, _)| *test == name).map_or("", |(_, why)| why);
        writeln!(text, "    crate::Test {{ name: {name:?}, run: {name}, skipped: {skipped:?} }},")
            .unwrap();
    }
    text.push_str("];\n");
    text
}
