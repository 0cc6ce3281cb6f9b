//! What the examples of lanes share: options, a training under a schedule beside the serial one, and
//! the pictures.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::ValueEnum;
use serde_json::{Value, json};
use wgrad::data::Dataset;
use wgrad::lanes::Schedule;
use wgrad::lanes::timeline::Timeline;
use wgrad::lanes::{Advice, LaneMemory, Parallel, ParallelOptions, Trial, advise};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::TrainingConfig;
use wgrad::{AdapterChoice, Gpu};

use super::{Options, Outcome, Report, article, fingerprint};

/// The options of examples that train over lanes.
#[derive(clap::Args, Debug)]
pub struct LaneOptions {
    /// Lanes: devices with a queue each [default: 2]
    #[arg(long, value_name = "N")]
    pub lanes: Option<NonZeroUsize>,
    /// Adapter of a lane, by part of its name; given several times, they take turns
    /// [default: that of --adapter, for all]
    #[arg(long, value_name = "NAME")]
    pub lane_adapter: Vec<String>,
    /// Parts of a batch whose gradients are computed apart. The weights depend on it in the last
    /// digits, on the schedule and the lanes not at all
    #[arg(long, value_name = "M")]
    pub micro_batches: Option<NonZeroUsize>,
    /// How the work is laid over lanes
    #[arg(long)]
    pub schedule: Option<ScheduleName>,
    /// Write what ran when as FILE.json (for ui.perfetto.dev), FILE.svg and FILE.png
    #[arg(long, value_name = "FILE")]
    pub timeline: Option<PathBuf>,
    /// Print what each lane does in a step, command by command
    #[arg(long)]
    pub commands: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleName {
    /// Forward, backward, update in one line, on one lane
    Serial,
    /// One lane; the next step is prepared while the device computes
    Overlapped,
    /// A lane for some of the layers each
    Pipeline,
    /// A lane for some of the rows each
    DataParallel,
}

impl LaneOptions {
    /// The schedule, and devices for it.
    pub fn lay_out(
        &self,
        options: &Options,
        usual: ScheduleName,
        report: &mut Report,
    ) -> Outcome<(Schedule, Vec<Gpu>)> {
        let name = self.schedule.unwrap_or(usual);
        let schedule = match name {
            ScheduleName::Serial => Schedule::Serial,
            ScheduleName::Overlapped => Schedule::Overlapped,
            ScheduleName::Pipeline => Schedule::pipeline(),
            ScheduleName::DataParallel => Schedule::data_parallel(),
        };
        let single = matches!(schedule, Schedule::Serial | Schedule::Overlapped);
        let count = self.lanes.map_or(if single { 1 } else { 2 }, NonZeroUsize::get);
        let mut gpus = Vec::new();
        for lane in 0..count {
            let gpu = match self.lane_adapter.get(lane % self.lane_adapter.len().max(1)) {
                Some(name) => Gpu::with_adapter_blocking(&AdapterChoice::named(name))?,
                None => options.device()?,
            };
            println!("lane {lane}: {}", gpu.describe());
            gpus.push(gpu);
        }
        if let Some(gpu) = gpus.first() {
            report.device(gpu.info());
        }
        Ok((schedule, gpus))
    }

    /// If they are asked for.
    pub fn print_commands(&self, parallel: &Parallel) -> Outcome {
        if self.commands {
            for (lane, commands) in parallel.commands()?.iter().enumerate() {
                println!("\na step of lane {lane}:\n{commands}");
            }
        }
        Ok(())
    }
}

/// What is trained.
pub struct Task {
    pub model: Sequential,
    pub compile: TrainingConfig,
    pub data: Arc<Dataset>,
    pub options: ParallelOptions,
}

impl Task {
    /// The article's net, data and optimizer; a batch of 32 samples is cut into micro-batches.
    pub fn article(micro_batches: usize) -> Outcome<Self> {
        let optimizer = Optimizer::sgd(article::LEARNING_RATE);
        Ok(Self {
            model: article::network(),
            compile: TrainingConfig::new(Loss::MeanSquaredError, optimizer),
            data: article::samples(article::SAMPLES)?.into(),
            options: ParallelOptions::new(article::BATCH, micro_batches, Schedule::Serial),
        })
    }

    /// The training under `schedule`, with the lanes it takes.
    pub fn start(&self, schedule: &Schedule, lanes: &[Gpu]) -> Outcome<Parallel> {
        let single = matches!(schedule, Schedule::Serial | Schedule::Overlapped);
        let lanes = if single { lanes.get(..1).unwrap_or_default() } else { lanes };
        let options = ParallelOptions { schedule: schedule.clone(), ..self.options.clone() };
        let (model, compile, data) = (self.model.clone(), self.compile.clone(), self.data.clone());
        let started = Parallel::new(model, compile, data, options, lanes);
        Ok(pollster::block_on(started)?)
    }

    /// Measures all schedules; prints and notes the table.
    pub fn advise(&self, lanes: &[Gpu], steps: usize, report: &mut Report) -> Outcome<Advice> {
        let advice = advise(&self.model, &self.compile, &self.data, &self.options, lanes, steps)?;
        println!("\n{advice}\n");
        report.set("schedules", table(&advice));
        Ok(advice)
    }
}

/// Trains serially and under `schedule`, epoch by epoch in turn, so that both meet the same machine;
/// prints and notes what it took, whether both came to the same bits, and the timeline of some steps.
/// `epoch` is how an epoch is trained; `options` say what is printed and written besides.
pub fn race(
    task: &Task,
    (schedule, lanes): (&Schedule, &[Gpu]),
    epochs: usize,
    epoch: impl Fn(&mut Parallel) -> Outcome<f64>,
    options: &LaneOptions,
    report: &mut Report,
) -> Outcome {
    let mut serial = task.start(&Schedule::Serial, lanes)?;
    let mut other = task.start(schedule, lanes)?;
    let (mut serial_seconds, mut seconds, mut losses) = (0.0, 0.0, Vec::new());
    for number in 1..=epochs {
        let start = Instant::now();
        epoch(&mut serial)?;
        serial_seconds += start.elapsed().as_secs_f64();
        let start = Instant::now();
        let loss = epoch(&mut other)?;
        seconds += start.elapsed().as_secs_f64();
        println!("epoch {number:>2}  loss {loss:.6}");
        losses.push(loss);
    }
    let same = serial.state() == other.state();
    let hash = fingerprint(other.state().values.iter().map(Vec::as_slice));
    let (steps, name) = (other.state().step, schedule.name());
    println!("time: {seconds:.3} s {name}, {serial_seconds:.3} s serial, for {steps} steps");
    println!("weights: {}", hash.get(..16).unwrap_or(&hash));
    report.set("schedule", name);
    report.set("lanes", other.lanes().len());
    report.set("micro_batches", task.options.micro_batches);
    report.set("losses", losses);
    report.set("steps", steps);
    report.set("serial_s", serial_seconds);
    report.set("wall_s", seconds);
    report.set("bytes_exchanged", other.bytes_exchanged());
    report.set("parameters_sha256", hash);
    report.set("same_bits_as_serial", same);

    let mut timeline = record(&mut other, 4)?;
    timeline.times_serial = Some(serial_seconds / seconds);
    println!("\n{timeline}");
    let memory = other.memory();
    for (lane, held) in memory.iter().enumerate() {
        println!("lane {lane} holds {}", describe(held));
    }
    options.print_commands(&other)?;
    let totals: Vec<u64> = memory.iter().map(|held| held.total()).collect();
    report.set("memory_bytes", totals);
    let barriers = other.barriers()?;
    for (lane, count) in barriers.iter().enumerate() {
        println!(
            "lane {lane} needs {} barriers per step; as the graph lists the operations, {}",
            count.by_level, count.naive
        );
    }
    report.set("barriers", barriers.iter().map(|count| count.by_level).collect::<Vec<_>>());
    report.set("barriers_naive", barriers.iter().map(|count| count.naive).collect::<Vec<_>>());
    report.set("clock", timeline.clock.to_string());
    let lanes = 0..timeline.lanes.len();
    report.set("busy", lanes.map(|lane| timeline.busy(lane)).collect::<Vec<_>>());
    report.set("overlap", timeline.overlap());
    report.set("exchange_hidden", timeline.exchange_hidden());
    report.set("exchange_beside_compute", timeline.exchange_beside_compute());
    if let Some(file) = &options.timeline {
        write(&timeline, file)?;
    }
    if !same {
        return Err(format!("{name} and serial training came to different bits").into());
    }
    println!("the same weights and optimizer state as serial training, bit for bit");
    Ok(())
}

/// What a lane holds, in words.
pub fn describe(memory: &LaneMemory) -> String {
    let kb = |bytes: u64| format!("{:.1} kB", bytes as f64 / 1e3);
    format!(
        "{} on its device: activations of {} in flight {}, parameters {}, sums {}, data {}, tables {}, \
         staging {}",
        kb(memory.total()),
        memory.micro_batches_in_flight,
        kb(memory.activations),
        kb(memory.parameters),
        kb(memory.sums),
        kb(memory.data),
        kb(memory.tables),
        kb(memory.staging)
    )
}

/// Some more steps, recorded.
pub fn record(parallel: &mut Parallel, steps: usize) -> Outcome<Timeline> {
    parallel.record(true);
    parallel.run(0..steps.min(parallel.batches()))?;
    Ok(parallel.timeline().ok_or("nothing was recorded")?.clone())
}

/// Writes a timeline as a trace and as pictures.
pub fn write(timeline: &Timeline, file: &Path) -> Outcome {
    timeline.write_files(file)?.iter().for_each(|path| println!("wrote {}", path.display()));
    Ok(())
}

fn table(advice: &Advice) -> Vec<Value> {
    let entry = |trial: &Trial| {
        let (name, lanes) = (trial.name(), trial.lanes);
        match &trial.outcome {
            Ok(measured) => json!({
                "schedule": name, "lanes": lanes, "micro_batches": trial.micro_batches, "seconds_per_step": measured.seconds,
                "min": measured.range.0, "max": measured.range.1, "busy": measured.busy,
                "overlap": measured.overlap, "bytes_exchanged_per_step": measured.bytes_exchanged,
            }),
            Err(error) => json!({ "schedule": name, "lanes": lanes, "error": error.to_string() }),
        }
    };
    advice.trials.iter().map(entry).collect()
}
