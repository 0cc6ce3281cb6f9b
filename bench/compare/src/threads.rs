//! Holds the compute threads of lavapipe to a core each.
//!
//! lavapipe has as many of them as there are cores, and wakes them anew for each dispatch. For seconds
//! at a time the scheduler of Linux wakes two of them on one core, where short dispatches are over
//! before it moves one away; whose turn that hits is chance, and costs up to a third of the speed.

/// lavapipe names the threads of its rasterizer so, and a number. The threads that compute have the
/// name of the process; it starts as many of them just after those.
const RASTERIZER: &str = "llvmpipe-";

/// The compute threads among a process's `threads`, numbers and names in the order in which they were
/// started: none if there is no rasterizer.
fn computing(threads: &[(i32, String)]) -> Result<Vec<i32>, String> {
    let names: Vec<&str> = threads.iter().map(|(_, name)| name.trim_end()).collect();
    let Some(first) = names.iter().position(|name| name.starts_with(RASTERIZER)) else {
        return Ok(Vec::new());
    };
    let named = names[first..].iter().take_while(|name| name.starts_with(RASTERIZER)).count();
    let (from, to) = (first + named, first + 2 * named);
    let after = names.get(from..to).unwrap_or_default();
    let known = |name: &&str| name.starts_with(RASTERIZER) || name.contains(":disk");
    if after.is_empty()
        || after.iter().any(known)
        || names[to..].iter().any(|n| n.starts_with(RASTERIZER))
    {
        return Err(format!("cannot tell lavapipe's compute threads among {names:?}"));
    }
    Ok(threads[from..to].iter().map(|&(thread, _)| thread).collect())
}

/// Holds each compute thread of the process `id` to a core; returns how many threads on how many cores.
/// There are none with other drivers, and where there are no such calls.
#[cfg(target_os = "linux")]
pub fn hold(id: u32) -> Result<[usize; 2], String> {
    use std::fs::{read_dir, read_to_string};
    let folder = format!("/proc/{id}/task");
    let about = |error: std::io::Error| format!("{folder}: {error}");
    let mut threads = Vec::new();
    // Linux lists them in the order in which they were started.
    for entry in read_dir(&folder).map_err(about)? {
        let entry = entry.map_err(about)?;
        let number = entry.file_name().to_string_lossy().parse();
        // A thread that has ended meanwhile was none of those.
        if let (Ok(number), Ok(name)) = (number, read_to_string(entry.path().join("comm"))) {
            threads.push((number, name));
        }
    }
    hold_each(&computing(&threads)?)
}

#[cfg(target_os = "linux")]
fn hold_each(threads: &[i32]) -> Result<[usize; 2], String> {
    use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
    if threads.is_empty() {
        return Ok([0, 0]);
    }
    let allowed =
        sched_getaffinity(None).map_err(|error| format!("this machine's cores: {error}"))?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    for (&thread, &core) in threads.iter().zip(cores.iter().cycle()) {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(Pid::from_raw(thread), &set)
            .map_err(|error| format!("thread {thread} cannot be held to core {core}: {error}"))?;
    }
    Ok([threads.len(), cores.len().min(threads.len())])
}

#[cfg(not(target_os = "linux"))]
pub fn hold(_id: u32) -> Result<[usize; 2], String> {
    Ok([0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_compute_come_after_those_with_names() {
        let of = |names: &[(i32, &str)]| {
            let threads: Vec<_> = names.iter().map(|&(n, name)| (n, format!("{name}\n"))).collect();
            computing(&threads)
        };
        let two = [(9, "burn"), (10, "llvmpipe-0"), (11, "llvmpipe-1")];
        let with = |more: &[(i32, &'static str)]| of(&[&two[..], more].concat());
        let disk = (14, "burn:disk$0");
        assert_eq!(with(&[(12, "burn"), (13, "burn"), disk, (15, "burn")]), Ok(vec![12, 13]));
        assert_eq!(with(&[(3, "burn"), (2, "burn")]), Ok(vec![3, 2]), "numbers begin anew");
        assert_eq!(of(&[(9, "burn"), (10, "Thread<00>")]), Ok(vec![]));
        assert_eq!(of(&[]), Ok(vec![]));
        assert!(with(&[]).is_err() && with(&[(12, "burn")]).is_err(), "fewer than have names");
        assert!(with(&[(12, "burn"), disk]).is_err());
        let twice = [(12, "burn"), (13, "burn"), (14, "llvmpipe-0"), (15, "llvmpipe-1")];
        assert!(with(&twice).is_err(), "two of the driver in one process");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_held_to_one_core() {
        use rustix::thread::{gettid, sched_getaffinity};
        let cores = || sched_getaffinity(None).unwrap().count();
        std::thread::spawn(move || {
            let this = gettid().as_raw_nonzero().get();
            assert_eq!(hold_each(&[this]), Ok([1, 1]));
            assert_eq!(cores(), 1);
        })
        .join()
        .unwrap();
        assert_eq!(hold(std::process::id()), Ok([0, 0]), "this process has no such threads");
    }
}
