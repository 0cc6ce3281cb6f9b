//! The loop that every worker runs.

use std::io::{BufRead, Write};
use std::time::Instant;

use crate::protocol::{Description, Measured, Reply, Request};
use crate::workload::Task;

/// A library under measurement.
pub trait Peer {
    /// # Errors
    /// If there is no device.
    fn describe(&mut self) -> Result<Description, String>;

    /// Builds what a task needs before its clock starts.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] if the peer has no such thing.
    fn prepare(&mut self, task: &Task) -> Result<Box<dyn Trial>, Refusal>;
}

/// A task that is ready to be done.
pub trait Trial {
    /// Does it once, from the same initial weights every time.
    ///
    /// # Errors
    /// The peer's.
    fn run(&mut self) -> Result<Measured, String>;
}

pub enum Refusal {
    Unsupported(&'static str),
    Failed(String),
}

impl<E: std::fmt::Display> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal::Failed(error.to_string())
    }
}

/// The version of a package in the lock file of this workspace.
pub fn locked_version(package: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let entry = format!("name = \"{package}\"\nversion = \"");
    let version = lock.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
    version.unwrap_or("unknown").into()
}

/// Any error, in words.
pub fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Times `run`, which gives what there is to check.
///
/// # Errors
/// Those of `run`.
pub fn timed(run: impl FnOnce() -> Result<f64, String>) -> Result<Measured, String> {
    let clock = Instant::now();
    let check = run()?;
    Ok(Measured { seconds: vec![clock.elapsed().as_secs_f64()], check })
}

/// Times each of `calls` calls of `run`; the check is that of the last.
///
/// # Errors
/// Those of `run`.
pub fn timed_each(
    calls: usize,
    mut run: impl FnMut() -> Result<Vec<f32>, String>,
) -> Result<Measured, String> {
    let mut seconds = Vec::new();
    let mut outputs = Vec::new();
    for _ in 0..calls {
        let clock = Instant::now();
        outputs = run()?;
        seconds.push(clock.elapsed().as_secs_f64());
    }
    Ok(Measured { seconds, check: crate::data::weighted_mean(&outputs) })
}

/// Answers requests until standard input ends.
pub fn serve(mut peer: impl Peer) {
    let mut trial: Option<Box<dyn Trial>> = None;
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let reply = match serde_json::from_str(&line) {
            Err(error) => Reply::Failed(format!("request '{line}': {error}")),
            Ok(Request::Describe) => peer.describe().map_or_else(Reply::Failed, Reply::Description),
            Ok(Request::Prepare(task)) => {
                trial = None;
                match peer.prepare(&task) {
                    Ok(ready) => {
                        trial = Some(ready);
                        Reply::Prepared
                    }
                    Err(Refusal::Unsupported(why)) => Reply::Unsupported(why.into()),
                    Err(Refusal::Failed(why)) => Reply::Failed(why),
                }
            }
            Ok(Request::Measure) => match &mut trial {
                Some(trial) => trial.run().map_or_else(Reply::Failed, Reply::Measured),
                None => Reply::Failed("nothing is prepared".into()),
            },
        };
        let mut out = std::io::stdout().lock();
        let text = serde_json::to_string(&reply).expect("replies are plain data");
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
}
