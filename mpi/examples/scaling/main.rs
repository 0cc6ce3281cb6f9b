//! What more processes bring: measured with as many as there are cores for, and by a model up to 1,024.
//!
//! ```sh
//! mpirun -n 2 target/release/examples/scaling measure --net w2 --json two.json # and with -n 1, 3, 4
//! target/release/examples/scaling forecast one.json two.json three.json --svg scaling.svg
//! ```
//!
//! With one process it measures `Model::fit`, and a lane's step on all rows and on parts of them; with two also what a
//! message costs. From these the model computes steps of any number of processes, beside what was measured.

mod chart;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use wgrad::lanes::exchange::{Content, Exchange, Message, Payload, RunId};
use wgrad::lanes::{Parallel, ParallelOptions, Schedule};
use wgrad::prelude::*;
use wgrad_mpi::{Mpi, adapter_of};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Nets of the benchmarks, and a small one, most of whose exchange is messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Net {
    /// 784-512-512-10 on batches of 256 rows
    W2,
    /// 32-64-64-64-64-16 on batches of 4096 rows
    W3,
    /// 32-64-64-1 on batches of 256 rows
    Small,
}

impl Net {
    fn named(name: &str) -> Outcome<Self> {
        Ok(Self::from_str(name, true)?)
    }

    fn widths(self) -> &'static [usize] {
        match self {
            Net::W2 => &[784, 512, 512, 10],
            Net::W3 => &[32, 64, 64, 64, 64, 16],
            Net::Small => &[32, 64, 64, 1],
        }
    }

    /// Rows of a batch, and batches of an epoch.
    fn batches(self) -> (usize, usize) {
        match self {
            Net::W2 => (256, 8),
            Net::W3 => (4096, 4),
            Net::Small => (256, 8),
        }
    }

    fn model(self) -> Sequential {
        let widths = self.widths();
        let hidden = &widths[1..widths.len() - 1];
        let net = hidden.iter().fold(Sequential::new(widths[0]), |net, &w| net.dense(w).relu());
        net.dense(widths[widths.len() - 1]).seed(42)
    }

    fn config(self) -> TrainingConfig {
        let loss = match self {
            Net::W2 => Loss::SoftmaxCrossEntropy,
            _ => Loss::MeanSquaredError,
        };
        TrainingConfig::new(loss, Optimizer::sgd(0.05))
    }

    /// So many rows.
    fn data(self, rows: usize) -> Outcome<Dataset> {
        let widths = self.widths();
        let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
        let x: Vec<f32> = (0..rows * inputs).map(|i| ((i * 7919) % 1013) as f32 / 1013.0).collect();
        Ok(match self {
            Net::W2 => {
                let labels = (0..rows).map(|row| (row * row % outputs) as u32).collect();
                Dataset::classification(x, inputs, labels, outputs)?
            }
            _ => {
                let y = (0..rows * outputs).map(|i| ((i * 31) % 17) as f32 / 17.0).collect();
                Dataset::regression(x, inputs, y, outputs)?
            }
        })
    }
}

/// What more processes bring
#[derive(Parser)]
enum Args {
    /// Measures; every process of a job is called so
    Measure {
        #[arg(long, value_enum)]
        net: Net,
        /// Epochs of a round
        #[arg(long, default_value_t = 4)]
        epochs: usize,
        /// Rounds, of which the median counts
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
    },
    /// Computes, from files of what was measured with one process, with two and with others
    Forecast {
        files: Vec<PathBuf>,
        /// Cores that the processes share
        #[arg(long, default_value_t = 2)]
        cores: usize,
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse() {
        Args::Measure { net, epochs, rounds, json } => start(net, epochs, rounds, &json),
        Args::Forecast { files, cores, svg } => chart::forecast_all(&files, cores, svg.as_deref()),
    };
    match outcome {
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
        "mpi": mpi.library(),
        "steps_per_round": steps,
    });
    if ranks == 1 {
        let data = net.data(batch * batches)?;
        let mut model = net.model().compile_blocking(&gpu, net.config())?;
        let times = timed(rounds, steps, || Ok(model.fit_blocking(&data, fit()).map(drop)?))?;
        figures["fit_s"] = json!(times);
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
        let shares = (1..=4).map(|count| Ok(json!([batch / count, median(&of_share(count)?)])));
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
        lanes.record(true);
        lanes.run(0..batches.min(4))?;
        let timeline = lanes.timeline().ok_or("no timeline")?;
        figures["hidden"] = json!(timeline.exchange_hidden());
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
