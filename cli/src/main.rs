//! `wgrad`: a table becomes a model with one command, and a model predicts, is judged and explained; rows become
//! clusters and components.

mod args;
mod array;
mod baseline;
mod checkpoints;
mod choose;
mod cluster;
mod evaluate;
mod explain;
mod failure;
mod fit;
mod folders;
mod importance;
mod interrupt;
mod job;
mod line;
mod model;
mod on_disk;
mod pca;
mod predict;
mod progress;
mod report;
mod rows;
mod score;
mod show;
mod split;
mod table;
mod train;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::Train(options) => train::run(options),
        Command::Predict(options) => predict::run(options),
        Command::Evaluate(options) => evaluate::run(options),
        Command::Explain(options) => explain::run(options),
        Command::Cluster(options) => cluster::run(options),
        Command::Pca(options) => pca::run(options),
        Command::Export(options) => show::export(options),
        Command::Show(options) => show::run(options),
        Command::Devices(options) => show::devices(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(),
    }
}
