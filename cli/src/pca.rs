//! `wgrad pca`: rows in, their principal components out.

use serde_json::json;
use wgrad::decompose::Pca;

use crate::args::PcaArgs;
use crate::failure::Outcome;
use crate::model;
use crate::progress::Voice;
use crate::rows::Rows;
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
    let found = pca.fit_blocking(&gpu, &rows.features, rows.width())?;
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
    let transformed = found.transform_blocking(&rows.features)?;
    let count = found.count().max(1);
    let header: Vec<String> = (1..=count).map(|number| format!("pc{number}")).collect();
    rows.print(&header, |row| {
        let numbers = transformed.chunks(count).nth(row).unwrap_or_default();
        numbers.iter().map(f32::to_string).collect::<Vec<_>>().join(",")
    })
}
