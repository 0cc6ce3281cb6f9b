//! Runs the workers in turns and reports what their clocks showed. `bench/run` builds the workers and
//! calls this.

mod chart;
mod figures;
mod process;
mod report;
mod rounds;
mod size;
mod start;
mod sweep;
mod threads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use process::Worker;
use report::{Place, Row};
use rounds::Peer;

/// Compares wgrad with its peers on one adapter
#[derive(Parser)]
struct Args {
    /// Folder of the workers
    #[arg(long, hide = true)]
    workers: PathBuf,
    /// Measure only these peers (wgrad, burn, meganeura) [default: all; for the sweep wgrad and burn]
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure only workloads whose names begin so (W1, "W4 AB", start, host) [default: all]
    #[arg(long, value_delimiter = ',')]
    workload: Vec<String>,
    /// Rounds that count
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Multiplies the steps inside a clock, for fast adapters
    #[arg(long, default_value_t = 1)]
    scale: usize,
    /// Write the figures to FILE as JSON, one object per peer and workload
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the figures as bars (or the sweep as a map) into a PNG
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
    /// Leave lavapipe's compute threads to the scheduler, instead of holding each to a core
    #[arg(long)]
    unpinned: bool,
    /// Steps per second over hidden widths and batch sizes instead
    #[arg(long)]
    sweep: bool,
    /// Crates, clean build time and binary size instead
    #[arg(long, conflicts_with = "sweep")]
    size: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was compared came to the same results.
fn run(args: &Args) -> Result<bool, String> {
    let all: &[&str] =
        if args.sweep { &["wgrad", "burn"] } else { &["wgrad", "burn", "meganeura"] };
    let names: Vec<String> = match args.only.as_slice() {
        [] => all.iter().map(|&name| name.into()).collect(),
        only => only.to_vec(),
    };
    if args.rounds == 0 || args.scale == 0 {
        return Err("--rounds and --scale must be at least 1".into());
    }
    if args.size {
        let rows = size::measure(&names)?;
        write(args, &rows)?;
        return Ok(true);
    }
    let mut peers = up(&args.workers, &names)?;
    let place = place(&peers)?;
    println!("adapter: {} ({})", place.adapter, place.driver);
    if !args.unpinned {
        hold_threads(&peers)?;
    }
    for (worker, description) in &peers {
        println!("{:<11}{}", worker.peer, description.version);
    }
    if args.sweep {
        let sweep = sweep::measure(&mut peers, &place, args.rounds)?;
        write(args, &sweep.rows)?;
        if let Some(path) = &args.chart {
            chart::map(path, &sweep, &place)?;
        }
        return Ok(sweep.holds);
    }
    let wanted = |name: &str| {
        args.workload.is_empty() || args.workload.iter().any(|prefix| name.starts_with(prefix))
    };
    report::print_header();
    let (mut rows, mut agree): (Vec<Row>, bool) = (Vec::new(), true);
    for workload in bench_common::workload::all(args.scale) {
        if wanted(&workload.name) {
            let (new, same) = rounds::measure(&mut peers, &place, &workload, args.rounds)?;
            agree &= same;
            add(&mut rows, new);
            // Kept after each workload: whoever interrupts a long run has what was measured.
            write(args, &rows)?;
        }
    }
    if wanted("start") {
        let idle = peers.drain(..).map(|(worker, description)| (worker.peer.clone(), description));
        let idle: Vec<_> = idle.collect();
        add(&mut rows, start::measure(&args.workers, &idle, &place, args.rounds.min(5))?);
    }
    write(args, &rows)?;
    if let Some(path) = &args.chart {
        chart::bars(path, &rows, &place)?;
    }
    Ok(agree)
}

/// Prints new rows and keeps them.
fn add(rows: &mut Vec<Row>, new: Vec<Row>) {
    let before = rows.len();
    rows.extend(new);
    report::relate_to_peak(rows);
    for row in &rows[before..] {
        report::print_row(row, report::advantage(rows, row));
    }
}

fn write(args: &Args, rows: &[Row]) -> Result<(), String> {
    args.json.as_ref().map_or(Ok(()), |path| report::write_json(path, rows))
}

/// Starts the workers. What they say on standard error goes to files beside them.
fn up(workers: &Path, names: &[String]) -> Result<Vec<Peer>, String> {
    let up = |name: &String| {
        let log = workers.join(format!("bench-{name}.log"));
        let mut worker = Worker::start(workers, name, &log, [], workers)?;
        let description = worker.describe()?;
        Ok((worker, description))
    };
    names.iter().map(up).collect()
}

/// Holds the compute threads of all workers to a core each, where the driver is lavapipe.
fn hold_threads(peers: &[Peer]) -> Result<(), String> {
    let held: Result<Vec<_>, _> = peers.iter().map(|(worker, _)| worker.hold_threads()).collect();
    let held = held.map_err(|error| format!("{error}; try --unpinned"))?;
    let [first, others @ ..] = held.as_slice() else { return Ok(()) };
    if others.iter().any(|other| other != first) {
        return Err(format!("lavapipe's threads differ in number: {held:?}; try --unpinned"));
    }
    let [threads, cores] = first;
    if *threads > 0 {
        println!(
            "threads: lavapipe's {threads} compute threads are held to {cores} cores, each to one"
        );
    }
    Ok(())
}

/// The adapter and driver, which must be the same for all.
fn place(peers: &[Peer]) -> Result<Place, String> {
    let told: Vec<_> =
        peers.iter().map(|(worker, description)| (worker.peer.as_str(), description)).collect();
    let [(_, first), ..] = told.as_slice() else { return Err("no peer".into()) };
    if let Some((peer, other)) = told.iter().find(|(_, other)| other.adapter != first.adapter) {
        let (one, two) = (&first.adapter, &other.adapter);
        return Err(format!("{peer} runs on '{two}', {} on '{one}'", told[0].0));
    }
    let mut drivers = told.iter().filter_map(|(peer, d)| Some((peer, d.driver.as_ref()?)));
    let driver = drivers.next();
    if let Some((one, driver)) = driver
        && let Some((peer, other)) = drivers.find(|(_, other)| *other != driver)
    {
        return Err(format!("{peer} runs on the driver '{other}', {one} on '{driver}'"));
    }
    let driver = driver.map_or_else(|| "unknown".into(), |(_, driver)| driver.clone());
    Ok(Place { adapter: first.adapter.clone(), driver })
}
