//! Training: for how long, and the model that comes of it.

use std::time::Instant;

use wgrad::Gpu;
use wgrad::data::{Dataset, Targets};
use wgrad::nn::{Loss, Sequential};
use wgrad::train::{EarlyStopping, FitOptions, History, Model, TrainingConfig};

use crate::checkpoints::Checkpoints;
use crate::choose::Choice;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::job::Job;
use crate::progress::Voice;
use crate::split;

/// Tables of fewer rows can't spare some to stop by: how long to train is found on parts of them.
const FEW_ROWS: usize = 2_000;

/// In how many parts.
const PARTS: usize = 4;

/// Losses, epoch by epoch: of the rows trained on, and of rows left out where there were some.
pub type Curves = Vec<(f64, Option<f64>)>;

/// A model that was trained.
pub struct Trained {
    pub model: Model,
    /// Loss of the rows trained on, after each epoch, and of rows held out where there were some.
    pub curves: Curves,
    /// Passes over the rows that the model has seen.
    pub epochs: usize,
    /// How their number came about.
    pub why: String,
    pub seconds: f64,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
}

/// Who hears of trainings, and what keeps them.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    pub voice: Voice,
    /// Not of a model that is trained on.
    pub checkpoints: Option<&'a Checkpoints>,
    /// The processes that train together, if there are several.
    pub job: Option<&'a Job>,
}

/// The loss for a data set.
pub fn loss(data: &Dataset) -> Loss {
    match data.targets() {
        Targets::Classes { .. } => Loss::SoftmaxCrossEntropy,
        Targets::Values { .. } => Loss::MeanSquaredError,
    }
}

/// Outputs that a net for a data set has.
pub fn outputs(data: &Dataset) -> usize {
    match data.targets() {
        Targets::Classes { classes, .. } => *classes,
        Targets::Values { width, .. } => *width,
    }
}

/// The net for a data set, and how it is trained.
fn task(choice: &Choice, data: &Dataset) -> (Sequential, TrainingConfig) {
    let config = choice.config(loss(data));
    let config = match choice.class_weights(data) {
        Some(weights) => config.class_weights(weights),
        None => config,
    };
    (choice.net(data.width(), outputs(data)), config)
}

/// Trains on `data`, from the start or from a model that was trained before.
pub fn train(
    gpu: &Gpu,
    choice: &Choice,
    data: &Dataset,
    from: Option<Model>,
    watch: Watch<'_>,
) -> Outcome<Trained> {
    if interrupt::asked() {
        return Err(Failure::interrupted()); // there is nothing to keep yet
    }
    let start = Instant::now();
    let mut model = match from {
        Some(model) => model,
        None => {
            let (net, config) = task(choice, data);
            net.compile_blocking(gpu, config)?
        }
    };
    let fresh = model.steps() == 0;
    let (curves, epochs, why) = match choice.epochs {
        Some(epochs) => {
            let history = fit(&mut model, choice, data, None, epochs, watch, "training")?;
            let done = history.epochs.len();
            (curves(&history), done, "as asked for".to_owned())
        }
        None if fresh && data.rows() < FEW_ROWS => {
            let (epochs, held_out) = find_epochs(&mut model, choice, data, watch)?;
            model.reset(choice.seed)?;
            let history = fit(&mut model, choice, data, None, epochs, watch, "training")?;
            let of_all = history.epochs.iter().map(|epoch| epoch.loss);
            let held_out = held_out.into_iter().map(Some).chain(std::iter::repeat(None));
            let why = format!(
                "so many gave the least loss on rows left out, in {PARTS} trainings that each left out another part"
            );
            (of_all.zip(held_out).collect(), history.epochs.len(), why)
        }
        None => stop_by_some(&mut model, choice, data, watch)?,
    };
    let (seconds, interrupted) = (start.elapsed().as_secs_f64(), interrupt::asked());
    Ok(Trained { model, curves, epochs, why, seconds, interrupted })
}

fn fit(
    model: &mut Model,
    choice: &Choice,
    data: &Dataset,
    stopping: Option<(&Dataset, &mut EarlyStopping)>,
    epochs: usize,
    watch: Watch<'_>,
    what: &str,
) -> Outcome<History> {
    let mut live = watch.voice.epochs(what);
    let options = FitOptions::new(epochs).batch_size(choice.batch).shuffle(choice.seed);
    let options = match watch.checkpoints {
        Some(checkpoints) => {
            let work = choice.work(data.rows(), data.width(), outputs(data));
            checkpoints.keep(options, work)
        }
        None => options,
    };
    let options = options.callback(&mut live);
    let options = match stopping {
        Some((held_out, stopping)) => options.validation(held_out).callback(stopping),
        None => options,
    };
    match watch.job {
        Some(job) => {
            let (net, config) = task(choice, data);
            // Balanced weights are those of all rows that are trained on in the end, as the model has them.
            let config = match model.class_weights() {
                Some(weights) => config.class_weights(weights.to_vec()),
                None => config,
            };
            job.fit(model, (net, config), (choice, data), options, watch.voice)
        }
        None => Ok(model.fit_blocking(data, options)?),
    }
}

/// Rows that are left out, which are to count as those that are trained on do.
fn weighed(model: &Model, out: Dataset) -> Outcome<Dataset> {
    let (Some(weights), Targets::Classes { labels, .. }) = (model.class_weights(), out.targets())
    else {
        return Ok(out);
    };
    let of = |&label: &u32| weights.get(label as usize).copied().unwrap_or(1.0);
    let own = labels.iter().map(of).collect();
    Ok(out.with_weights(own)?)
}

pub fn curves(history: &History) -> Curves {
    let of = |epoch: &wgrad::train::EpochLog| {
        (epoch.loss, epoch.validation.as_ref().map(|validation| validation.loss))
    };
    history.epochs.iter().map(of).collect()
}

/// For how many epochs a net of few rows is to be trained: as many as gave the least loss on rows left out,
/// in the mean of trainings that each left out another part; with that mean for each epoch.
fn find_epochs(
    model: &mut Model,
    choice: &Choice,
    data: &Dataset,
    watch: Watch<'_>,
) -> Outcome<(usize, Vec<f64>)> {
    let parts = split::parts(data.rows(), split::classes(data), PARTS, choice.seed);
    let patience = (choice.most_epochs / 12).max(20);
    let mut held_out: Vec<Vec<f64>> = Vec::new();
    for (number, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        let others = parts.iter().enumerate().filter(|(other, _)| *other != number);
        let others: Vec<usize> = others.flat_map(|(_, rows)| rows).copied().collect();
        // So few rows that one part is all of them.
        if others.is_empty() || interrupt::asked() {
            break;
        }
        let (training, out) = (data.select(&others)?, weighed(model, data.select(part)?)?);
        model.reset(choice.seed)?;
        let mut stopping = EarlyStopping::new("val_loss", patience);
        let what = format!("how long? {}/{PARTS}", number + 1);
        let stop = Some((&out, &mut stopping));
        let history = fit(model, choice, &training, stop, choice.most_epochs, watch, &what)?;
        held_out.push(history.values("val_loss")?);
    }
    let least = held_out.iter().map(Vec::len).min().unwrap_or(0);
    let mean = |epoch: usize| {
        let of_parts = held_out.iter().filter_map(|losses| losses.get(epoch));
        of_parts.sum::<f64>() / held_out.len().max(1) as f64
    };
    let means: Vec<f64> = (0..least).map(mean).collect();
    let best = means.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
    let epochs = best.map_or(choice.most_epochs / 10, |(epoch, _)| epoch + 1);
    if interrupt::asked() {
        watch.voice.say(format!(
            "interrupted: learns from all rows for {epochs} epochs, then ends; Ctrl-C again ends at once"
        ));
    }
    Ok((epochs, means))
}

/// Trains until the loss on a tenth of the rows, which are left out, does not fall any more.
fn stop_by_some(
    model: &mut Model,
    choice: &Choice,
    data: &Dataset,
    watch: Watch<'_>,
) -> Outcome<(Curves, usize, String)> {
    let (training, out) = split::held_out(data.rows(), split::classes(data), 0.1, choice.seed)?;
    let (training, out) = (data.select(&training)?, weighed(model, data.select(&out)?)?);
    let patience = (choice.most_epochs / 8).clamp(8, 50);
    let mut stopping = EarlyStopping::new("val_loss", patience);
    let stop = Some((&out, &mut stopping));
    let history = fit(model, choice, &training, stop, choice.most_epochs, watch, "training")?;
    let losses = history.values("val_loss")?;
    let best = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
    let epochs = best.map_or(0, |(epoch, _)| epoch + 1);
    let why = format!(
        "of {} epochs tried, then the loss was least on a tenth of the rows, left out for this",
        losses.len()
    );
    Ok((curves(&history), epochs, why))
}
