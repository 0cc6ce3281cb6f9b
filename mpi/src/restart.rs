//! Starting a job again where a process of it dies: OpenMPI then ends all of it, and what is left are its checkpoints.

use std::ffi::OsString;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use wgrad::{Error, Result};

/// What a program ends with that failed, where another start may go well.
const MAY_PASS: u8 = 1;
/// What a program ends with that would fail again, as one that was called wrongly.
const COMES_AGAIN: u8 = 2;
/// What a program ends with that Ctrl-C ended: somebody wanted it so.
const INTERRUPTED: u8 = 130;
/// How much longer a process stays that only heard of an error: launchers end with the code of the process that ends
/// first.
const AFTER_YOU: Duration = Duration::from_secs(1);

/// Whether this process is one of an MPI job that a launcher started. Launchers say so in the environment: OpenMPI and
/// PMIx, MPICH and its like, Slurm.
pub fn is_in_job() -> bool {
    ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

/// Whether what went wrong may go well when the job is started again: a process or a device that is gone, hangs or is
/// not there yet, a file system that did not answer. An error of options, shapes, limits, data or numbers comes
/// again.
pub fn may_pass(error: &Error) -> bool {
    use std::io::ErrorKind as Kind;
    match error {
        Error::Lane { source, .. } => may_pass(source),
        Error::DeviceLost { .. }
        | Error::NoDevice { .. }
        | Error::OutOfMemory { .. }
        | Error::Timeout { .. }
        | Error::LaneStopped { .. }
        | Error::LaneTimeout { .. }
        | Error::LaneMessage { .. }
        | Error::Thread { .. } => true,
        Error::File { source, .. } => {
            !matches!(source.kind(), Kind::NotFound | Kind::PermissionDenied | Kind::StorageFull)
        }
        _ => false,
    }
}

/// The exit code for a process of a job that ends with `error`, by which [`run_with_restarts`] knows whether to start
/// it again: 1 if it [may pass](may_pass), else 2. Called when MPI is at its end; if another process has the cause,
/// it waits a second for that to end first.
pub fn exit_code(error: &Error) -> u8 {
    let cause = match error {
        Error::Lane { source, .. } => source,
        error => error,
    };
    if matches!(cause, Error::LaneStopped { .. }) {
        std::thread::sleep(AFTER_YOU);
    }
    if may_pass(cause) { MAY_PASS } else { COMES_AGAIN }
}

/// Runs this program as an MPI job, and again, `restarts` times at most, where it ends with an error that may pass:
/// with the arguments that `args` gives for each attempt, counted from 0, which have to name checkpoints to go on
/// from, behind the words of a launcher, such as `mpirun -n 4`. Each attempt takes the next launcher; those after the
/// last have the last. `say` is told how an attempt ended that is followed by another. An end with 2, as
/// [`exit_code`] has it, or with 130 is the last.
///
/// Whether the last attempt went well.
///
/// # Errors
/// [`Error::Argument`] if there is no launcher, or one cannot be started.
pub fn run_with_restarts(
    launchers: &[String],
    restarts: usize,
    args: impl Fn(usize) -> Vec<OsString>,
    mut say: impl FnMut(usize, ExitStatus),
) -> Result<bool> {
    let program = std::env::current_exe().map_err(|error| {
        Error::argument("this program", error, "a file that can be started again")
    })?;
    for attempt in 0..=restarts {
        let launcher = launchers.get(attempt).or(launchers.last());
        let mut words = launcher.map_or("", String::as_str).split_whitespace();
        let Some(name) = words.next() else {
            let rule = "the words that start a job, such as \"mpirun -n 4\"";
            return Err(Error::argument("launcher", "empty", rule));
        };
        let status = Command::new(name).args(words).arg(&program).args(args(attempt)).status();
        let status = status.map_err(|error| {
            let rule = "a command that starts an MPI job; install it, or name another";
            Error::argument("launcher", format!("{name}: {error}"), rule)
        })?;
        let ends = [COMES_AGAIN, INTERRUPTED].map(i32::from);
        let is_over = status.code().is_some_and(|code| ends.contains(&code));
        if status.success() || is_over || attempt == restarts {
            return Ok(status.success());
        }
        say(attempt, status);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_started_again_until_it_ends_well() {
        let run = |launchers: &[&str], restarts| {
            let launchers: Vec<String> = launchers.iter().map(|l| l.to_string()).collect();
            let mut ended = Vec::new();
            let well = run_with_restarts(
                &launchers,
                restarts,
                |_| Vec::new(),
                |attempt, _| ended.push(attempt),
            );
            (well.map_err(|error| error.to_string()), ended)
        };
        assert_eq!(run(&["true"], 3), (Ok(true), vec![]));
        assert_eq!(run(&["false", "false -n 2", "true"], 3), (Ok(true), vec![0, 1]));
        assert_eq!(run(&["false"], 2), (Ok(false), vec![0, 1]));
        // `ls` ends with 2 where there is no such file; the program is its argument.
        assert_eq!(run(&["false", "ls /no/such/file", "true"], 2), (Ok(false), vec![0]));
        assert!(run(&["no-such-launcher -n 4"], 2).0.unwrap_err().contains("no-such-launcher"));
        assert!(run(&[" "], 2).0.unwrap_err().contains("mpirun -n 4"));
    }

    #[test]
    fn what_comes_again_is_told_from_what_may_pass() {
        let lane = |source| Error::Lane {
            lane: 1,
            name: "lane 1".into(),
            step: 3,
            source: Box::new(source),
        };
        let lost = || Error::DeviceLost { during: "a step".into(), reason: "unplugged".into() };
        let file = |kind: std::io::ErrorKind| Error::File {
            path: "step-3.wgrad".into(),
            source: kind.into(),
        };
        let wrong = || Error::argument("batch size", 24, "25, as on rank 0");
        let nan = || Error::NotFinite { step: 3, epoch: 1, loss: None, mixed: false };
        assert_eq!([lost(), lane(lost())].map(|error| exit_code(&error)), [1, 1]);
        assert_eq!([wrong(), lane(wrong()), nan()].map(|error| exit_code(&error)), [2, 2, 2]);
        assert!(may_pass(&file(std::io::ErrorKind::TimedOut)));
        assert!(!may_pass(&file(std::io::ErrorKind::NotFound)));
    }
}
