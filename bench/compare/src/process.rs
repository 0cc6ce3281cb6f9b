//! A worker process and the questions it is asked. Between its answers it is halted, so that what a
//! library's threads do while they have nothing to do (polling, mostly) is not paid for by the next.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bench_common::protocol::{Description, Measured, Reply, Request};
use bench_common::workload::Task;

/// The longest that a worker may take for one answer; the first run of a task may tune its kernels.
const PATIENCE: Duration = Duration::from_secs(900);

pub struct Worker {
    pub peer: String,
    child: Child,
    requests: ChildStdin,
    replies: Receiver<String>,
}

impl Worker {
    /// Starts the worker of `peer`; what it says on standard error goes to `log`.
    pub fn start<'a>(
        workers: &Path,
        peer: &str,
        log: &Path,
        environment: impl IntoIterator<Item = (&'a str, &'a OsStr)>,
        folder: &Path,
    ) -> Result<Self, String> {
        let program = workers.join(format!("bench-{peer}"));
        let about = |error: std::io::Error| format!("{}: {error}", program.display());
        let log = std::fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()))?;
        let mut child = Command::new(&program)
            .envs(environment)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(about)?;
        let (Some(requests), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{}: no pipes", program.display()));
        };
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { peer: peer.into(), child, requests, replies })
    }

    fn ask(&mut self, request: &Request) -> Result<Reply, String> {
        let text = serde_json::to_string(request).map_err(|error| error.to_string())?;
        self.halt(false)?;
        writeln!(self.requests, "{text}")
            .and_then(|()| self.requests.flush())
            .map_err(|error| format!("{} does not listen: {error}", self.peer))?;
        let line = self
            .replies
            .recv_timeout(PATIENCE)
            .map_err(|_| format!("{} ended, or took more than {PATIENCE:?}", self.peer))?;
        self.halt(true)?;
        match serde_json::from_str(&line) {
            Ok(Reply::Failed(why)) => Err(format!("{} failed: {why}", self.peer)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(format!("{} said '{line}': {error}", self.peer)),
        }
    }

    pub fn describe(&mut self) -> Result<Description, String> {
        match self.ask(&Request::Describe)? {
            Reply::Description(description) => Ok(description),
            other => Err(self.strange(&other)),
        }
    }

    /// Whether the peer can do the task, for which it is then ready.
    pub fn prepare(&mut self, task: &Task) -> Result<Result<(), String>, String> {
        match self.ask(&Request::Prepare(task.clone()))? {
            Reply::Prepared => Ok(Ok(())),
            Reply::Unsupported(why) => Ok(Err(why)),
            other => Err(self.strange(&other)),
        }
    }

    pub fn measure(&mut self) -> Result<Measured, String> {
        match self.ask(&Request::Measure)? {
            Reply::Measured(measured) => Ok(measured),
            other => Err(self.strange(&other)),
        }
    }

    /// Holds the driver's compute threads to a core each; returns how many threads on how many cores.
    pub fn hold_threads(&self) -> Result<[usize; 2], String> {
        crate::threads::hold(self.child.id()).map_err(|error| format!("{}: {error}", self.peer))
    }

    /// Halts the process, or lets it go on. Where there are no signals, all stay awake.
    fn halt(&self, halt: bool) -> Result<(), String> {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            let signal = if halt { Signal::STOP } else { Signal::CONT };
            kill_process(Pid::from_child(&self.child), signal)
                .map_err(|error| format!("{} cannot be halted or go on: {error}", self.peer))?;
        }
        #[cfg(not(unix))]
        let _ = halt;
        Ok(())
    }

    fn strange(&self, reply: &Reply) -> String {
        format!("{} gave an answer to another question: {reply:?}", self.peer)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its own process only; it may be tuning or gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
