//! Why does it say 3? Trains a classifier of handwritten digits and shows, as a picture, which pixels of some digits
//! spoke for what it says, in red, and which against it, in blue; and which pixels matter to it over all digits.
//!
//! ```sh
//! cargo run --release --features digits --example explain -- --out why.png
//! ```

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::{Options, Outcome, Report, png};
use wgrad::data::{digits, permutation};
use wgrad::explain::{Explainer, Quadrature, Score, permutation_importance_blocking};
use wgrad::prelude::*;

/// Shows which pixels of digits a classifier goes by
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Where the picture goes
    #[arg(long, value_name = "FILE", default_value = "explain.png")]
    out: PathBuf,
}

/// Digits that are explained, pixels along a side of each, and screen pixels for each of those.
const SHOWN: usize = 10;
const SIDE: usize = 8;
const ZOOM: usize = 8;

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("explain", &args.options);
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let (train, test) = digits()?.dataset.split(0.2, 1)?;
    // A smooth activation: attributions of corners need many points.
    let net = Sequential::new(64).dense(64).tanh().dense(10).seed(1);
    let how = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::adam(0.003));
    let mut model = net.compile_blocking(&gpu, how.metric(Metric::Accuracy))?;
    let epochs = if args.options.quick { 3 } else { 30 };
    model.fit_blocking(&train, FitOptions::new(epochs).batch_size(32))?;
    let accuracy = model.evaluate_blocking(&test)?.metric(Metric::Accuracy);
    println!("accuracy on digits that it has not seen: {accuracy:?}");

    let shown = &test.features()[..SHOWN * 64];
    let said = model.predict_classes_blocking(shown)?;
    let targets: Vec<usize> = said.iter().map(|&class| class as usize).collect();
    let mut explainer = Explainer::of_model_blocking(&model)?;
    let (paper, rule) = ([0.0; 64], Quadrature::GaussLegendre(64));
    let why = explainer.integrated_gradients_blocking(shown, &targets, &paper, rule)?;
    for (row, (said, gap)) in said.iter().zip(&why.gaps).enumerate() {
        let values = &why.attributions[row * 64..][..64];
        let sum: f32 = values.iter().sum();
        println!(
            "says {said}: its pixels add {sum:.3} to what a blank sheet has; off by {gap:.1e}"
        );
    }
    let worst = why.gaps.iter().fold(0.0f64, |worst, gap| worst.max(gap.abs()));
    report.set("largest_gap", worst);

    // The same pixel of another digit: how much worse it does.
    let orders: Vec<Vec<u32>> = (0..2).map(|seed| permutation(test.rows(), seed)).collect();
    let score = Score::Metric(Metric::Accuracy);
    let found = permutation_importance_blocking(&model, &test, score, &orders)?;
    let importance: Vec<f32> = found.iter().map(|pixel| pixel.mean() as f32).collect();
    let most = (0..64).max_by(|&a, &b| importance[a].total_cmp(&importance[b])).unwrap_or(0);
    println!(
        "the pixel in row {}, column {} matters most: {:.3} of the accuracy",
        most / SIDE,
        most % SIDE,
        importance[most]
    );
    report.set("largest_importance", f64::from(importance[most]));

    let width = (SHOWN + 1) * SIDE * ZOOM;
    let mut rgb = vec![255; 3 * width * 2 * SIDE * ZOOM];
    for place in 0..SHOWN {
        let ink = |i: usize| [(255.0 * (1.0 - shown[place * 64 + i])) as u8; 3];
        paint(&mut rgb, width, (place, 0), ink);
        paint(&mut rgb, width, (place, 1), heat(&why.attributions[place * 64..][..64]));
    }
    paint(&mut rgb, width, (SHOWN, 1), heat(&importance));
    png::write(&args.out, width as u32, (2 * SIDE * ZOOM) as u32, &rgb)?;
    report.write()
}

/// Red where a number is positive, blue where it is negative, the paler the nearer to 0.
fn heat(values: &[f32]) -> impl Fn(usize) -> [u8; 3] + '_ {
    let largest = values.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    move |i| {
        let share = values[i] / largest;
        let pale = (255.0 * (1.0 - share.abs())) as u8;
        if share > 0.0 { [255, pale, pale] } else { [pale, pale, 255] }
    }
}

/// Paints the picture at `(column, row)` of the sheet, whose pixel `i` has a colour.
fn paint(
    rgb: &mut [u8],
    width: usize,
    (column, row): (usize, usize),
    colour: impl Fn(usize) -> [u8; 3],
) {
    for y in 0..SIDE * ZOOM {
        for x in 0..SIDE * ZOOM {
            let at = 3 * ((row * SIDE * ZOOM + y) * width + column * SIDE * ZOOM + x);
            rgb[at..at + 3].copy_from_slice(&colour(y / ZOOM * SIDE + x / ZOOM));
        }
    }
}
