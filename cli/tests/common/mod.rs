//! Runs the command as people do.
#![allow(dead_code, reason = "not every program of tests needs all of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// An empty folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => fs::create_dir_all(&folder).unwrap(),
    }
    folder
}

pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.current_dir(folder).args(args).stdin(Stdio::null());
    command
}

pub fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

/// Runs the command, which must succeed, and gives its standard output.
pub fn out(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "wgrad {}: {said}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the command, which must fail with this exit code, having said nothing on standard output; gives what it
/// says of it.
pub fn fails(folder: &Path, code: i32, args: &[&str]) -> String {
    let output = run(folder, args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "wgrad {}: {said}", args.join(" "));
    assert!(output.stdout.is_empty());
    said
}

pub fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{said:?} does not say {part:?}");
    }
}

pub fn json(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
