//! `bindgen WASM OUT_DIR NAME [--typescript]` writes `NAME.js` and `NAME_bg.wasm` for the web, and their
//! types if asked for, into a folder.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (wasm, folder, name, typescript) = match &arguments[..] {
        [wasm, folder, name] => (wasm, folder, name, false),
        [wasm, folder, name, option] if option == "--typescript" => (wasm, folder, name, true),
        _ => {
            eprintln!("usage: bindgen WASM OUT_DIR NAME [--typescript]");
            return ExitCode::FAILURE;
        }
    };
    let mut bindgen = Bindgen::new();
    let made = bindgen
        .input_path(wasm)
        .out_name(name)
        .typescript(typescript)
        // The glue finds the .wasm file beside itself.
        .omit_default_module_path(false)
        .web(true)
        .and_then(|bindgen| bindgen.generate(folder));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindgen: {wasm}: {error:?}");
            ExitCode::FAILURE
        }
    }
}
