//! Clusters the handwritten digits without being told which they are, and shows the centres; or, of a picture, finds
//! a palette of a few colours and paints it with that.
//!
//! ```sh
//! cargo run --release --features digits --example cluster
//! cargo run --release --features digits --example cluster -- --image photo.png -k 8 --out palette.png
//! ```

mod common;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use common::{Options, Outcome, Report, png};
use wgrad::Gpu;
use wgrad::cluster::{Clusters, KMeans};
use wgrad::data::{Targets, digits};

/// Clusters handwritten digits, or the colours of a picture
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Number of clusters [default: 10 of digits, 8 of colours]
    #[arg(short = 'k', long)]
    clusters: Option<usize>,
    /// Times to begin anew, of which the best is kept
    #[arg(long, default_value_t = 3)]
    starts: usize,
    /// Seed of where the centres begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A PNG file with 8 bits per colour, whose colours are clustered
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Where the picture in a few colours goes
    #[arg(long, value_name = "FILE", default_value = "palette.png")]
    out: PathBuf,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("cluster", &args.options);
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let found = match &args.image {
        Some(image) => colours(args, &gpu, image)?,
        None => unnamed_digits(args, &gpu, &mut report)?,
    };
    println!("inertia {:.4}, {} iterations", found.inertia(), found.iterations());
    report.set("inertia", found.inertia());
    report.set("iterations", found.iterations());
    report.write()
}

/// Each cluster with its centre and the digit that most of its rows are.
fn unnamed_digits(args: &Args, gpu: &Gpu, report: &mut Report) -> Outcome<Clusters> {
    let data = digits()?.dataset;
    let Targets::Classes { labels, .. } = data.targets() else {
        return Err("digits have classes".into());
    };
    let k_means = KMeans::new(args.clusters.unwrap_or(10)).starts(args.starts).seed(args.seed);
    let found = k_means.fit_blocking(gpu, data.features(), data.width())?;
    let mut right = 0;
    for (cluster, center) in found.cluster_centers().chunks(64).enumerate() {
        let mut counts = [0; 10];
        for (&of, &digit) in found.labels().iter().zip(labels) {
            counts[digit as usize] += usize::from(of as usize == cluster);
        }
        let most = (0..10).max_by_key(|&digit| counts[digit]).unwrap_or(0);
        right += counts[most];
        let rows = counts.iter().sum::<usize>();
        println!("cluster {cluster}: {rows} rows, {} of them a {most}", counts[most]);
        for line in center.chunks(8) {
            // From paper to ink.
            let shade = |ink: &f32| [" ", "░", "▒", "▓", "█"][(ink * 4.99) as usize].repeat(2);
            println!("  {}", line.iter().map(shade).collect::<String>());
        }
    }
    let share = right as f64 / data.rows() as f64;
    println!("{:.1} % of the digits are in a cluster of their kind", 100.0 * share);
    report.set("share_of_their_kind", share);
    Ok(found)
}

/// The picture with each pixel in the nearest of a few colours.
fn colours(args: &Args, gpu: &Gpu, image: &Path) -> Outcome<Clusters> {
    let (width, height, pixels) = read(image)?;
    let values: Vec<f32> = pixels.iter().map(|&value| f32::from(value)).collect();
    let k_means = KMeans::new(args.clusters.unwrap_or(8)).starts(args.starts).seed(args.seed);
    let found = k_means.fit_blocking(gpu, &values, 3)?;
    let palette: Vec<[u8; 3]> = found
        .cluster_centers()
        .chunks(3)
        .map(|colour| [0, 1, 2].map(|i| colour[i].round() as u8))
        .collect();
    for [red, green, blue] in &palette {
        println!("#{red:02x}{green:02x}{blue:02x}");
    }
    let painted: Vec<u8> =
        found.labels().iter().flat_map(|&label| palette[label as usize]).collect();
    png::write(&args.out, width, height, &painted)?;
    Ok(found)
}

/// Width, height and the red, green and blue of all pixels.
fn read(path: &Path) -> Outcome<(u32, u32, Vec<u8>)> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(|error| at(&error))?;
    let mut decoder = ::png::Decoder::new(std::io::BufReader::new(file));
    decoder.set_transformations(::png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| at(&error))?;
    let size = reader.output_buffer_size().ok_or("a picture too large for the memory")?;
    let mut bytes = vec![0; size];
    let info = reader.next_frame(&mut bytes).map_err(|error| at(&error))?;
    let channels = info.color_type.samples();
    // Grey pixels have one number for all three; what is transparent counts as if it were not.
    let places = if channels < 3 { [0, 0, 0] } else { [0, 1, 2] };
    let pixels = bytes[..info.buffer_size()].chunks(channels);
    let rgb = pixels.flat_map(|pixel| places.map(|i| pixel[i])).collect();
    Ok((info.width, info.height, rgb))
}
