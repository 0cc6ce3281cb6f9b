//! `wgrad pca`: rows in, their principal components out.

use std::io;

use serde_json::json;
use wgrad::Error;
use wgrad::decompose::Pca;

use crate::args::PcaArgs;
use crate::failure::Outcome;
use crate::model;
use crate::progress::Voice;
use crate::rows::{Lines, Rows, Values};
use crate::score::Figure;
use crate::train::write;

/// Features that are named for a component, those with the largest part in it.
const SHOWN: usize = 4;

pub fn run(args: &PcaArgs) -> Outcome {
    let voice = Voice::new(args.rows.run.quiet);
    let rows = Rows::read(&args.rows, voice)?;
    let gpu = model::gpu(args.rows.run.adapter.as_deref())?;
    voice.say(format!("adapter: {}", gpu.describe()));
    let pca = Pca::new(args.components).whiten(args.whiten).seed(args.rows.seed);
    let found = match &rows.values {
        Values::Memory(features) => pca.fit_blocking(&gpu, features, rows.width())?,
        Values::Array(source) | Values::Disk(source, _) => pca.fit_source_blocking(&gpu, source)?,
    };
    let components: Vec<&[f32]> = found.components().chunks(rows.width()).collect();
    let ratios = found.explained_variance_ratio();
    for (number, (component, &ratio)) in components.iter().zip(ratios).enumerate() {
        let mut parts: Vec<(&str, f32)> =
            rows.names.iter().map(String::as_str).zip(component.iter().copied()).collect();
        parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let parts: Vec<String> =
            parts.iter().take(SHOWN).map(|(name, part)| format!("{name} {part:+.2}")).collect();
        let of_all = Figure(100.0 * ratio);
        voice.say(format!("pc{}: {of_all} % of the variance; {}", number + 1, parts.join(", ")));
    }
    voice.say(format!("together {} %", Figure(100.0 * ratios.iter().sum::<f64>())));
    if let Some(path) = &args.rows.json {
        let figures = json!({
            "explained_variance": found.explained_variance(),
            "explained_variance_ratio": ratios,
            "singular_values": found.singular_values(),
            "features": rows.names,
            "components": components,
            "mean": found.mean(),
            "adapter": gpu.describe(),
        });
        write(path, &format!("{figures:#}\n"))?;
    }
    let count = found.count().max(1);
    let header: Vec<String> = (1..=count).map(|number| format!("pc{number}")).collect();
    let mut lines = rows.lines(&header)?;
    match &rows.values {
        Values::Memory(features) => {
            write_rows(&mut lines, &found.transform_blocking(features)?, count)?;
        }
        Values::Array(source) | Values::Disk(source, _) => {
            let mut wrote = Ok(());
            let sent = found.transform_source_blocking(source, |some| {
                write_rows(&mut lines, some, count).map_err(|error| {
                    let (path, source) = ("standard output".into(), error.kind().into());
                    wrote = Err(error);
                    Error::File { path, source }
                })
            });
            // Its own error says whether who reads has seen enough.
            wrote?;
            sent?;
        }
    }
    lines.finish()
}

fn write_rows(lines: &mut Lines<'_>, numbers: &[f32], count: usize) -> io::Result<()> {
    numbers.chunks(count).try_for_each(|row| {
        lines.write(&row.iter().map(f32::to_string).collect::<Vec<_>>().join(","))
    })
}
