//! The native run that the browser's package is compared with (`web/tests/article.json`): the article's net
//! (10-64-1, ReLU, MSE, 1000 rows, batches of 32, 10 epochs), trained with SGD and with Adam.

use std::path::{Path, PathBuf};

use crate::common::gpu;
use crate::support::{json, numbers};
use serde_json::{Value, json};
use wgrad::data::Dataset;
use wgrad::graph::{Unary, UpdateRule};
use wgrad::nn::{Init, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, Kernels, TrainingConfig};

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web/tests/article.json")
}

fn run(optimizer: Optimizer, shuffle: Option<u64>) -> Value {
    let features: Vec<f32> =
        (0..10_000).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(10).map(|row| row.iter().sum::<f32>().tanh()).collect();
    let data = Dataset::regression(features.clone(), 10, targets, 1).unwrap();
    let how = TrainingConfig::new(Loss::MeanSquaredError, optimizer).metric(Metric::RSquared);
    let net = Sequential::new(10).dense(64).relu().dense(1).seed(42);
    let mut model = net.compile_blocking(&gpu(), how).unwrap();
    let fit = FitOptions::new(10).batch_size(32);
    let fit = match shuffle {
        Some(seed) => fit.shuffle(seed),
        None => fit.in_order(),
    };
    let history = model.fit_blocking(&data, fit).unwrap();
    json!({
        "epochLosses": history.values("loss").unwrap(),
        "batchLosses": history.batch_losses,
        "r_squared": history.values("r_squared").unwrap(),
        "loss": model.evaluate_blocking(&data).unwrap().loss,
        "predictions": model.predict_blocking(&features[..100]).unwrap(),
    })
}

fn runs() -> Value {
    json!({
        "adapter": gpu().describe(),
        "sgd": run(Optimizer::sgd(0.05), None),
        "adam": run(Optimizer::adam(0.01), Some(7)),
    })
}

/// The bounds are those of `web/tests/lib/article.mjs`: Adam divides by roots of sums, which magnifies
/// rounding.
#[test]
fn the_pages_figures_are_what_the_engine_computes() {
    let (found, kept) = (runs(), json(&file()));
    for (name, tolerance) in [("sgd", 1e-5), ("adam", 1e-4)] {
        for figure in ["epochLosses", "batchLosses", "r_squared", "loss", "predictions"] {
            let (found, kept) = (numbers(&found[name][figure]), numbers(&kept[name][figure]));
            assert_eq!(found.len(), kept.len(), "{name} {figure}");
            for (i, (found, kept)) in found.into_iter().zip(kept).enumerate() {
                // A prediction may be near 0; it is right if it is right on the scale of the targets.
                let scale = if figure == "predictions" { kept.abs().max(0.1) } else { kept.abs() };
                let off = (found - kept).abs() / scale;
                assert!(off <= tolerance, "{name} {figure}[{i}]: {found}, not {kept}");
            }
        }
    }
}

#[test]
#[ignore = "writes web/tests/article.json anew"]
fn write_article() {
    let text = serde_json::to_string_pretty(&runs()).unwrap() + "\n";
    std::fs::write(file(), text).unwrap();
}

/// What the package takes is what the core has; its types and its README name all of it.
#[test]
fn the_packages_types_and_readme_name_all_there_is() {
    let layers = ["dense", "dropout", "layer_norm", "softmax"].into_iter();
    let functions = layers.chain(Unary::ALL.iter().map(|function| function.name()));
    let others = Loss::ALL.map(Loss::name).into_iter().chain(Metric::ALL.map(Metric::name));
    let rules = UpdateRule::ALL.iter().map(|rule| rule.name());
    let others = others.chain(Init::ALL.map(Init::name)).chain(Kernels::ALL.map(Kernels::name));
    let names: Vec<&str> = functions.chain(rules.clone()).chain(others).collect();
    let text = |file: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
    };
    for (file, quote) in [("web/src/types.d.ts", '\''), ("web/README.md", '`')] {
        let text = text(file);
        for name in &names {
            let said = [format!("'{name}'"), format!("{quote}{name}{quote}")];
            assert!(said.iter().any(|said| text.contains(said)), "{file} lacks {name}");
        }
    }
    let page = text("web/playground/state.js");
    for name in rules {
        assert!(page.contains(&format!("\n  {name}: '")), "the page offers no {name}");
    }
}

/// The programs that the page shows for two experiments (`web/tests/lib/programs.mjs` writes them).
#[allow(dead_code, reason = "their main functions print")]
mod programs {
    pub mod plane {
        include!("../web/tests/programs/plane.rs");
        pub fn run(gpu: &Gpu) -> wgrad::Result<Evaluation> {
            train(gpu)
        }
    }
    pub mod digits {
        include!("../web/tests/programs/digits.rs");
        pub fn run(gpu: &Gpu) -> wgrad::Result<Evaluation> {
            train(gpu)
        }
    }
}

/// What they come to is what the page comes to in a browser: `web/tests/page.spec.mjs` has these figures, too.
#[test]
fn programs_that_the_page_shows_train() {
    let gpu = gpu();
    let figures =
        json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web/tests/programs/losses.json"));
    for (name, loss) in [
        ("plane", programs::plane::run(&gpu).unwrap().loss),
        ("digits", programs::digits::run(&gpu).unwrap().loss),
    ] {
        let kept = figures[name].as_f64().unwrap();
        assert!((loss - kept).abs() <= 1e-4 * kept, "{name}: {loss}, not {kept}");
    }
}
