//! A model that was trained, saved, judged by rows that were held out, and reported.

use std::path::Path;

use serde_json::{Map, Value, json};
use wgrad::Gpu;
use wgrad::data::{Dataset, Encoder};

use super::{output, write};
use crate::args::TrainArgs;
use crate::baseline::Baselines;
use crate::choose::Choice;
use crate::failure::Outcome;
use crate::fit::Trained;
use crate::importance::importance;
use crate::job::Job;
use crate::model;
use crate::progress::Voice;
use crate::report::Report;
use crate::score::{Figure, Metric, Truth, deviation};

/// Of fewer rows a score is that of the draw.
const FEW_FOR_A_SCORE: usize = 10;

/// A model that was trained, and the rows by which it is judged.
pub(super) struct Judged<'a> {
    pub(super) args: &'a TrainArgs,
    pub(super) gpu: &'a Gpu,
    pub(super) metric: Metric,
    pub(super) voice: Voice,
    /// The processes that trained together, if there were several.
    pub(super) job: Option<&'a Job>,
    pub(super) encoder: &'a Encoder,
    pub(super) choice: &'a Choice,
    /// Rows trained on, or some of them, and rows held out.
    pub(super) sides: (&'a Dataset, &'a Dataset),
    /// All rows trained on.
    pub(super) rows: usize,
    /// Those of a cross-validation.
    pub(super) scores: Option<&'a [f64]>,
}

impl Judged<'_> {
    /// Saves the model and reports; whether Ctrl-C ended its training.
    pub(super) fn end(self, trained: Trained) -> Outcome<bool> {
        let Self { args, gpu, mut metric, voice, job, encoder, choice, sides, rows, scores } = self;
        let held_out = sides.1;
        let Trained { model, curves, epochs, why, seconds, interrupted } = trained;
        voice.say(format!("trained {epochs} epochs in {seconds:.1} s: {why}"));
        if job.is_some_and(|job| !job.is_first()) {
            return Ok(interrupted);
        }
        let model = model.with_encoder(encoder.clone())?;
        let path = output(args, encoder);
        model.save_blocking(&path)?;
        voice.say(format!("model: {}", path.display()));

        let predictor = model.predictor();
        let said = model::predictions(&predictor, encoder, held_out.features())?;
        let truth = Truth::of(held_out, encoder)?;
        if metric == Metric::Auc && scores.is_none() && !truth.has_both_classes() {
            metric = Metric::Accuracy;
            voice.say(
                "note: the rows held out are all of one class, of which there is no area under the ROC curve; the \
                 accuracy stands in for it",
            );
        }
        let score = match scores {
            Some(scores) => scores.iter().sum::<f64>() / scores.len().max(1) as f64,
            None => truth.score(metric, &said)?,
        };
        let baselines = Baselines::of(gpu, encoder, sides, metric)?;
        let columns = importance(&predictor, encoder, held_out, metric, args.seed)?;
        let report = Report {
            args,
            ranks: job.map(Job::ranks),
            adapter: gpu.describe(),
            encoder,
            choice,
            metric,
            score,
            folds: scores,
            baselines,
            curves: &curves,
            epochs,
            why: &why,
            seconds,
            rows: (rows, held_out.rows()),
            truth: &truth,
            said: &said,
            importance: &columns,
            model: &path,
        };
        let page = path.with_extension("html");
        write(&page, &report.html())?;
        voice.say(format!("report: {}", page.display()));
        let spread = scores.map(|scores| format!(" ± {}", Figure(deviation(scores))));
        let over = match scores {
            Some(scores) => format!("mean of {} parts, each held out in turn", scores.len()),
            None => format!(
                "{} row{} held out",
                held_out.rows(),
                if held_out.rows() == 1 { "" } else { "s" }
            ),
        };
        if scores.is_none() && held_out.rows() < FEW_FOR_A_SCORE {
            voice.say("note: so few rows are held out that the score is chance; --folds holds out all in turn");
        }
        voice.say(format!(
            "{} {}{} ({over}); a constant {}, a linear model {}",
            metric.title(),
            Figure(score),
            spread.unwrap_or_default(),
            Figure(baselines.constant),
            Figure(baselines.linear)
        ));
        if let Some(file) = &args.json {
            write(file, &format!("{:#}\n", report.json(&page)))?;
        }
        Ok(interrupted)
    }
}

impl Report<'_> {
    /// The figures, for programs.
    fn json(&self, page: &Path) -> Value {
        let mut figures = Map::new();
        figures.insert("metric".into(), self.metric.name().into());
        figures.insert("score".into(), self.score.into());
        figures.insert("baseline".into(), self.baselines.constant.into());
        figures.insert("linear_baseline".into(), self.baselines.linear.into());
        figures.insert("epochs".into(), self.epochs.into());
        figures.insert("seconds".into(), self.seconds.into());
        figures.insert("adapter".into(), self.adapter.clone().into());
        figures.insert("task".into(), self.task().into());
        figures.insert("target".into(), json!(self.encoder.targets().columns()));
        figures.insert("training_rows".into(), self.rows.0.into());
        figures.insert("held_out_rows".into(), self.rows.1.into());
        figures.insert("features".into(), self.encoder.width().into());
        figures.insert("hidden".into(), json!(self.choice.hidden));
        figures.insert("batch".into(), self.choice.batch.into());
        // As it is written: 0.001, and not the nearest f32.
        let rate = self.choice.rate;
        let rate = rate.to_string().parse().unwrap_or_else(|_| f64::from(rate));
        figures.insert("rate".into(), rate.into());
        figures.insert("optimizer".into(), self.choice.optimizer_name.into());
        figures.insert("seed".into(), self.args.seed.into());
        if let Some(ranks) = self.ranks {
            figures.insert("ranks".into(), ranks.into());
        }
        if let Some(folds) = self.folds {
            figures.insert("folds".into(), json!(folds));
        }
        figures.insert("model".into(), self.model.display().to_string().into());
        figures.insert("report".into(), page.display().to_string().into());
        Value::Object(figures)
    }
}
