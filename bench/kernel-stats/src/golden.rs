//! Whether a kernel got worse than what is committed.

use std::path::{Path, PathBuf};

use crate::report::{Report, Row};
use crate::{Outcome, words};

/// Where what is committed of a driver stands: by its name up to the minor version.
pub fn path(driver: &str) -> Outcome<PathBuf> {
    let version = driver.split("Mesa ").nth(1).unwrap_or_default();
    let number = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    let parts: Vec<String> = version.split('.').take(2).map(number).collect();
    match parts.as_slice() {
        [major, minor] if !major.is_empty() && !minor.is_empty() => {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
            Ok(folder.join(format!("kernels-mesa-{major}.{minor}.json")))
        }
        _ => Err(format!("'{driver}' names no version of Mesa")),
    }
}

/// What is committed for `driver`, if there is something.
pub fn read(driver: &str) -> Outcome<Option<Report>> {
    let path = path(driver)?;
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(words),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// What is worse in `found` than in `committed`, a line each.
pub fn worse(found: &Report, committed: &Report) -> Vec<String> {
    let mut worse = Vec::new();
    for step in &committed.workloads {
        match found.workloads.iter().find(|other| other.workload == step.workload) {
            None => worse.push(format!("{}: not found", step.workload)),
            Some(other) if other.dispatches > step.dispatches => worse.push(format!(
                "{}: {} dispatches, {} before",
                step.workload, other.dispatches, step.dispatches
            )),
            Some(_) => {}
        }
    }
    // The n-th kernel of a name in a workload is the n-th of that name.
    let same = |a: &Row, b: &Row| {
        (&a.workload, &a.kernel, &a.family) == (&b.workload, &b.kernel, &b.family)
    };
    for (at, row) in found.kernels.iter().enumerate() {
        let nth = found.kernels[..at].iter().filter(|other| same(other, row)).count();
        let Some(old) = committed.kernels.iter().filter(|other| same(other, row)).nth(nth) else {
            continue;
        };
        let mut says = |what: &str, now: f64, before: f64, is_worse: bool| {
            if is_worse {
                worse.push(format!(
                    "{}, {}, {}: {what} {now}, {before} before",
                    row.workload, row.family, row.kernel
                ));
            }
        };
        says("spilled", row.spilled, old.spilled, row.spilled > old.spilled);
        says("waves", row.waves, old.waves, row.waves < old.waves);
        says("fill", row.fill, old.fill, row.fill < 0.98 * old.fill);
        if let (Some(now), Some(before)) = (row.fma_share, old.fma_share) {
            says("share of multiply-adds", now, before, now < before - 0.005);
        }
        if let (Some(now), Some(before)) = (row.conflicts, old.conflicts) {
            says("cycles of workgroup memory", now.into(), before.into(), now > before);
        }
    }
    worse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Step;

    fn report() -> Report {
        let row = Row {
            workload: "W2".into(),
            kernel: "matmul_nn".into(),
            family: "navi21".into(),
            vgprs: Some(96.0),
            spilled: 0.0,
            lds: 12288.0,
            waves: 10.0,
            instructions: 900.0,
            subgroup: 64,
            fma_share: Some(0.9),
            mix: Some([570, 3, 3, 9]),
            workgroups: 16,
            fill: 0.5,
            conflicts: Some(384),
        };
        let step = Step { workload: "W2".into(), dispatches: 15, modelled: vec![], measured: None };
        Report {
            driver: "radv Mesa 25.0.7".into(),
            kernels: vec![row.clone(), row],
            workloads: vec![step],
        }
    }

    #[test]
    fn each_figure_that_is_worse_is_said() {
        let committed = report();
        assert!(worse(&committed, &committed).is_empty());
        let mut found = report();
        found.workloads[0].dispatches = 16;
        found.kernels[1].spilled = 2.0;
        found.kernels[1].waves = 8.0;
        found.kernels[1].fma_share = Some(0.89);
        found.kernels[1].fill = 0.4;
        found.kernels[1].conflicts = Some(400);
        assert_eq!(worse(&found, &committed).len(), 6);
        found.kernels[1] =
            Row { fma_share: Some(0.95), fill: 1.0, waves: 12.0, ..report().kernels[1].clone() };
        found.workloads[0].dispatches = 14;
        assert!(worse(&found, &committed).is_empty(), "better is not worse");
        found.workloads.clear();
        assert_eq!(worse(&found, &committed), ["W2: not found"]);
    }

    #[test]
    fn drivers_are_told_by_their_version() {
        let file = |driver| path(driver).unwrap().file_name().unwrap().to_owned();
        assert_eq!(file("radv Mesa 25.0.7-2~bpo12+1"), "kernels-mesa-25.0.json");
        assert_eq!(file("radv Mesa 22.3.6"), "kernels-mesa-22.3.json");
        assert!(path("NVIDIA 550.54").is_err());
    }
}
