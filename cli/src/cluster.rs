//! `wgrad cluster`: rows in, their clusters out.

use serde_json::json;
use wgrad::cluster::KMeans;

use crate::args::ClusterArgs;
use crate::failure::Outcome;
use crate::model;
use crate::progress::Voice;
use crate::rows::{Rows, Values};
use crate::score::Figure;
use crate::train::write;

pub fn run(args: &ClusterArgs) -> Outcome {
    let voice = Voice::new(args.rows.run.quiet);
    let rows = Rows::read(&args.rows, voice)?;
    let gpu = model::gpu(args.rows.run.adapter.as_deref())?;
    voice.say(format!("adapter: {}", gpu.describe()));
    let mut k_means = KMeans::new(args.clusters)
        .starts(args.starts)
        .max_iterations(args.max_iterations)
        .seed(args.rows.seed);
    if let Some(rows) = args.mini_batch {
        k_means = k_means.mini_batch(rows);
    }
    let found = match &rows.values {
        Values::Memory(features) => k_means.fit_blocking(&gpu, features, rows.width())?,
        Values::Array(source) | Values::Disk(source, _) => {
            k_means.fit_source_blocking(&gpu, source)?
        }
    };
    let labels = found.labels();
    let mut sizes = vec![0usize; found.count()];
    for &label in labels {
        if let Some(size) = sizes.get_mut(label as usize) {
            *size += 1;
        }
    }
    let (inertia, iterations) = (found.inertia(), found.iterations());
    voice.say(format!("inertia {} after {iterations} iterations", Figure(inertia)));
    let centers: Vec<&[f32]> = found.cluster_centers().chunks(rows.width()).collect();
    for (number, (size, center)) in sizes.iter().zip(&centers).enumerate() {
        let shown = rows.names.iter().zip(*center);
        let shown: Vec<String> =
            shown.map(|(name, &x)| format!("{name} {}", Figure(x.into()))).collect();
        voice.say(format!("cluster {number}: {size} rows around {}", shown.join(", ")));
    }
    if let Some(path) = &args.rows.json {
        let figures = json!({
            "inertia": inertia,
            "iterations": iterations,
            "sizes": sizes,
            "features": rows.names,
            "cluster_centers": centers,
            "adapter": gpu.describe(),
        });
        write(path, &format!("{figures:#}\n"))?;
    }
    let mut lines = rows.lines(&["cluster".into()])?;
    labels.iter().try_for_each(|label| lines.write(&label.to_string()))?;
    lines.finish()
}
