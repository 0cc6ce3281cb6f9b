//! What the examples share: their common options, the report that `--json` writes, a progress bar.
#![allow(dead_code, reason = "no example uses all of it")]

pub mod article;
#[cfg(feature = "timeline")]
pub mod lanes;
pub mod png;

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use wgrad::{AdapterChoice, Counters, Gpu};

/// What an example's own functions return: any error will do, it is only printed.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The options that every example takes.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Part of the name of the adapter or its driver [default: the best adapter]
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// Write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The smallest run that still goes through everything
    #[arg(long)]
    pub quick: bool,
}

impl Options {
    /// A device on the adapter asked for.
    pub fn device(&self) -> Outcome<Gpu> {
        let choice = match &self.adapter {
            Some(name) => AdapterChoice::named(name),
            None => AdapterChoice::default(),
        };
        Ok(Gpu::with_adapter_blocking(&choice)?)
    }

    /// As [`Options::device`], which is printed.
    pub fn gpu(&self) -> Outcome<Gpu> {
        let gpu = self.device()?;
        println!("adapter: {}", gpu.describe());
        Ok(gpu)
    }

    /// The size given, or the one of `--quick`, or the usual one.
    pub fn size(&self, given: Option<NonZeroUsize>, usual: usize, quick: usize) -> usize {
        given.map_or(if self.quick { quick } else { usual }, NonZeroUsize::get)
    }
}

/// Ends an example: an error is printed, and makes the exit status 1.
pub fn exit(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The figures of a run, for `--json`.
pub struct Report {
    path: Option<PathBuf>,
    figures: Map<String, Value>,
    seconds: Map<String, Value>,
    start: Instant,
}

impl Report {
    /// Begins the report of `example`, and its clock. Where it ran is added by [`Report::device`].
    pub fn new(example: &str, options: &Options) -> Self {
        let mut figures = Map::new();
        figures.insert("example".into(), example.into());
        let path = options.json.clone();
        Self { path, figures, seconds: Map::new(), start: Instant::now() }
    }

    /// Notes the adapter, its driver and the API behind it.
    pub fn device(&mut self, info: &wgpu::AdapterInfo) {
        self.set("adapter", info.name.as_str());
        self.set("driver", format!("{} {}", info.driver, info.driver_info).trim());
        self.set("backend", info.backend.to_str());
    }

    /// Notes a figure.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.into(), value.into());
    }

    /// Notes how long something took.
    pub fn seconds(&mut self, what: &str, seconds: f64) {
        self.seconds.insert(what.into(), seconds.into());
    }

    /// Notes and prints what was done on the device.
    pub fn counters(&mut self, counters: Counters) {
        let entries = counters.entries();
        let words: Vec<String> = entries.iter().map(|(name, n)| format!("{name} {n}")).collect();
        println!("counters: {}", words.join(", "));
        self.set("counters", object(&entries));
    }

    /// Notes and prints what was done on the devices of all lanes together, and notes it for each.
    pub fn counters_of_lanes(&mut self, lanes: &[Gpu]) {
        let each: Vec<_> = lanes.iter().map(|gpu| gpu.counters().entries()).collect();
        let names = Counters::default().entries();
        let sum =
            |name| each.iter().flatten().filter(move |entry| entry.0 == name).map(|entry| entry.1);
        let total: Vec<_> = names.into_iter().map(|(name, _)| (name, sum(name).sum())).collect();
        let words: Vec<String> = total.iter().map(|(name, n)| format!("{name} {n}")).collect();
        println!("counters of all lanes: {}", words.join(", "));
        self.set("counters", object(&total));
        self.set(
            "counters_of_lanes",
            each.iter().map(|entries| object(entries)).collect::<Vec<_>>(),
        );
    }

    /// Seconds since the report began.
    pub fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Writes the file, if one was asked for.
    pub fn write(mut self) -> Outcome {
        self.seconds("total", self.elapsed());
        self.figures.insert("seconds".into(), self.seconds.into());
        if let Some(path) = &self.path {
            let text = format!("{:#}\n", Value::Object(self.figures));
            std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}

/// Counts by their names.
fn object(entries: &[(&'static str, u64)]) -> Value {
    entries.iter().map(|&(name, n)| (name.to_string(), Value::from(n))).collect()
}

/// SHA-256 of the bits of all weights, in hexadecimal digits: equal hashes mean that two runs ended
/// alike to the last bit.
pub fn fingerprint<'a>(weights: impl IntoIterator<Item = &'a [f32]>) -> String {
    let mut hash = Sha256::new();
    for weight in weights.into_iter().flatten() {
        hash.update(weight.to_le_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
