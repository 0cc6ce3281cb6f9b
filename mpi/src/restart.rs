//! Starting a job again where a process of it dies: OpenMPI then ends all of it, and what is left are its checkpoints.

use std::ffi::OsString;
use std::process::{Command, ExitStatus};

use wgrad::{Error, Result};

/// What a program ends with that was called wrongly, as command lines have it: to start it again would not help.
const USAGE: i32 = 2;

/// Whether this process is one of an MPI job that a launcher started. Launchers say so in the environment: OpenMPI and
/// PMIx, MPICH and its like, Slurm.
pub fn is_in_job() -> bool {
    ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

/// Runs this program as an MPI job, and again, `restarts` times at most, where it ends with an error: with the arguments
/// that `args` gives for each attempt, counted from 0, which have to name checkpoints to go on from, behind the words of a
/// launcher, such as `mpirun -n 4`. Each attempt takes the next launcher; those after the last have the last. `say` is
/// told how an attempt ended that is followed by another.
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
        if status.success() || status.code() == Some(USAGE) || attempt == restarts {
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
        assert!(run(&["no-such-launcher -n 4"], 2).0.unwrap_err().contains("no-such-launcher"));
        assert!(run(&[" "], 2).0.unwrap_err().contains("mpirun -n 4"));
    }
}
