//! From the start of a process to the end of its first step, with empty caches and with the caches
//! that this very start has filled.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bench_common::protocol::Description;
use bench_common::workload::{Task, article, classifier, first_step};

use crate::process::Worker;
use crate::report::{Place, Row};

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("wgrad-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures both starts of W1 and W2 for each peer in turns.
pub fn measure(
    workers: &Path,
    peers: &[(String, Description)],
    place: &Place,
    rounds: usize,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (name, training) in [("W1", article(32)), ("W2", classifier())] {
        let task = Task::Fit { training: first_step(training), epochs: 1 };
        let mut seconds = vec![[Vec::new(), Vec::new()]; peers.len()];
        for round in 0..rounds {
            for turn in 0..peers.len() {
                let index = (round + turn) % peers.len();
                let folder = Folder::new(&format!("{name}-{round}-{index}"))?;
                for cache in &mut seconds[index] {
                    cache.push(once(workers, &peers[index].0, &folder.0, &task)?);
                }
            }
        }
        for (number, cache) in ["cold", "warm"].into_iter().enumerate() {
            for ((peer, description), seconds) in peers.iter().zip(&seconds) {
                let workload = format!("start {name} {cache}");
                let who = (peer.as_str(), description);
                rows.push(Row::new(place, &workload, who, &seconds[number], "s", None));
            }
        }
    }
    Ok(rows)
}

/// Seconds from spawning the worker to its first step's loss. Mesa's shader cache, and the caches
/// that a peer keeps in the user's or the current folder, lie in `folder`.
fn once(workers: &Path, peer: &str, folder: &Path, task: &Task) -> Result<f64, String> {
    let here: &OsStr = folder.as_os_str();
    let environment = [
        ("MESA_SHADER_CACHE_DIR", here),
        ("XDG_CACHE_HOME", here),
        ("XDG_CONFIG_HOME", here),
        ("HOME", here),
    ];
    let clock = Instant::now();
    let mut worker = Worker::start(workers, peer, &folder.join("log"), environment, folder)?;
    worker.prepare(task)?.map_err(|why| format!("{peer}: {why}"))?;
    worker.measure()?;
    Ok(clock.elapsed().as_secs_f64())
}
