//! Training inside an app that owns its device. The app draws frames; in each of them a net learns
//! for a few milliseconds and no longer, and its picture is drawn as it then is.
//!
//! - [`app`] owns a device with WebGPU's default limits and no optional features. wgrad gets it
//!   through `Gpu::from_device`; the device's error handler stays the app's.
//! - [`learner`] records its steps into the encoder of the frame. It learns a picture: from the place
//!   of a pixel to its colour.
//! - `image.wgsl` is the app's shader. It reads the net's output from the buffer it lies in
//!   (`Executor::buffer_of`): nothing goes through the host.
//! - [`Budget`] finds out how many steps fit into a frame.
//!
//! ```sh
//! cargo run --release --example embed -- --image picture.png
//! ```

mod app;
#[path = "../common/mod.rs"]
mod common;
mod learner;
mod picture;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use app::App;
use clap::Parser;
use common::{Options, Outcome, Report};
use learner::Learner;
use picture::{PIXELS, SIDE};
use wgrad::Gpu;
use wgrad::exec::MAX_STEPS;

/// Training inside an app that owns the device, within a time budget per frame
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// Frames to draw [default: 300]
    #[arg(long)]
    frames: Option<NonZeroUsize>,
    /// Milliseconds per frame that training may take
    #[arg(long, value_name = "MS", default_value_t = 6.0)]
    budget: f64,
    /// Draw the picture and what the net made of it into FILE, a PNG
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

fn main() -> ExitCode {
    common::exit(pollster::block_on(run(&Args::parse())))
}

/// How many steps fit into a frame, learnt from how long frames take.
struct Budget {
    /// Seconds per frame that training may take.
    allowed: f64,
    /// Seconds that a frame takes without training, and those that a step adds to it.
    drawing: Option<f64>,
    step: Option<f64>,
}

impl Budget {
    /// The steps for frame number `frame`. Now and then a frame goes without, to measure drawing.
    fn steps(&self, frame: usize) -> usize {
        match self.step {
            _ if frame < 4 || frame.is_multiple_of(16) => 0,
            None => 1,
            Some(step) => ((self.allowed / step) as usize).clamp(1, MAX_STEPS),
        }
    }

    fn frame_took(&mut self, steps: usize, seconds: f64) {
        // Averages that forget: a machine is not always as fast.
        let average =
            |old: Option<f64>, new: f64| Some(old.map_or(new, |old| 0.8 * old + 0.2 * new));
        if steps == 0 {
            self.drawing = average(self.drawing, seconds);
        } else {
            let training = (seconds - self.drawing.unwrap_or(0.0)).max(1e-6);
            self.step = average(self.step, training / steps as f64);
        }
    }
}

async fn run(args: &Args) -> Outcome {
    let mut report = Report::new("embed", &args.options);
    let frames = args.options.size(args.frames, 300, 20);
    let app = App::new(args.options.adapter.as_deref(), PIXELS).await?;

    // wgrad borrows the device.
    let gpu = Gpu::from_device(&app.device, &app.queue);
    println!("adapter: {}", gpu.describe());
    report.device(gpu.info());
    let mut learner = Learner::new(&gpu, 1).await?;
    let colours = app.bind(learner.colours()?);

    let mut budget = Budget { allowed: args.budget / 1e3, drawing: None, step: None };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let ready = gpu.counters();
    for frame in 0..frames {
        let steps = budget.steps(frame);
        let start = Instant::now();
        let mut encoder = app.device.create_command_encoder(&Default::default());
        if steps > 0 {
            learner.train(&mut encoder, steps)?;
        }
        learner.paint(&mut encoder)?;
        app.draw(&mut encoder, &colours);
        app.present(encoder)?;
        learner.submitted();
        learner.take_results().await?;
        let seconds = start.elapsed().as_secs_f64();
        // The first frame warms the driver up.
        if frame > 0 {
            budget.frame_took(steps, seconds);
            if steps > 0 { &mut with } else { &mut without }.push(seconds);
        }
        if (frame + 1).is_multiple_of(frames.div_ceil(10)) {
            let loss = learner.losses.last().copied().unwrap_or(f32::NAN);
            println!("frame {:>4}  steps {:>6}  loss {loss:.5}", frame + 1, learner.steps);
        }
    }
    learner.take_results().await?;
    let counters = gpu.counters() - ready;

    // The image, as the app's shader drew it, and how far it is from the picture.
    let image: Vec<u8> = app.screenshot()?.chunks(4).flat_map(|p| p[..3].to_vec()).collect();
    let wanted: Vec<u8> = picture::colours().iter().map(|c| (c * 255.0).round() as u8).collect();
    let squares = image.iter().zip(&wanted).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let psnr = 10.0 * (255.0 * 255.0 * image.len() as f64 / squares.sum::<f64>()).log10();
    if let Some(path) = &args.image {
        write_image(path, &wanted, &image)?;
    }

    // Whose error handler is it? What wgrad is refused comes back from its calls, what the app is
    // refused goes to the app's handler.
    let earlier = app.take_errors();
    let refusal = learner::refused(&gpu).await.ok_or("wgrad took a useless buffer")?.to_string();
    let not_ours = app.take_errors();
    app.blunder();
    let ours = app.take_errors();
    let brief = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    println!("wgrad's call returned: {}", brief(&refusal));
    println!("the app's handler heard: {}", ours.iter().map(|e| brief(e)).collect::<String>());
    let kept = (earlier.len(), not_ours.len(), ours.len()) == (0, 0, 1);
    report.set("error_handler_kept", kept);
    if !kept {
        return Err(format!("the app's handler heard {earlier:?}, {not_ours:?}, {ours:?}").into());
    }

    let mean = |seconds: &[f64]| 1e3 * seconds.iter().sum::<f64>() / seconds.len().max(1) as f64;
    let (drawing, training) = (mean(&without), mean(&with) - mean(&without));
    let per_frame = learner.steps as f64 / with.len().max(1) as f64;
    println!("drawing: {drawing:.2} ms per frame");
    println!("training: {training:.2} ms per frame of {:.2} allowed", args.budget);
    println!("steps: {} in {frames} frames, {per_frame:.1} per frame", learner.steps);
    println!("likeness: {psnr:.1} dB (PSNR)");

    let epochs = learner.losses.chunks(learner::EPOCH);
    let losses = epochs.map(|l| l.iter().map(|&l| f64::from(l)).sum::<f64>() / l.len() as f64);
    report.set("losses", losses.collect::<Vec<_>>());
    report.set("frames", frames);
    report.set("steps", learner.steps);
    report.set("steps_per_frame", per_frame);
    report.set("budget_ms", args.budget);
    report.set("drawing_ms", drawing);
    report.set("training_ms", training);
    report.set("psnr", psnr);
    report.seconds("train", (with.iter().sum::<f64>() + without.iter().sum::<f64>()).max(0.0));
    report.counters(counters);
    report.write()
}

/// The picture on the left, the net's on the right, four times as large.
fn write_image(path: &Path, wanted: &[u8], image: &[u8]) -> Outcome {
    const ZOOM: usize = 4;
    let mut rgb = Vec::with_capacity(2 * SIDE * SIDE * ZOOM * ZOOM * 3);
    for row in 0..SIDE * ZOOM {
        for side in [wanted, image] {
            let pixels = side.chunks(3).skip(row / ZOOM * SIDE).take(SIDE);
            rgb.extend(pixels.flat_map(|pixel| pixel.repeat(ZOOM)));
        }
    }
    common::png::write(path, (2 * SIDE * ZOOM) as u32, (SIDE * ZOOM) as u32, &rgb)
}
