//! The principal components of the handwritten digits: all digits in the plane of the first two, as a picture, and how
//! much of a digit a few components hold.
//!
//! ```sh
//! cargo run --release --features digits,decompose --example pca -- --out digits.png
//! ```

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::{Options, Outcome, Report, png};
use wgrad::data::{Targets, digits};
use wgrad::decompose::Pca;

/// The principal components of handwritten digits
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Where the picture of the digits in the plane goes
    #[arg(long, value_name = "FILE", default_value = "pca.png")]
    out: PathBuf,
}

/// Pixels along each side of the picture.
const SIDE: usize = 640;

/// A colour for each digit, that can be told apart also by those who see fewer.
const COLOURS: [[u8; 3]; 10] = [
    [0, 0, 0],
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [200, 190, 50],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
    [120, 120, 120],
    [120, 70, 20],
];

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("pca", &args.options);
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let data = digits()?.dataset;
    let Targets::Classes { labels, .. } = data.targets() else {
        return Err("digits have classes".into());
    };

    let plane = Pca::new(2).fit_blocking(&gpu, data.features(), data.width())?;
    println!("explained variance {:?}", plane.explained_variance());
    println!("its share of all {:?}", plane.explained_variance_ratio());
    report.set("explained_variance", plane.explained_variance());
    report.set("explained_variance_ratio", plane.explained_variance_ratio());
    let places = plane.transform_blocking(data.features())?;
    png::write(&args.out, SIDE as u32, SIDE as u32, &scatter(&places, labels))?;

    // The rows again from a few components: what is missing, of all that they differ by.
    for components in [1, 2, 4, 8, 16, 32, 64] {
        let pca = Pca::new(components).fit_blocking(&gpu, data.features(), data.width())?;
        let along = pca.transform_blocking(data.features())?;
        let back = pca.inverse_transform_blocking(&along)?;
        let squares = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        let missing: f64 = back.iter().zip(data.features()).map(squares).sum();
        let all: f64 = data.features().iter().zip(pca.mean().iter().cycle()).map(squares).sum();
        println!(
            "{components:2} components: {:5.1} % of the variance",
            100.0 * (1.0 - missing / all)
        );
    }
    report.write()
}

/// A dot for each pair of numbers.
fn scatter(places: &[f32], labels: &[u32]) -> Vec<u8> {
    let largest = places.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let pixel = |x: f32| ((x / largest * 0.48 + 0.5) * SIDE as f32) as usize;
    let mut rgb = vec![255; 3 * SIDE * SIDE];
    for (place, &label) in places.chunks(2).zip(labels) {
        let (x, y) = (pixel(place[0]), pixel(-place[1]));
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let at = 3 * ((y + dy).min(SIDE - 1) * SIDE + (x + dx).min(SIDE - 1));
            rgb[at..at + 3].copy_from_slice(&COLOURS[label as usize]);
        }
    }
    rgb
}
