//! What more processes bring, measured: the files are for wgrad's own example `scaling`, which computes from them what
//! up to 1,024 would.
//!
//! ```sh
//! mpirun -n 2 target/release/examples/scaling --net w2 --json two.json # and with -n 1, 3, 4
//! ```
//!
//! One process measures `Model::fit`, and a lane's step on all rows and on parts of them; several measure replicas, a
//! lane's step on its share while all others do the same and nothing is exchanged, and what a message costs. The nets are those of `examples/scaling/net.rs`.

#[path = "../../examples/scaling/net.rs"]
mod net;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use net::Net;
use serde_json::{Value, json};
use wgrad::lanes::exchange::{Content, Exchange, Message, Payload, RunId};
use wgrad::lanes::{Parallel, ParallelOptions, Schedule};
use wgrad::prelude::*;
use wgrad_mpi::{Mpi, adapter_of};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Measures steps of one net; every process of a job is called so
#[derive(Parser)]
struct Args {
    #[arg(long, value_enum)]
    net: Net,
    /// Epochs of a round
    #[arg(long, default_value_t = 4)]
    epochs: usize,
    /// Rounds, of which all times are written, and the fastest of a lane's own work
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the figures go, on rank 0
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
}

fn main() -> ExitCode {
    let Args { net, epochs, rounds, json } = Args::parse();
    match start(net, epochs, rounds, &json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(net: Net, epochs: usize, rounds: usize, json: &Path) -> Outcome {
    let mpi = Mpi::start(1)?;
    measure(&mpi, net, (epochs, rounds), json)?;
    mpi.end();
    Ok(())
}

/// Seconds per step in each round, sorted.
fn timed(rounds: usize, steps: usize, mut round: impl FnMut() -> Outcome) -> Outcome<Vec<f64>> {
    round()?; // compiles
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        round()?;
        seconds.push(begun.elapsed().as_secs_f64() / steps as f64);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

/// What the system calls the processor, where it says so.
fn processor() -> String {
    let said = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = said.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = line.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}; {cores} cores for this process")
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn measure(mpi: &Mpi, net: Net, (epochs, rounds): (usize, usize), json: &Path) -> Outcome {
    let gpu = Gpu::with_adapter_blocking(&adapter_of(mpi.local_rank()))?;
    let (batch, batches) = net.batches();
    let fit = || FitOptions::new(epochs).batch_size(batch).shuffle(7);
    let world = mpi.world()?;
    let (ranks, steps) = (world.ranks(), epochs * batches);
    let mut figures = json!({
        "net": format!("{net:?}").to_lowercase(),
        "ranks": ranks,
        "adapter": gpu.describe(),
        "processor": processor(),
        "mpi": mpi.library(),
        "steps_per_round": steps,
    });
    // A lane's own work: what one of so many processes has to do.
    let of_share = |count: usize| -> Outcome<Vec<f64>> {
        let rows = batch / count;
        let options = ParallelOptions::new(rows, 1, Schedule::Overlapped);
        let options = ParallelOptions { keep_state: false, ..options };
        let data = net.data(rows * batches)?;
        let lanes = std::slice::from_ref(&gpu);
        let mut lane = Parallel::new_blocking(net.model(), net.config(), data, options, lanes)?;
        let fit = || FitOptions::new(epochs).shuffle(7);
        timed(rounds, steps, || Ok(lane.fit_blocking(fit()).map(drop)?))
    };
    if ranks == 1 {
        let data = net.data(batch * batches)?;
        let mut model = net.model().compile_blocking(&gpu, net.config())?;
        let times = timed(rounds, steps, || Ok(model.fit_blocking(&data, fit()).map(drop)?))?;
        figures["fit_s"] = json!(times);
        let shares = (1..=4).map(|count| Ok(json!([batch / count, of_share(count)?.first()])));
        figures["rows_s"] = json!(shares.collect::<Outcome<Vec<Value>>>()?);
    } else {
        let options = ParallelOptions {
            world: Some(world.clone()),
            exchange: mpi.exchange()?,
            keep_state: false,
            ..ParallelOptions::new(batch, ranks, Schedule::data_parallel())
        };
        let data = net.data(batch * batches)?;
        let lanes = std::slice::from_ref(&gpu);
        let mut lanes = Parallel::new_blocking(net.model(), net.config(), data, options, lanes)?;
        let times = timed(rounds, steps, || Ok(lanes.fit_blocking(fit()).map(drop)?))?;
        figures["step_s"] = json!(times);
        figures["own_s"] = json!(of_share(ranks)?);
        lanes.record(true);
        lanes.run(0..batches.min(4))?;
        let timeline = lanes.timeline().ok_or("no timeline")?;
        figures["hidden"] = json!(timeline.exchange_hidden());
        // Seconds a step of each kind of work on the first lane.
        let mut spans: BTreeMap<String, f64> = BTreeMap::new();
        for span in timeline.spans.iter().filter(|span| span.lane == 0) {
            let name = format!("{} {}", span.activity, span.name);
            *spans.entry(name).or_default() += (span.end - span.start) / batches.min(4) as f64;
        }
        figures["spans_s"] = json!(spans);
        let busy: Vec<f64> = (0..timeline.lanes.len()).map(|lane| timeline.busy(lane)).collect();
        figures["busy"] = json!(busy);
        drop(lanes);
        let exchange = mpi.exchange()?;
        // A short message there and back, and a long one.
        figures["ping_s"] = json!(ping(&*exchange, mpi.rank(), 0, 200)? / 2.0);
        figures["mebibyte_s"] = json!(ping(&*exchange, mpi.rank(), 1 << 20, 50)? / 2.0);
    }
    if mpi.is_first() {
        println!("{figures:#}");
        std::fs::write(json, format!("{figures:#}\n"))
            .map_err(|error| format!("{}: {error}", json.display()))?;
    }
    Ok(())
}

/// Seconds for a message of `bytes` from rank 0 to rank 1 and back: the median.
fn ping(exchange: &dyn Exchange, rank: usize, bytes: usize, times: u64) -> Outcome<f64> {
    let payload: Payload = vec![1; bytes].into();
    let run = RunId::of((1 << 63) | bytes as u64);
    let mut seconds = Vec::new();
    let name = |from, to, step| Message { run, from, to, step, content: Content::Word };
    let wait = |message| -> Outcome {
        let received = exchange.receive(message, Duration::from_secs(60))?;
        received.map(drop).ok_or_else(|| "no answer in a minute".into())
    };
    for step in 0..times {
        let begun = Instant::now();
        match rank {
            0 => {
                exchange.send(name(0, 1, step), payload.clone())?;
                wait(name(1, 0, step))?;
                seconds.push(begun.elapsed().as_secs_f64());
            }
            1 => {
                wait(name(0, 1, step))?;
                exchange.send(name(1, 0, step), payload.clone())?;
            }
            _ => {}
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(if seconds.is_empty() { 0.0 } else { median(&seconds) })
}
