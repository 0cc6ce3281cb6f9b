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
    for (file, quote) in [("web/src/training/types.d.ts", '\''), ("web/README.md", '`')] {
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
    #[cfg(feature = "decompose")]
    pub mod clusters {
        include!("../web/tests/programs/clusters.rs");
        pub fn run(gpu: &Gpu) -> wgrad::Result<(f64, f64)> {
            let (groups, pca) = group(gpu)?;
            Ok((groups.inertia(), pca.explained_variance_ratio()[0]))
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

/// What the page's tab of clusters comes to, too: `web/tests/clusters.spec.mjs` has these figures.
#[cfg(feature = "decompose")]
#[test]
fn clusters_that_the_page_shows_are_those_of_their_program() {
    let figures =
        json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web/tests/programs/losses.json"));
    let (inertia, share) = programs::clusters::run(&gpu()).unwrap();
    for (name, found) in [("clusters inertia", inertia), ("clusters share", share)] {
        let kept = figures[name].as_f64().unwrap();
        assert!((found - kept).abs() <= 1e-4 * kept, "{name}: {found}, not {kept}");
    }
}

/// A model that goes to the page and comes back: `web/tests/native.wgrad`, written natively, and
/// `web/tests/browser.wgrad`, written by the package (`node web/tests/lib/keep.mjs`); in `web/tests/kept.json` what they
/// predict, and what the first comes to when it trains on.
#[cfg(feature = "files")]
mod kept {
    use super::*;
    use wgrad::nn::LearningRateSchedule;
    use wgrad::train::{Model, ModelFile};

    fn place(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("web/tests").join(name)
    }

    /// Rows that a page has too, bit for bit: sums and quotients of small whole numbers.
    fn rows() -> (Vec<f32>, Dataset) {
        let x: Vec<f32> = (0..60).map(|i| (i * 7 % 13) as f32 / 8.0 - 0.75).collect();
        let y = x.chunks(2).map(|row| row[0] - row[1]).collect();
        (x.clone(), Dataset::regression(x, 2, y, 1).unwrap())
    }

    fn model() -> Model {
        let schedule = LearningRateSchedule::cosine(40, 0.1).warm_up(3);
        let optimizer = Optimizer::adam(0.01).clip_norm(1.0).schedule(schedule);
        let how = TrainingConfig::new(Loss::Huber { delta: 0.5 }, optimizer);
        let elu = Unary::from_name("elu").unwrap().with_parameter(0.5);
        let net = Sequential::new(2).dense(4).activation(elu).layer_norm().dense(1).seed(3);
        let mut model =
            net.compile_blocking(&gpu(), how.metric(Metric::MeanAbsoluteError)).unwrap();
        model.fit_blocking(&rows().1, FitOptions::new(2).batch_size(8)).unwrap();
        model
    }

    fn close(found: &[f64], kept: &[f64]) {
        assert_eq!(found.len(), kept.len());
        for (found, kept) in found.iter().zip(kept) {
            assert!((found - kept).abs() <= 1e-4 * kept.abs().max(0.1), "{found}, not {kept}");
        }
    }

    fn predictions(model: &Model) -> Vec<f64> {
        model.predict_blocking(&rows().0).unwrap().into_iter().map(f64::from).collect()
    }

    #[test]
    fn what_the_package_saves_is_read_natively() {
        let bytes = std::fs::read(place("browser.wgrad")).unwrap();
        let file = ModelFile::from_bytes(&bytes).unwrap();
        assert_eq!(file.to_bytes().unwrap(), bytes, "the same model is the same file");
        let mut model = file.model_blocking(&gpu()).unwrap();
        assert_eq!(model.steps(), 8);
        let kept = json(&place("kept.json"));
        close(&predictions(&model), &numbers(&kept["browser"]["predictions"]));
        let history = model.fit_blocking(&rows().1, FitOptions::new(2).batch_size(8)).unwrap();
        close(&history.values("loss").unwrap(), &numbers(&kept["browser"]["losses"]));
    }

    #[test]
    fn what_the_package_reads_is_what_is_written_natively() {
        let bytes = std::fs::read(place("native.wgrad")).unwrap();
        let mut kept = Model::from_bytes_blocking(&gpu(), &bytes).unwrap();
        let figures = json(&place("kept.json"));
        close(&predictions(&kept), &numbers(&figures["native"]["predictions"]));
        close(&predictions(&model()), &predictions(&kept));
        let history = kept.fit_blocking(&rows().1, FitOptions::new(2).batch_size(8)).unwrap();
        close(&history.values("loss").unwrap(), &numbers(&figures["native"]["losses"]));
    }

    #[test]
    #[ignore = "writes web/tests/native.wgrad anew; then run `node web/tests/lib/keep.mjs`"]
    fn write_native() {
        let mut model = model();
        std::fs::write(place("native.wgrad"), model.to_bytes_blocking().unwrap()).unwrap();
        let predictions = predictions(&model);
        let history = model.fit_blocking(&rows().1, FitOptions::new(2).batch_size(8)).unwrap();
        let native =
            json!({ "predictions": predictions, "losses": history.values("loss").unwrap() });
        let text = serde_json::to_string_pretty(&json!({ "native": native })).unwrap() + "\n";
        std::fs::write(place("kept.json"), text).unwrap();
    }
}
