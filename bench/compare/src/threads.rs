//! Holds the compute threads of lavapipe to a core each.
//!
//! lavapipe has as many of them as there are cores, and wakes them anew for each dispatch. For seconds
//! at a time the scheduler of Linux wakes two of them on one core, where short dispatches are over
//! before it moves one away; whose turn that hits is chance, and costs up to half of the speed.

/// lavapipe names the threads of its rasterizer so, with a number. The threads that compute have no
/// name; it starts as many of them just after those.
const NAMED: &str = "llvmpipe-";

/// The compute threads among a process's `threads`, which are numbers and names.
fn computing(threads: &mut [(i32, String)]) -> Vec<i32> {
    threads.sort();
    let named: Vec<usize> =
        (0..threads.len()).filter(|&i| threads[i].1.starts_with(NAMED)).collect();
    let after = named.last().map_or(threads.len(), |last| last + 1);
    threads[after..].iter().take(named.len()).map(|&(thread, _)| thread).collect()
}

/// Holds each of process `id`'s compute threads to a core of its own; returns how many there are. It is
/// none with other drivers, and where there are no such calls.
#[cfg(target_os = "linux")]
pub fn hold(id: u32) -> Result<usize, String> {
    use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
    use std::fs::{read_dir, read_to_string};
    let folder = format!("/proc/{id}/task");
    let about = |error: std::io::Error| format!("{folder}: {error}");
    let mut threads = Vec::new();
    for entry in read_dir(&folder).map_err(about)? {
        let entry = entry.map_err(about)?;
        let number = entry.file_name().to_string_lossy().parse();
        // A thread that has ended meanwhile was none of those.
        if let (Ok(number), Ok(name)) = (number, read_to_string(entry.path().join("comm"))) {
            threads.push((number, name));
        }
    }
    let allowed = sched_getaffinity(None).map_err(|error| about(error.into()))?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    let threads = computing(&mut threads);
    for (&thread, &core) in threads.iter().zip(cores.iter().cycle()) {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(Pid::from_raw(thread), &set).map_err(|error| about(error.into()))?;
    }
    Ok(threads.len())
}

#[cfg(not(target_os = "linux"))]
pub fn hold(_id: u32) -> Result<usize, String> {
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_compute_come_after_those_with_names() {
        let of = |names: &[(i32, &str)]| {
            let mut threads: Vec<_> = names.iter().map(|&(n, name)| (n, name.into())).collect();
            computing(&mut threads)
        };
        let two = [(9, "burn\n"), (14, "disk\n"), (10, "llvmpipe-0\n"), (11, "llvmpipe-1\n")];
        let with = |more: &[(i32, &'static str)]| of(&[&two[..], more].concat());
        assert_eq!(with(&[(12, "burn\n"), (13, "burn\n"), (15, "burn\n")]), [12, 13]);
        assert_eq!(with(&[]), [14], "what there is");
        assert_eq!(of(&[(9, "burn\n"), (10, "Thread<00>\n")]), [] as [i32; 0]);
        assert_eq!(of(&[]), [] as [i32; 0]);
    }

    /// The number of a process whose threads can be read, and held: this one has no such threads.
    #[test]
    fn other_processes_are_left_alone() {
        assert_eq!(hold(std::process::id()), Ok(0));
    }
}
