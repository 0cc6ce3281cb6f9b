//! One network, trained by the processes of an MPI job, to the bits of one process.
//!
//! ```sh
//! cargo build --release --example distributed
//! mpirun -n 4 target/release/examples/distributed --json run.json
//! ```
//!
//! With `--launch` and `--restarts` it starts `mpirun` itself, and again where a process dies:
//!
//! ```sh
//! target/release/examples/distributed --launch 'mpirun -n 4' --restarts 3 --checkpoints run
//! ```
//!
//! Every process makes the same calls. Rank 0 alone prints and writes; `parameters_sha256` of its file is the same
//! for any number of ranks and lanes and every schedule, as long as `--micro-batches` is.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use sha2::{Digest, Sha256};
use wgrad::data::{ArrayFile, NpyWriter, OwnedData, Source, Targets};
use wgrad::lanes::timeline::Timeline;
use wgrad::lanes::{Parallel, ParallelOptions, Schedule, Wire, advise};
use wgrad::prelude::*;
use wgrad::train::{Checkpoint, Every};
use wgrad_mpi::{Mpi, adapter_of, exit_code, is_in_job, run_with_restarts};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Layout {
    /// A copy of the network per lane
    Replicas,
    /// Some layers per lane
    Pipeline,
    /// Two pipelines, each with half of the lanes
    Both,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rule {
    Sgd,
    Momentum,
    Adam,
}

/// Trains a network over the processes of an MPI job
#[derive(Parser)]
struct Args {
    /// Write the figures to FILE as JSON, on rank 0
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The smallest run that still goes through everything
    #[arg(long)]
    quick: bool,
    /// Part of the name of the adapter or its driver [default: the adapter of the local rank]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Lanes of each process
    #[arg(long, default_value_t = 1)]
    lanes: usize,
    /// How the work is laid over all lanes
    #[arg(long, value_enum, default_value = "replicas")]
    schedule: Layout,
    /// Widths of the layers, from the features to the outputs [default: 784-512-512-10; quick: 10-64-1]
    #[arg(long, value_name = "N-N-N")]
    net: Option<String>,
    /// Rows of the data, which are drawn at random from a fixed seed [default: 8192; quick: 200]
    #[arg(long)]
    rows: Option<usize>,
    /// Rows per step [default: 128; quick: 32]
    #[arg(long)]
    batch: Option<usize>,
    /// Parts of a batch; results depend on it [default: as many as lanes]
    #[arg(long)]
    micro_batches: Option<usize>,
    /// Passes over the rows [default: 5; quick: 2]
    #[arg(long)]
    epochs: Option<usize>,
    #[arg(long, value_enum, default_value = "adam")]
    optimizer: Rule,
    #[arg(long, default_value_t = 0.001)]
    rate: f32,
    /// Longest wait for another process, in seconds
    #[arg(long, default_value_t = 60.0)]
    patience: f64,
    /// Keep checkpoints in FOLDER, which all processes see, and go on from the last one there
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,
    /// Steps from one checkpoint to the next
    #[arg(long, default_value_t = 100)]
    every: u64,
    /// Start the job with these words, such as 'mpirun -n 4'; given several times, each start takes the next
    #[arg(long, value_name = "WORDS")]
    launch: Vec<String>,
    /// With --launch: start the job so often again where it ends early
    #[arg(long, value_name = "N", default_value_t = 0, requires_all = ["launch", "checkpoints"])]
    restarts: usize,
    /// Write the rows to files in FOLDER, which all processes see, and read them from there: each process those of
    /// its own lanes
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
    /// With --files: rows are shuffled within so many [default: all]
    #[arg(long, value_name = "ROWS", requires = "files")]
    window: Option<usize>,
    /// Measure all schedules before training, so many steps each, and say which is the fastest
    #[arg(long, value_name = "STEPS", conflicts_with = "files")]
    advise: Option<usize>,
    /// Write what ran when in some more steps, on all lanes of all ranks, as FILE.json (for ui.perfetto.dev), FILE.svg and
    /// FILE.png; for programs that were built with --features timeline
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
    /// Send sums of gradients in 16 bits: half of the bytes, and other bits than those of one process
    #[arg(long)]
    f16: bool,
    /// Copy the parameters to the host after each step, so that none is lost with a device
    #[arg(long)]
    keep_state: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if !args.launch.is_empty() && !is_in_job() {
        return launch(&args);
    }
    let mpi = match Mpi::start(args.lanes) {
        Ok(mpi) => mpi,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = run(&args, &mpi);
    let rank = mpi.rank();
    if let Err(error) = &outcome {
        eprintln!("rank {rank}: error: {error}");
    }
    // The others say what they know before the launcher ends them with this one.
    match outcome {
        Ok(()) => drop(mpi.end()),
        Err(error) => {
            drop(mpi);
            // What is no error of wgrad's is one of a file system, or of a wait for another process.
            let code = error.downcast_ref::<wgrad::Error>().map_or(1, exit_code);
            return ExitCode::from(code);
        }
    }
    ExitCode::SUCCESS
}

/// Starts the job, and again where it ends early.
fn launch(args: &Args) -> ExitCode {
    // All processes are called as this one is.
    let own: Vec<_> = std::env::args_os().skip(1).collect();
    let say = |attempt: usize, status| {
        eprintln!(
            "attempt {} ended early ({status}); going on from the last checkpoint",
            attempt + 1
        );
    };
    match run_with_restarts(&args.launch, args.restarts, |_| own.clone(), say) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The rows in two files, which the first process makes and writes before the others read them.
fn in_files(
    made: impl FnOnce() -> wgrad::Result<Dataset>,
    folder: &Path,
    [rows, features, outputs]: [usize; 3],
    window: Option<usize>,
    mpi: &Mpi,
) -> Result<Source, Box<dyn Error>> {
    let (x, y) = (folder.join("features.npy"), folder.join("targets.npy"));
    if mpi.is_first() && !y.exists() {
        let data = made()?;
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let Targets::Values { data: targets, width } = data.targets() else {
            return Err("targets that are no numbers".into());
        };
        for (path, width, numbers) in
            [(&x, data.width(), data.features()), (&y, *width, targets.as_slice())]
        {
            // Under another name until it is whole: others wait for the last one.
            let part = path.with_extension("part");
            let mut file = NpyWriter::create(&part, width)?;
            file.write(numbers)?;
            file.finish()?;
            std::fs::rename(&part, path)?;
        }
    }
    let begun = Instant::now();
    while !y.exists() {
        if begun.elapsed() > Duration::from_secs(600) {
            return Err(format!("{}: rank 0 has not written it in ten minutes", y.display()).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // Files of an earlier run stay; they are made of what is looked at here.
    for (path, width) in [(&x, features), (&y, outputs)] {
        let (file, wanted) = (ArrayFile::npy(path)?, [rows, width]);
        if file.dims() != wanted {
            let (path, found) = (path.display(), file.dims());
            return Err(format!(
                "--files: {path} has {found:?} numbers, which an earlier run wrote, and not {wanted:?}; give --rows \
                 and --net as there, remove the folder, or name another"
            )
            .into());
        }
    }
    let source = Source::npy(&x)?.with_targets(ArrayFile::npy(&y)?)?;
    Ok(source.window_rows(window.unwrap_or(usize::MAX))?)
}

/// Rows whose targets are a smooth function of their features.
fn data(rows: usize, features: usize, outputs: usize) -> wgrad::Result<Dataset> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut number = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let x: Vec<f32> = (0..rows * features).map(|_| number()).collect();
    let of = |row: &[f32], output: usize| {
        let part = row.iter().skip(output % features).step_by(outputs);
        part.sum::<f32>().tanh()
    };
    let y = x.chunks(features).flat_map(|row| (0..outputs).map(move |output| of(row, output)));
    let y = y.collect::<Vec<f32>>();
    Ok(Dataset::regression(x, features, y, outputs)?)
}

#[cfg(feature = "timeline")]
fn draw(timeline: &Timeline, file: &Path) -> Result<(), Box<dyn Error>> {
    timeline.write_files(file)?.iter().for_each(|path| println!("wrote {}", path.display()));
    Ok(())
}

#[cfg(not(feature = "timeline"))]
fn draw(_timeline: &Timeline, _file: &Path) -> Result<(), Box<dyn Error>> {
    Ok(())
}

fn run(args: &Args, mpi: &Mpi) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    if args.timeline.is_some() && !cfg!(feature = "timeline") {
        return Err("--timeline: build the example with --features timeline".into());
    }
    let size = |given: Option<usize>, usual, quick| {
        given.unwrap_or(if args.quick { quick } else { usual })
    };
    let net = args.net.as_deref().unwrap_or(if args.quick { "10-64-1" } else { "784-512-512-10" });
    let widths: Vec<usize> = net
        .split('-')
        .map(|width| width.parse().map_err(|_| format!("--net: '{width}' is no width")))
        .collect::<Result<_, _>>()?;
    if widths.contains(&0) {
        return Err(format!("--net: '{net}' has a width of 0").into());
    }
    let [features, hidden @ .., outputs] = widths.as_slice() else {
        return Err("--net: give at least two widths, as in 10-64-1".into());
    };
    let model =
        hidden.iter().fold(Sequential::new(*features), |net, &width| net.dense(width).relu());
    let model = model.dense(*outputs).seed(42);
    let optimizer = match args.optimizer {
        Rule::Sgd => Optimizer::sgd(args.rate),
        Rule::Momentum => Optimizer::momentum(args.rate, 0.9),
        Rule::Adam => Optimizer::adam(args.rate),
    };
    let how = TrainingConfig::new(Loss::MeanSquaredError, optimizer);
    let rows = size(args.rows, 8192, 200);
    let made = || data(rows, *features, *outputs);
    let data: OwnedData = match &args.files {
        Some(folder) => {
            in_files(made, folder, [rows, *features, *outputs], args.window, mpi)?.into()
        }
        None => made()?.into(),
    };

    let gpus = (0..args.lanes).map(|lane| {
        let choice = match &args.adapter {
            Some(name) => AdapterChoice::named(name),
            None => adapter_of(mpi.local_rank() * args.lanes + lane),
        };
        Gpu::with_adapter_blocking(&choice)
    });
    let gpus: Vec<Gpu> = gpus.collect::<Result<_, _>>()?;
    let world = mpi.world()?;
    let (lanes, ranks) = (world.lanes(), world.ranks());
    let schedule = match args.schedule {
        Layout::Replicas => Schedule::data_parallel(),
        Layout::Pipeline => Schedule::pipeline(),
        Layout::Both => Schedule::Replicated { stages: Vec::new(), replicas: 2 },
    };
    let micro_batches = args.micro_batches.unwrap_or(lanes);
    let mut options = ParallelOptions::new(size(args.batch, 128, 32), micro_batches, schedule);
    options.world = Some(world);
    options.exchange = mpi.exchange()?;
    options.patience = Duration::try_from_secs_f64(args.patience)
        .map_err(|error| format!("--patience {}: {error}", args.patience))?;
    options.keep_state = args.keep_state;
    options.wire = if args.f16 { Wire::F16 } else { Wire::F32 };
    if let (Some(steps), OwnedData::Dataset(data)) = (args.advise, &data) {
        let advice = advise(&model, &how, data, &options, &gpus, steps)?;
        if mpi.is_first() {
            println!("{advice}");
        }
    }
    let mut parallel = Parallel::new_blocking(model, how, data, options, &gpus)?;
    if mpi.is_first() {
        println!("{ranks} ranks, {lanes} lanes, {} ({})", gpus[0].describe(), mpi.library());
        if let Some(which) = parallel.unequal_adapters() {
            println!("adapters differ, so results are not the bits of one process: {which}");
        }
    }

    let mut fit = FitOptions::new(size(args.epochs, 5, 2)).shuffle(7);
    if let Some(folder) = &args.checkpoints {
        let checkpoint = Checkpoint::every(Every::Steps(args.every)).in_folder(folder);
        fit = fit.checkpoint(checkpoint).resume(folder);
    }
    let (trained, step) = (Instant::now(), parallel.state().step);
    let history = parallel.fit_blocking(fit)?;
    let seconds = trained.elapsed().as_secs_f64();
    let state = parallel.state();
    let mut hash = Sha256::new();
    for values in state.values.iter().chain(state.states.iter().flatten()) {
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let (read, bytes, end) =
        (parallel.rows_read(), parallel.bytes_exchanged(), parallel.state().step);
    let mpi_sent = (mpi.bytes_sent(), mpi.messages_sent());
    // What was trained is not touched by it: its figures are taken above.
    let mut figures_of_timeline = serde_json::Value::Null;
    if let Some(file) = &args.timeline {
        parallel.record(true);
        parallel.run(0..parallel.batches().min(4))?;
        let timeline = parallel.timeline().ok_or("nothing was recorded")?;
        if mpi.is_first() {
            draw(timeline, file)?;
            figures_of_timeline = serde_json::json!({
                "busy": (0..timeline.lanes.len()).map(|lane| timeline.busy(lane)).collect::<Vec<_>>(),
                "exchange_hidden": timeline.exchange_hidden(),
            });
        }
    }
    if !mpi.is_first() {
        return Ok(());
    }
    let loss = history.last().map_or(f64::NAN, |log| log.loss);
    let steps = end - step;
    println!("loss {loss:.6} after {end} steps, {:.1} steps/s", steps as f64 / seconds);
    println!("parameters and optimizer state: {hash}");
    if let Some(read) = read {
        let mb = read.most_bytes as f64 / 1e6;
        println!("rank 0 read {} rows, and held {mb:.2} MB of them at once at most", read.rows);
    }
    if let Some(path) = &args.json {
        let figures = serde_json::json!({
            "example": "distributed",
            "ranks": ranks,
            "lanes": lanes,
            "micro_batches": micro_batches,
            "schedule": parallel.schedule().name(),
            "adapter": gpus[0].info().name,
            "mpi": mpi.library(),
            "loss": loss,
            "steps": steps,
            "parameters_sha256": hash,
            "bytes_exchanged": bytes,
            "bytes_between_ranks": mpi_sent.0,
            "messages_between_ranks": mpi_sent.1,
            "rows_read": read.map(|read| read.rows),
            "rows_most_bytes": read.map(|read| read.most_bytes),
            "timeline": figures_of_timeline,
            "fit_s": seconds,
            "wall_s": begun.elapsed().as_secs_f64(),
        });
        std::fs::write(path, format!("{figures:#}\n"))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
