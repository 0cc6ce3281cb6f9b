//! Training on a table that is larger than memory.

use std::path::Path;
use std::time::Instant;

use wgrad::Gpu;
use wgrad::data::{Dataset, Encoder, EncodingReport, Source, TargetEncoding, Targets};
use wgrad::train::{EarlyStopping, FitOptions, Model};

use super::{Judged, describe, options};
use crate::args::{ClassWeights, TrainArgs};
use crate::choose::Choice;
use crate::failure::{Failure, Outcome};
use crate::fit::{self, Trained};
use crate::interrupt;
use crate::model;
use crate::on_disk::{Blocks, Spool, share, unless_dropped};
use crate::progress::Voice;
use crate::score::{Figure, Metric};

/// Numbers of rows that are held in memory, at most: of those held out, and of those by which training is stopped.
const HELD: usize = 16 << 20;

/// Of the rows that are not held out, the share by which training is stopped.
const STOPS: f64 = 0.1;

/// What a row is for.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Training,
    Stopping,
    HeldOut,
}

/// Draws for each row what it is for.
struct Sides {
    seed: u64,
    held_out: f64,
    stopping: f64,
}

impl Sides {
    fn of(&self, row: usize) -> Side {
        let place = share(self.seed, row as u64);
        match place {
            _ if place < self.held_out => Side::HeldOut,
            _ if place < self.held_out + self.stopping => Side::Stopping,
            _ => Side::Training,
        }
    }
}

pub fn train(args: &TrainArgs, folder: &Path, voice: Voice) -> Outcome {
    let given = [
        ("resume", args.resume.is_some()),
        ("checkpoint", args.checkpoint.is_some()),
        ("folds", args.folds.is_some()),
        ("mpi", args.mpi),
        ("class-weights", args.class_weights == Some(ClassWeights::Balanced)),
    ];
    if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format!(
            "--{option} cannot be used with --on-disk; leave it out"
        )));
    }
    if !(args.validation > 0.0 && args.validation < 1.0) {
        return Err(Failure::usage(format!(
            "--validation is {}; it must be between 0 and 1, such as 0.2",
            args.validation
        )));
    }
    let stopping = if args.epochs.is_some() { 0.0 } else { STOPS * (1.0 - args.validation) };
    let sides = Sides { seed: args.seed, held_out: args.validation, stopping };
    let open = || Blocks::open(&args.table, args.target_table.as_deref(), &args.run.reading);
    let blocks = open()?;
    blocks.note_rounded(voice)?;
    let sample =
        blocks.sample(args.seed, Some(&args.target), |row| sides.of(row) == Side::Training)?;
    let few = |what: &str| {
        let table = args.table.display();
        Failure::new(format!("{table}: has no rows to {what}; bring more rows"))
    };
    if sample.table.rows() == 0 {
        return Err(few("train on"));
    }
    let targets = match args.target.as_slice() {
        [] if sample.targets.is_empty() => {
            sample.table.names().last().cloned().into_iter().collect()
        }
        [] => sample.targets,
        named => named.to_vec(),
    };
    let targeted = |error| Failure::of_training(error, &targets);
    let options = options(args, targets.clone());
    // Classes are all there are, and not those alone that the sample has; other targets are judged by it.
    let with_rare = sample.with_rare.map(|table| Encoder::fit(&table, &options)).transpose();
    let classes = |encoder: &Encoder| matches!(encoder.targets(), TargetEncoding::Classes { .. });
    let encoder = match with_rare.map_err(targeted)?.filter(classes) {
        Some(encoder) => encoder,
        None => Encoder::fit(&sample.table, &options).map_err(targeted)?,
    };
    let metric = Metric::of(args.metric, encoder.targets())?;
    let (sample, _) = encoder.dataset(&sample.table)?;

    // What Ctrl-C ends from here on leaves files, unless they are removed.
    interrupt::watch();
    let mut spools = Spools::create(folder, &encoder)?;
    let met = spools.fill(open()?, &encoder, &sides)?;
    for (spool, what) in [(&spools.training, "train on"), (&spools.held_out, "hold out")] {
        if spool.rows == 0 {
            return Err(few(what));
        }
    }
    let (rows, bytes) = (spools.training.rows, spools.training.bytes());
    let learn = spools.training.read().and_then(|source| with_targets(source, &encoder))?;
    let held_out =
        spools.held_out.read().and_then(|source| with_targets(source, &encoder))?.read()?;
    // Of few rows there may be none to stop by.
    let stop = match spools.stopping.rows > 0 {
        true => {
            let source = spools.stopping.read()?;
            Some(with_targets(source, &encoder)?.read()?)
        }
        false => None,
    };
    describe(&encoder, (rows, encoder.width()), Some(held_out.rows()), voice);
    voice.note(&met);
    voice.say(format!(
        "{} MB of numbers in {}; what columns hold was judged by {} of the rows trained on",
        Figure(bytes as f64 / 1e6),
        folder.display(),
        sample.rows()
    ));
    let gpu = model::gpu(args.run.adapter.as_deref())?;
    voice.say(format!("adapter: {}", gpu.describe()));
    let choice =
        Choice::new(args, rows, matches!(encoder.targets(), TargetEncoding::Classes { .. }))?;
    let trained = fit(&gpu, &choice, (&learn, &sample), stop.as_ref(), voice)?;
    let sides = (&sample, &held_out);
    let (encoder, choice, gpu) = (&encoder, &choice, &gpu);
    let (job, scores) = (None, None);
    let judged = Judged { args, gpu, metric, voice, job, encoder, choice, sides, rows, scores };
    if judged.end(trained)? { Err(Failure::interrupted()) } else { Ok(()) }
}

fn fit(
    gpu: &Gpu,
    choice: &Choice,
    (learn, sample): (&Source, &Dataset),
    stop: Option<&Dataset>,
    voice: Voice,
) -> Outcome<Trained> {
    if interrupt::asked() {
        return Err(Failure::interrupted()); // there is nothing to keep yet
    }
    let start = Instant::now();
    let net = choice.net(sample.width(), fit::outputs(sample));
    let mut model: Model = net.compile_blocking(gpu, choice.config(fit::loss(sample)))?;
    let mut live = voice.epochs("training");
    let epochs = choice.epochs.unwrap_or(choice.most_epochs);
    let options = FitOptions::new(epochs).batch_size(choice.batch).shuffle(choice.seed);
    let options = options.callback(&mut live);
    let mut stopping = EarlyStopping::new("val_loss", (choice.most_epochs / 8).clamp(8, 50));
    let options = match stop {
        Some(stop) => options.validation(stop).callback(&mut stopping),
        None => options,
    };
    let history = model.fit_blocking(learn, options)?;
    let curves = fit::curves(&history);
    let losses = curves.iter().map(|(_, of_stop)| of_stop.unwrap_or(f64::INFINITY));
    let best = losses.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(at, _)| at + 1);
    let (epochs, why) = match stop {
        Some(_) => {
            let tried = curves.len();
            (
                best,
                format!(
                    "of {tried} epochs tried, then the loss was least on rows left out for this"
                ),
            )
        }
        None if choice.epochs.is_none() => {
            let why = "as many as are tried at most: of so few rows there are none to stop by";
            (curves.len(), why.into())
        }
        None => (curves.len(), "as asked for".into()),
    };
    let (seconds, interrupted) = (start.elapsed().as_secs_f64(), interrupt::asked());
    Ok(Trained { model, curves, epochs, why, seconds, interrupted })
}

/// Features and targets of a file of ours.
fn with_targets(source: Source, encoder: &Encoder) -> Outcome<Source> {
    Ok(match encoder.targets() {
        TargetEncoding::Classes { classes, .. } => source.last_column_as_labels(classes.len())?,
        targets => source.last_columns_as_targets(targets.outputs())?,
    })
}

/// Encoded rows with their targets, a file for each side.
struct Spools {
    training: Spool,
    stopping: Spool,
    held_out: Spool,
}

impl Spools {
    fn create(folder: &Path, encoder: &Encoder) -> Outcome<Self> {
        let targets = match encoder.targets() {
            TargetEncoding::Classes { .. } => 1,
            targets => targets.outputs(),
        };
        let spool = |what| Spool::create(folder, what, encoder.width() + targets);
        Ok(Self {
            training: spool("training")?,
            stopping: spool("stopping")?,
            held_out: spool("held-out")?,
        })
    }

    fn fill(
        &mut self,
        mut blocks: Blocks,
        encoder: &Encoder,
        sides: &Sides,
    ) -> Outcome<EncodingReport> {
        let mut met = EncodingReport::default();
        let most = (HELD / encoder.width().max(1)).max(1);
        while let Some((first, block)) = blocks.next()? {
            if interrupt::asked() {
                return Err(Failure::interrupted());
            }
            let mut rows: [Vec<usize>; 3] = Default::default();
            let mut room =
                [most.saturating_sub(self.stopping.rows), most.saturating_sub(self.held_out.rows)];
            for row in 0..block.rows() {
                // Rows that find no room are trained on.
                let side = match sides.of(first + row) {
                    Side::Stopping if room[0] > 0 => 1,
                    Side::HeldOut if room[1] > 0 => 2,
                    _ => 0,
                };
                if side > 0 {
                    room[side - 1] -= 1;
                }
                rows[side].push(row);
            }
            for (rows, spool) in
                rows.iter().zip([&mut self.training, &mut self.stopping, &mut self.held_out])
            {
                if rows.is_empty() {
                    continue;
                }
                let encoded = encoder.dataset(&block.select(rows)?);
                let Some((data, report)) = unless_dropped(encoded, &mut met)? else { continue };
                spool.write(&joined(&data))?;
                met.add(report);
            }
        }
        Ok(met)
    }
}

/// Each row's features and then its targets.
fn joined(data: &Dataset) -> Vec<f32> {
    let targets: Vec<f32> = match data.targets() {
        Targets::Classes { labels, .. } => labels.iter().map(|&label| label as f32).collect(),
        Targets::Values { data, .. } => data.clone(),
    };
    let of_row = targets.len() / data.rows().max(1);
    let rows = data.features().chunks(data.width()).zip(targets.chunks(of_row.max(1)));
    rows.flat_map(|(features, targets)| features.iter().chain(targets).copied()).collect()
}
