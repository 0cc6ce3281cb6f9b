//! `wgrad train`: from a table to a model, its score, and a report.

mod disk;
mod judged;

use std::path::{Path, PathBuf};

use wgrad::data::{Dataset, Encoder, EncoderOptions, Table, TargetEncoding, TargetType};
use wgrad::train::ModelFile;
use wgrad::{Error, Gpu};

use crate::args::{Task, TrainArgs};
use crate::checkpoints::Checkpoints;
use crate::choose::Choice;
use crate::failure::{Failure, Outcome};
use crate::fit::{self, Watch};
use crate::folders::needs_folder;
use crate::interrupt;
use crate::job::{self, Job};
use crate::model;
use crate::progress::Voice;
use crate::score::{Figure, Metric, Truth};
use crate::split;
use crate::table::{self, Reader};
use judged::Judged;

pub fn run(args: &TrainArgs) -> Outcome {
    if job::launch(args)? {
        return Ok(());
    }
    let job = Job::join(args)?;
    let done = run_in(args, job.as_ref());
    match job {
        Some(job) => {
            job.end(done.is_ok());
            done.map_err(Failure::in_job)
        }
        None => done,
    }
}

/// In a job all processes do the same, and the first alone says and writes something.
fn run_in(args: &TrainArgs, job: Option<&Job>) -> Outcome {
    let is_first = job.is_none_or(Job::is_first);
    let voice = Voice::new(args.run.quiet || !is_first);
    // Options first: a table may take long to read.
    Choice::new(args, 1, false)?;
    let files = args.output.iter().chain(&args.json).chain(&args.timeline);
    files.into_iter().try_for_each(|path| needs_folder(path))?;
    let resumed = match (args.model(), args.against_model()) {
        (Some(path), _) if !path.exists() => {
            return Err(Failure::new(format!(
                "{}: there is no such model, and no folder of a training that was broken off; leave --resume out to \
                 begin anew",
                path.display()
            )));
        }
        (Some(path), Some(option)) => {
            return Err(Failure::usage(format!(
                "--{option} cannot be used with --resume {}: the model has its own",
                path.display()
            )));
        }
        (Some(path), None) if args.mpi => {
            return Err(Failure::usage(format!(
                "--mpi cannot be used with --resume {}: a model's file is trained on by one process",
                path.display()
            )));
        }
        (Some(path), None) => Some(model::read(path)?),
        (None, _) => None,
    };
    if let Some(folder) = &args.on_disk {
        return disk::train(args, folder, voice);
    }
    let (table, targets) = read(args, voice)?;
    let whole = match &resumed {
        Some((_, encoder)) => encoder.clone(),
        None => Encoder::fit(&table, &options(args, targets.clone()))
            .map_err(|error| Failure::of_training(error, &targets))?,
    };
    let rows = whole.complete_rows(&table)?;
    if rows.len() < table.rows() {
        let left = table.rows() - rows.len();
        voice.say(format!("rows: {left} of {} left out, which lack a value", table.rows()));
    }
    let table = table.select(&rows)?;
    let metric = Metric::of(args.metric, whole.targets())?;
    let classes = matches!(whole.targets(), TargetEncoding::Classes { .. });
    if args.class_weights.is_some() && !classes {
        return Err(Failure::usage("--class-weights are of classes, and the target is numbers"));
    }
    let named = args.run.adapter.as_deref();
    let gpu = job.map_or_else(|| model::gpu(named), |job| job.gpu(named))?;
    voice.say(format!("adapter: {}", gpu.describe()));
    if let Some(job) = job {
        voice.say(format!("processes: {}", job.ranks()));
    }
    // Before there is a model, Ctrl-C has nothing to keep, and ends the process.
    interrupt::watch();
    let checkpoints = match resumed {
        Some(_) => None,
        None => Some(checkpoints(args, &output(args, &whole), voice, is_first)?),
    };
    let watch = Watch { voice, checkpoints: checkpoints.as_ref(), job };
    let setting = Setting { args, gpu: &gpu, whole: &whole, table: &table, metric, watch };
    let done = setting.scored().and_then(|scores| setting.train(resumed, scores));
    match (done, checkpoints) {
        (Ok(interrupted), checkpoints) => {
            // There is a model, so what led to it goes.
            // The lock and the files are the first process's.
            let left = checkpoints.filter(|_| is_first).map(Checkpoints::leave);
            if let Some(Err(left)) = left {
                voice.say(format!("note: {}", left.message()));
            }
            if interrupted { Err(Failure::interrupted()) } else { Ok(()) }
        }
        (Err(failure), Some(checkpoints)) => {
            if args.resume.is_none() && checkpoints.are_there() {
                voice.say("note: the same command with --resume goes on where this one ends");
            }
            Err(failure)
        }
        (Err(failure), None) => Err(failure),
    }
}

/// Where the trainings of this command are kept; what an earlier one left there is gone on with, or goes.
fn checkpoints(
    args: &TrainArgs,
    model: &Path,
    voice: Voice,
    is_first: bool,
) -> Outcome<Checkpoints> {
    let mut checkpoints = match &args.resume {
        Some(Some(folder)) => Checkpoints::in_folder(folder.clone(), args.checkpoint),
        _ => Checkpoints::beside(model, args.checkpoint, args.resume.is_some()),
    };
    let none = |checkpoints: &Checkpoints| {
        let folder = checkpoints.folder().display();
        Failure::new(format!("{folder} holds no training that was broken off; leave --resume out"))
    };
    // In a folder that somebody named nothing is written that is not a training's.
    if matches!(&args.resume, Some(Some(_))) && !checkpoints.are_there() {
        return Err(none(&checkpoints));
    }
    // The other processes of a job are not other commands: the first one's lock is for all.
    if is_first && let Some(note) = checkpoints.enter()? {
        voice.say(note);
    }
    let folder = checkpoints.folder().display();
    match (&args.resume, checkpoints.are_there()) {
        (Some(_), true) => voice.say(format!("goes on from {folder}")),
        (Some(Some(_)), false) => return Err(none(&checkpoints)),
        (Some(None), false) => {
            voice.say("note: there is no training that was broken off; begins anew");
        }
        (None, true) if is_first => {
            voice.say(format!(
                "note: what a training left in {folder} that was broken off goes; --resume would have gone on with it"
            ));
            checkpoints.clear()?;
        }
        (None, _) => {}
    }
    Ok(checkpoints)
}

/// The table, with its targets beside it, and which columns those are.
fn read(args: &TrainArgs, voice: Voice) -> Outcome<(Table, Vec<String>)> {
    let beside = args.target_table.as_deref();
    let (table, beside) = table::open_with(&args.table, beside, &args.run.reading)?;
    let whole = |reader: Reader| {
        reader.doubt_header(voice);
        reader.note_rounded(voice)?;
        reader.read_all("--on-disk FOLDER trains on what is larger than memory")
    };
    let table = whole(table)?;
    let (table, names) = match beside {
        Some(beside) => table::join(table, whole(beside)?)?,
        None => {
            let last = table.names().last().cloned().into_iter().collect();
            (table, last)
        }
    };
    Ok((table, if args.target.is_empty() { names } else { args.target.clone() }))
}

fn options(args: &TrainArgs, targets: Vec<String>) -> EncoderOptions {
    EncoderOptions {
        targets,
        target_type: args.task.map(|task| match task {
            Task::Classification => TargetType::Classes,
            Task::Regression => TargetType::Values,
        }),
        clamp: true,
        ..args.columns.options()
    }
}

/// What all trainings of a command share.
struct Setting<'a> {
    args: &'a TrainArgs,
    gpu: &'a Gpu,
    /// Fitted to all rows: which column is of which type, and which classes there are.
    whole: &'a Encoder,
    table: &'a Table,
    metric: Metric,
    watch: Watch<'a>,
}

/// Rows encoded, and what encodes them.
struct Rows {
    encoder: Encoder,
    training: Dataset,
    held_out: Dataset,
}

impl Setting<'_> {
    /// Means, categories and the like are those of the rows trained on alone, the types of columns those that
    /// all rows show.
    fn encode(&self, training: &[usize], held_out: &[usize]) -> Outcome<Rows> {
        let (training, held_out) = (self.table.select(training)?, self.table.select(held_out)?);
        let targets = self.whole.targets();
        let mut options = options(self.args, targets.columns().to_vec());
        options.target_type = Some(match targets {
            TargetEncoding::Classes { .. } => TargetType::Classes,
            _ => TargetType::Values,
        });
        let columns = self.whole.columns().iter();
        options.types = columns.map(|c| (c.name.clone(), c.encoding.column_type())).collect();
        let encoder = match self.args.model() {
            Some(_) => self.whole.clone(),
            None => Encoder::fit(&training, &options)?,
        };
        let (training, _) = encoder.dataset(&training)?;
        let (held_out, report) = encoder.dataset(&held_out)?;
        let met = report.columns.iter().filter(|column| column.unknown + column.clamped > 0);
        for column in met {
            self.watch.voice.say(format!(
                "note: {:?} has values in {} rows held out that are like none trained on",
                column.column,
                column.unknown + column.clamped
            ));
        }
        Ok(Rows { encoder, training, held_out })
    }

    fn classes(&self) -> bool {
        matches!(self.whole.targets(), TargetEncoding::Classes { .. })
    }

    fn labels(&self) -> Outcome<Option<Vec<u32>>> {
        let (data, _) = self.whole.dataset(self.table)?;
        Ok(split::classes(&data).map(<[u32]>::to_vec))
    }

    /// The scores of a cross-validation, if one was asked for.
    fn scored(&self) -> Outcome<Option<Vec<f64>>> {
        self.args.folds.map(|folds| self.fold_scores(folds)).transpose()
    }

    /// The score on each part, of models trained on the others.
    fn fold_scores(&self, folds: usize) -> Outcome<Vec<f64>> {
        let rows = self.table.rows();
        if !(2..=rows).contains(&folds) {
            let message = format!("--folds is {folds}; it must be from 2 to the {rows} rows");
            return Err(Failure::usage(message));
        }
        let labels = self.labels()?;
        let parts = split::parts(rows, labels.as_deref(), folds, self.args.seed);
        let mut scores = Vec::new();
        for (number, held_out) in parts.iter().enumerate() {
            let others = parts.iter().enumerate().filter(|(other, _)| *other != number);
            let training: Vec<usize> = others.flat_map(|(_, rows)| rows).copied().collect();
            // A class that only this part has cannot have been learned.
            let class = |row: &usize| labels.as_ref().and_then(|labels| labels.get(*row));
            let known = |row: &&usize| training.iter().any(|other| class(other) == class(row));
            let held_out: Vec<usize> = held_out.iter().filter(known).copied().collect();
            if held_out.is_empty() {
                continue;
            }
            let Rows { encoder, training, held_out } = self.encode(&training, &held_out)?;
            let choice = Choice::new(self.args, training.rows(), self.classes())?;
            let trained = fit::train(self.gpu, &choice, &training, None, self.watch)?;
            if trained.interrupted {
                return Err(Failure::interrupted());
            }
            let predictor = trained.model.predictor();
            let said = model::predictions(&predictor, &encoder, held_out.features())?;
            let score = Truth::of(&held_out, &encoder)?.score(self.metric, &said)?;
            let part = format!("part {}/{folds}", number + 1);
            self.watch.voice.say(format!("{part}: {} {}", self.metric.title(), Figure(score)));
            scores.push(score);
        }
        Ok(scores)
    }

    /// Trains, saves the model and reports; whether Ctrl-C ended it.
    fn train(
        &self,
        resumed: Option<(ModelFile, Encoder)>,
        scores: Option<Vec<f64>>,
    ) -> Outcome<bool> {
        let Self { args, gpu, metric, watch, .. } = *self;
        let voice = watch.voice;
        let labels = self.labels()?;
        let all: Vec<usize> = (0..self.table.rows()).collect();
        // After a cross-validation all rows are learned from, and the report shows these.
        let (training, held_out) = match scores {
            Some(_) => (all.clone(), all),
            None => {
                split::held_out(self.table.rows(), labels.as_deref(), args.validation, args.seed)?
            }
        };
        let Rows { encoder, training, held_out } = self.encode(&training, &held_out)?;
        let shape = (training.rows(), training.width());
        describe(&encoder, shape, scores.is_none().then_some(held_out.rows()), voice);
        let mut choice = Choice::new(args, training.rows(), self.classes())?;
        let from = match resumed {
            Some((file, _)) => {
                choice.hidden = hidden(&file);
                let file = match args.class_weights {
                    Some(_) => file.with_class_weights(choice.class_weights(&training))?,
                    None => file,
                };
                let mut model = file.model_blocking(gpu)?;
                if let (Some(weights), None) = (model.class_weights(), args.class_weights) {
                    let weights: Vec<String> =
                        weights.iter().map(|&weight| Figure(weight.into()).to_string()).collect();
                    voice.say(format!(
                        "note: the model's weights of classes go on, {}; --class-weights none takes them away",
                        weights.join(", ")
                    ));
                }
                if let Some(rate) = args.rate {
                    model.set_learning_rate(rate)?;
                }
                choice.optimizer_name = model.optimizer().rule().name();
                choice.rate =
                    args.rate.unwrap_or_else(|| model.optimizer().learning_rate_at(model.steps()));
                Some(model)
            }
            None => None,
        };
        voice.say(format!(
            "net: hidden layers {}, batches of {}, {} at {}",
            choice.layers(),
            choice.batch,
            choice.optimizer_name,
            choice.rate
        ));
        let trained = fit::train(gpu, &choice, &training, from, watch)?;
        let rows = training.rows();
        let scores = scores.as_deref();
        let (encoder, choice, sides) = (&encoder, &choice, (&training, &held_out));
        let job = watch.job;
        Judged { args, gpu, metric, voice, job, encoder, choice, sides, rows, scores }.end(trained)
    }
}

/// Says what each column is taken for.
fn describe(
    encoder: &Encoder,
    (rows, width): (usize, usize),
    held_out: Option<usize>,
    voice: Voice,
) {
    match encoder.targets() {
        TargetEncoding::Classes { column, classes } => {
            let some = classes.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
            let more = if classes.len() > 8 { ", …" } else { "" };
            voice.say(format!("target: {column}, {} classes ({some}{more})", classes.len()));
        }
        targets => voice.say(format!("target: {}, numbers", targets.columns().join(", "))),
    }
    table::describe(encoder, voice);
    let held_out = held_out.map(|rows| format!(", {rows} held out"));
    let held_out = held_out.unwrap_or_default();
    let s = if width == 1 { "" } else { "s" };
    voice.say(format!("rows: {rows} to train on{held_out}; {width} feature{s}"));
}

/// Where the model goes.
fn output(args: &TrainArgs, encoder: &Encoder) -> PathBuf {
    if let Some(path) = &args.output {
        return path.clone();
    }
    let name = encoder.targets().columns().join("-");
    let fits = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().take(100).map(fits).collect();
    PathBuf::from(format!("{}.wgrad", name.trim_start_matches('.')))
}

/// Units of the hidden layers of a model that is trained on, by its biases.
fn hidden(file: &ModelFile) -> Vec<usize> {
    let biases = file.state().values.iter().skip(1).step_by(2).map(Vec::len);
    let mut units: Vec<usize> = biases.collect();
    units.pop();
    units
}

/// Writes a file, and says which if that fails.
pub fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text)
        .map_err(|source| Error::File { path: path.display().to_string(), source }.into())
}
