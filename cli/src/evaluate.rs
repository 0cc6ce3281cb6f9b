//! `wgrad evaluate`: how good a model is on rows whose target is known.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use wgrad::data::TargetEncoding;

use crate::args::EvaluateArgs;
use crate::failure::Outcome;
use crate::folders::needs_folder;
use crate::model;
use crate::progress::Voice;
use crate::score::{Figure, Metric, Truth, confusion};
use crate::table;
use crate::train::write;

pub fn run(args: &EvaluateArgs) -> Outcome {
    let voice = Voice::new(args.run.quiet);
    args.json.iter().try_for_each(|path| needs_folder(path))?;
    let (file, encoder) = model::read(&args.model)?;
    let metric = Metric::of(args.metric, encoder.targets())?;
    let table = table::read(&args.table, &args.run.reading, voice)?;
    let (data, report) = encoder.dataset(&table)?;
    voice.note(&report);
    let gpu = model::gpu(args.run.adapter.as_deref())?;
    let predictor = file.predictor_blocking(&gpu)?;
    let said = model::predictions(&predictor, &encoder, data.features())?;
    let truth = Truth::of(&data, &encoder)?;
    let all: &[Metric] = match encoder.targets() {
        TargetEncoding::Classes { classes, .. } if classes.len() == 2 => &[
            Metric::Accuracy,
            Metric::F1,
            Metric::Precision,
            Metric::Recall,
            Metric::LogLoss,
            Metric::Auc,
        ],
        TargetEncoding::Classes { .. } => {
            &[Metric::Accuracy, Metric::F1, Metric::Precision, Metric::Recall, Metric::LogLoss]
        }
        _ => &[Metric::R2, Metric::Mae, Metric::Rmse],
    };
    let mut out = io::stdout().lock();
    writeln!(out, "rows: {}", data.rows())?;
    for &metric in all {
        writeln!(out, "{}: {}", metric.title(), Figure(truth.score(metric, &said)?))?;
    }
    if let Truth::Classes { labels, classes } = &truth {
        let matrix = confusion(labels, &said, *classes)?;
        writeln!(out, "confusion (rows: true class; columns: predicted class)")?;
        let names = encoder.class_names();
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(6);
        let line = |fields: &mut dyn Iterator<Item = String>| {
            fields.map(|field| format!("{field:>widest$}")).collect::<Vec<_>>().join("  ")
        };
        let mut header = [String::new()].into_iter().chain(names.iter().cloned());
        writeln!(out, "{}", line(&mut header))?;
        for (class, name) in names.iter().enumerate() {
            let counts = (0..*classes).map(|other| matrix.count(class, other).to_string());
            let mut fields = [name.clone()].into_iter().chain(counts);
            writeln!(out, "{}", line(&mut fields))?;
        }
    }
    if let Some(path) = &args.json {
        let mut figures = Map::new();
        figures.insert("metric".into(), metric.name().into());
        figures.insert("score".into(), truth.score(metric, &said)?.into());
        figures.insert("rows".into(), data.rows().into());
        figures.insert("adapter".into(), gpu.describe().into());
        for &metric in all {
            // Of rows of one class there is no AUC, and all the others.
            if let Ok(figure) = truth.score(metric, &said) {
                figures.insert(metric.name().into(), figure.into());
            }
        }
        if let Truth::Classes { labels, classes } = &truth {
            let matrix = confusion(labels, &said, *classes)?;
            let row = |class| (0..*classes).map(|other| matrix.count(class, other)).collect();
            let confusion: Vec<Vec<u64>> = (0..*classes).map(row).collect();
            figures.insert("classes".into(), json!(encoder.class_names()));
            figures.insert("confusion".into(), json!(confusion));
        }
        write(path, &format!("{:#}\n", Value::Object(figures)))?;
    }
    Ok(())
}
