//! What a peer costs to build: crates, time and bytes of the worker, whose own code is small.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use bench_common::protocol::Description;

use crate::report::{Place, Row, print_header, print_row};

/// Builds each peer's worker in an empty folder.
pub fn measure(peers: &[String]) -> Result<Vec<Row>, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut rows: Vec<Row> = Vec::new();
    print_header();
    for peer in peers {
        let target = std::env::temp_dir().join(format!("wgrad-bench-size-{}", std::process::id()));
        let built = build(&here, peer, &target);
        let _ = std::fs::remove_dir_all(&target);
        let (crates, seconds, bytes) = built?;
        for (name, value, unit) in [
            ("size crates", crates, "crates"),
            ("size clean build", seconds, "s"),
            ("size stripped binary", bytes / f64::from(1 << 20), "MiB"),
        ] {
            let place = Place { adapter: "none".into(), driver: "none".into() };
            let description =
                Description { version: "locked".into(), adapter: String::new(), driver: None };
            rows.push(Row::new(&place, name, (peer, &description), &[value], unit, None));
        }
    }
    for row in &rows {
        print_row(row, crate::report::advantage(&rows, row));
    }
    Ok(rows)
}

/// Crates compiled, seconds and bytes.
fn build(workspace: &Path, peer: &str, target: &PathBuf) -> Result<(f64, f64, f64), String> {
    let package = format!("bench-{peer}");
    let clock = Instant::now();
    let output = Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", &package])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(workspace)
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let seconds = clock.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{package} does not build:\n{said}"));
    }
    let crates = said.lines().filter(|line| line.trim_start().starts_with("Compiling")).count();
    let stripped = target.join("stripped");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(target.join("release").join(&package))
        .status()
        .map_err(|error| format!("strip: {error}"))?;
    if !status.success() {
        return Err(format!("strip failed on {package}"));
    }
    let bytes = std::fs::metadata(&stripped).map_err(|error| error.to_string())?.len();
    Ok((crates as f64, seconds, bytes as f64))
}
