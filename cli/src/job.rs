//! The processes of an MPI job, which train one model together. The command of `mpi/command` is compiled with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wgrad::data::Dataset;
use wgrad::lanes::exchange::Exchange;
use wgrad::lanes::{Parallel, ParallelOptions, Schedule, World};
use wgrad::nn::Sequential;
use wgrad::train::{FitOptions, History, Model, TrainingConfig};
use wgrad::{AdapterChoice, Gpu};

use crate::args::TrainArgs;
use crate::choose::Choice;
use crate::failure::Outcome;
use crate::progress::Voice;

/// Steps of a timeline.
#[cfg(feature = "mpi")]
const RECORDED: usize = 4;

/// This process's place in a job.
pub struct Job {
    world: World,
    adapter: AdapterChoice,
    /// Gives an exchange for one training.
    exchange: Box<dyn Fn() -> wgrad::Result<Arc<dyn Exchange>>>,
    /// Leaves the job; told whether all went well, with all others.
    end: Box<dyn FnOnce(bool)>,
    micro_batches: Option<usize>,
    timeline: Option<PathBuf>,
}

impl Job {
    /// Joins the job, if the command is to.
    pub fn join(args: &TrainArgs) -> Outcome<Option<Self>> {
        if args.mpi { start(args).map(Some) } else { Ok(None) }
    }

    /// Whether this is the process that prints and writes.
    pub fn is_first(&self) -> bool {
        self.world.is_first()
    }

    /// How many processes there are.
    pub fn ranks(&self) -> usize {
        self.world.ranks()
    }

    /// The device of this process.
    pub fn gpu(&self, named: Option<&str>) -> Outcome<Gpu> {
        let own = || self.adapter.clone();
        Ok(Gpu::with_adapter_blocking(&named.map_or_else(own, AdapterChoice::named))?)
    }

    /// A line about processes with adapters of another kind, once there is a training.
    fn doubt_adapters(&self, parallel: &Parallel, voice: Voice) {
        if let Some(which) = parallel.unequal_adapters() {
            voice.say(format!(
                "note: adapters differ, so the model is not to the bits that of one process: {which}"
            ));
        }
    }

    /// Trains `model`, made of `net` and `config`, as `Model::fit` does, with all other processes.
    pub fn fit(
        &self,
        model: &mut Model,
        (net, config): (Sequential, TrainingConfig),
        (choice, data): (&Choice, &Dataset),
        options: FitOptions<'_>,
        voice: Voice,
    ) -> Outcome<History> {
        let parts = self.micro_batches.unwrap_or(self.world.lanes().min(choice.batch));
        let parallel = ParallelOptions {
            world: Some(self.world.clone()),
            exchange: (self.exchange)()?,
            ..ParallelOptions::new(choice.batch, parts, Schedule::data_parallel())
        };
        let gpu = model.gpu().clone();
        let lanes = std::slice::from_ref(&gpu);
        let mut parallel = Parallel::new_blocking(net, config, data.clone(), parallel, lanes)?;
        self.doubt_adapters(&parallel, voice);
        parallel.set_state_blocking(model.state_blocking()?.0)?;
        let history = parallel.fit_blocking(options)?;
        *model = parallel.model_blocking(&gpu)?;
        if let Some(file) = &self.timeline {
            // The model does not have these steps, and is not lost with them; the timeline of a command's last training
            // stays.
            if let Err(failure) = self.record(&mut parallel, file) {
                voice.say(format!("note: no timeline: {}", failure.message()));
            }
        }
        Ok(history)
    }

    #[cfg(feature = "mpi")]
    fn record(&self, parallel: &mut Parallel, file: &Path) -> Outcome {
        parallel.record(true);
        parallel.run(0..parallel.batches().min(RECORDED))?;
        if let Some(timeline) = parallel.timeline().filter(|_| self.is_first()) {
            timeline.write_files(file)?;
        }
        Ok(())
    }

    /// There is no job without MPI.
    #[cfg(not(feature = "mpi"))]
    fn record(&self, _parallel: &mut Parallel, _file: &Path) -> Outcome {
        Ok(())
    }

    /// Leaves the job.
    pub fn end(self, well: bool) {
        (self.end)(well);
    }
}

#[cfg(feature = "mpi")]
fn start(args: &TrainArgs) -> Outcome<Job> {
    let mpi = Arc::new(wgrad_mpi::Mpi::start(1)?);
    let (world, its) = (mpi.world()?, mpi.clone());
    Ok(Job {
        world,
        adapter: wgrad_mpi::adapter_of(mpi.local_rank()),
        exchange: Box::new(move || Ok(its.exchange()?)),
        end: Box::new(move |well| {
            if well {
                mpi.end();
            }
        }),
        micro_batches: args.micro_batches,
        timeline: args.timeline.clone(),
    })
}

#[cfg(not(feature = "mpi"))]
fn start(_args: &TrainArgs) -> Outcome<Job> {
    let message = "--mpi: this command was built without MPI; `cargo install --path mpi/command` in wgrad's repository \
                   installs one with it";
    Err(crate::failure::Failure::usage(message))
}

/// Starts the job that `--launch` names, if it does and this process is not of it yet, and again where it ends early.
/// Whether that was it.
#[cfg(feature = "mpi")]
pub fn launch(args: &TrainArgs) -> Outcome<bool> {
    use crate::failure::Failure;
    if args.launch.is_empty() || wgrad_mpi::is_in_job() {
        return Ok(false);
    }
    let own: Vec<_> = std::env::args_os().skip(1).collect();
    let words = |attempt: usize| match attempt > 0 && args.resume.is_none() {
        true => with_resume(own.clone()),
        false => own.clone(),
    };
    let say = |attempt: usize, status| {
        eprintln!("attempt {} ended early ({status}); going on where it was", attempt + 1);
    };
    match wgrad_mpi::run_with_restarts(&args.launch, args.restarts, words, say)? {
        true => Ok(true),
        false => Err(Failure::new("the job ended early, and was not started again")),
    }
}

/// With `--resume`, before the end of options: behind `--` it would be a table, and what is behind it its folder.
#[cfg(feature = "mpi")]
fn with_resume(mut words: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    words.insert(end, "--resume".into());
    words
}

#[cfg(not(feature = "mpi"))]
pub fn launch(_args: &TrainArgs) -> Outcome<bool> {
    Ok(false)
}

#[cfg(all(test, feature = "mpi"))]
mod tests {
    use super::*;

    #[test]
    fn a_table_behind_the_options_stays_one() {
        let resumed = |words: &str| {
            let words = words.split(' ').map(Into::into).collect();
            let words = with_resume(words).into_iter().map(|word| word.into_string().unwrap());
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(resumed("train a.csv --mpi"), "train a.csv --mpi --resume");
        assert_eq!(resumed("train --mpi -- a.csv"), "train --mpi --resume -- a.csv");
    }
}
