//! What more processes would bring: a model's steps of up to 1,024 of them, from what was measured on one and two,
//! beside what was measured on others.
//!
//! ```sh
//! cargo run --features plot --example scaling -- docs/scaling/*.json --svg docs/scaling/scaling.svg
//! ```
//!
//! The files are those of the example `scaling` of `mpi/`; docs/machines.md has what came of it.

mod chart;
mod net;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Computes steps of more processes, from files of what was measured with one, two and more
#[derive(Parser)]
struct Args {
    files: Vec<PathBuf>,
    /// Draw what the model says of three classes of networks
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Args { files, svg } = Args::parse();
    match chart::forecast_all(&files, svg.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
