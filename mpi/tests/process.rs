//! What each process of a job does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wgrad::data::Dataset;
use wgrad::lanes::exchange::{Content, Exchange, Message, Payload, RunId};
use wgrad::lanes::{Parallel, ParallelOptions, Schedule};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::{BatchLog, Callback, Checkpoint, Every, FitOptions, Signal, TrainingConfig};
use wgrad::{Gpu, Result};
use wgrad_mpi::Mpi;

/// What goes wrong, with which process, and when.
#[derive(Clone, Debug)]
struct Fault {
    what: String,
    rank: usize,
    step: Option<u64>,
    ms: Option<u64>,
}

impl Fault {
    /// `what@rank:step` or `what@rank:1500ms`.
    fn parse(text: &str) -> Option<Self> {
        let (what, place) = text.split_once('@')?;
        let (rank, when) = place.split_once(':')?;
        let ms = when.strip_suffix("ms").and_then(|ms| ms.parse().ok());
        let step = if ms.is_some() { None } else { when.parse().ok() };
        Some(Self { what: what.into(), rank: rank.parse().ok()?, step, ms })
    }
}

/// Sends a signal to this process.
fn signal(name: &str) {
    let pid = std::process::id().to_string();
    drop(std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status());
}

/// An exchange of which one process does what its fault says.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Exchange>,
    fault: Fault,
    is_here: bool,
    done: AtomicBool,
}

impl Faulty {
    fn changed(&self, message: Message, payload: &Payload) -> Payload {
        let due = self.is_here
            && self.fault.step.is_some_and(|step| message.step >= step)
            && matches!(message.content, Content::Sums(_));
        if !due {
            return payload.clone();
        }
        match self.fault.what.as_str() {
            "kill" => signal("KILL"),
            "stop" if !self.done.swap(true, Ordering::SeqCst) => signal("STOP"),
            "garbage" => return payload[..payload.len() - 1].into(),
            "nan" => return payload.chunks(4).flat_map(|_| f32::NAN.to_le_bytes()).collect(),
            _ => {}
        }
        payload.clone()
    }
}

impl Exchange for Faulty {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        self.inner.send(message, self.changed(message, &payload))
    }
    fn multicast(&self, message: Message, to: &[usize], payload: &Payload) -> Result<()> {
        self.inner.multicast(message, to, &self.changed(message, payload))
    }
    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        self.inner.receive(message, within)
    }
    fn stop(&self, run: RunId, lane: usize, reason: &str) {
        self.inner.stop(run, lane, reason);
    }
    fn clear(&self, run: RunId) {
        self.inner.clear(run);
    }
}

/// 103 rows of 10 features.
fn data() -> Arc<Dataset> {
    let x: Vec<f32> = (0..1030).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let y = x.chunks(10).map(|row| row.iter().sum::<f32>().tanh()).collect();
    Arc::new(Dataset::regression(x, 10, y, 1).unwrap())
}

fn net() -> Sequential {
    Sequential::new(10).dense(64).relu().dense(33).tanh().dense(1).seed(3)
}

struct Rank<'a> {
    mpi: &'a Mpi,
    gpus: Vec<Gpu>,
    patience: f64,
}

impl Rank<'_> {
    fn start(
        &self,
        schedule: Schedule,
        micro_batches: usize,
        optimizer: Optimizer,
        fault: Option<&Fault>,
    ) -> Result<Parallel> {
        let mut options = ParallelOptions::new(25, micro_batches, schedule);
        options.world = Some(self.mpi.world()?);
        options.exchange = self.mpi.exchange()?;
        options.patience = Duration::from_secs_f64(self.patience);
        if let Some(fault) = fault {
            let (inner, is_here) = (options.exchange.clone(), fault.rank == self.mpi.rank());
            let (fault, done) = (fault.clone(), AtomicBool::new(false));
            options.exchange = Arc::new(Faulty { inner, fault, is_here, done });
        }
        let how = TrainingConfig::new(Loss::MeanSquaredError, optimizer);
        Parallel::new_blocking(net(), how, data(), options, &self.gpus)
    }

    fn say(&self, word: &str, fields: &str, rest: &str) {
        // One write: lines of several processes do not mix.
        use std::io::Write;
        let text =
            format!("{word} rank={} {fields} | {}\n", self.mpi.rank(), rest.replace('\n', " "));
        drop(std::io::stdout().write_all(text.as_bytes()));
    }

    fn hash(&self, training: &str, from: u64, parallel: &Parallel) {
        let state = parallel.state();
        let numbers = state.values.iter().chain(state.states.iter().flatten()).flatten();
        let bytes = numbers.flat_map(|x| x.to_le_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let step = state.step;
        self.say(
            "HASH",
            &format!("training={training} hash={hash:016x} step={step} from={from}"),
            "",
        );
    }

    /// Replicas, stages and both, with two optimizers; and the bytes of a step.
    fn bits(&self) -> Result<()> {
        let lanes = self.mpi.world()?.lanes();
        let mut schedules = vec![Schedule::data_parallel()];
        schedules.extend((lanes <= 3).then(Schedule::pipeline));
        let both = Schedule::Replicated { stages: Vec::new(), replicas: 2 };
        schedules.extend((lanes % 2 == 0).then_some(both));
        for schedule in schedules {
            for (name, optimizer) in
                [("sgd", Optimizer::sgd(0.05)), ("adam", Optimizer::adam(0.01))]
            {
                let mut parallel = self.start(schedule.clone(), 5, optimizer, None)?;
                parallel.fit_blocking(FitOptions::new(2).shuffle(1))?;
                self.hash(name, 0, &parallel);
            }
        }
        let mut parallel =
            self.start(Schedule::data_parallel(), lanes, Optimizer::sgd(0.05), None)?;
        parallel.run(0..1)?;
        let (before, steps) = (self.mpi.bytes_sent(), 3);
        parallel.run(1..1 + steps)?;
        let sent = (self.mpi.bytes_sent() - before) / steps as u64;
        let gradients: usize = net().parameters()?.iter().map(|p| p.initial.len()).sum();
        let own = self.gpus.len() as u64;
        // Names of messages, gaps between parameters, and what is compared before a run.
        let slack = 6000 + 300 * lanes as u64;
        let bound = (own + 1) * (4 * gradients as u64) + slack;
        self.say("BYTES", &format!("sent={sent} bound={bound}"), "");
        Ok(())
    }

    fn broken(&self) -> Result<()> {
        for what in ["garbage", "nan"] {
            let fault = Fault { what: what.into(), rank: 1, step: Some(3), ms: None };
            let mut parallel =
                self.start(Schedule::data_parallel(), 5, Optimizer::adam(0.01), Some(&fault))?;
            let begun = Instant::now();
            let error = match parallel.fit_blocking(FitOptions::new(2).shuffle(1)) {
                Ok(_) => "none".into(),
                Err(error) => error.to_string(),
            };
            let ms = begun.elapsed().as_millis();
            self.say("ERROR", &format!("fault={what} ms={ms}"), &error);
        }
        let mut parallel = self.start(Schedule::data_parallel(), 5, Optimizer::adam(0.01), None)?;
        parallel.fit_blocking(FitOptions::new(1).shuffle(1))?;
        self.hash("after", 0, &parallel);
        Ok(())
    }

    fn train(&self, args: &[String]) -> Result<()> {
        let value = |name: &str| {
            args.iter()
                .find_map(|arg| arg.strip_prefix(name)?.strip_prefix('=').map(str::to_string))
        };
        let fault = value("fault").and_then(|text| Fault::parse(&text));
        let schedule = Schedule::data_parallel();
        let mut parallel = self.start(schedule, 5, Optimizer::adam(0.01), fault.as_ref())?;
        if let Some(Fault { what, rank, ms: Some(ms), .. }) = fault
            && rank == self.mpi.rank()
        {
            let name = if what == "kill" { "KILL" } else { "STOP" };
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(ms));
                signal(name);
            });
        }
        let mut pace = Pace {
            first: None,
            pause: value("slow").and_then(|ms| ms.parse().ok()).map(Duration::from_millis),
        };
        let mut fit = FitOptions::new(5).shuffle(1).callback(&mut pace);
        if let Some(folder) = value("checkpoints") {
            let checkpoint = Checkpoint::every(Every::Steps(3)).in_folder(&folder);
            fit = fit.checkpoint(checkpoint).resume(&folder);
        }
        let begun = Instant::now();
        let fitted = parallel.fit_blocking(fit);
        let ms = begun.elapsed().as_millis();
        if let Err(error) = fitted {
            self.say("ERROR", &format!("ms={ms}"), &error.to_string());
            return Err(error);
        }
        let from = pace.first.unwrap_or(if self.mpi.is_first() { 25 } else { 0 });
        self.hash("train", from, &parallel);
        Ok(())
    }
}

/// Notes the first step, and waits after each.
struct Pace {
    first: Option<u64>,
    pause: Option<Duration>,
}

impl Callback for Pace {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        self.first.get_or_insert(log.step - 1);
        if let Some(pause) = self.pause {
            std::thread::sleep(pause);
        }
        Signal::Continue
    }
}

pub fn run(args: &[String]) -> i32 {
    let number = |name: &str, usual: f64| {
        let value = args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('='));
        value.map_or(usual, |value| value.parse().expect("a number"))
    };
    let lanes = number("lanes", 1.0) as usize;
    let mpi = Mpi::start(lanes).expect("MPI");
    let gpus = (0..lanes).map(|_| Gpu::new_blocking().expect("an adapter")).collect();
    let rank = Rank { mpi: &mpi, gpus, patience: number("patience", 30.0) };
    let outcome = match args.first().map(String::as_str) {
        Some("bits") => rank.bits(),
        Some("broken") => rank.broken(),
        _ => rank.train(args),
    };
    drop(rank);
    let failed = outcome.is_err();
    if let Err(error) = &outcome {
        eprintln!("rank {}: {error}", mpi.rank());
    }
    match outcome {
        Ok(()) => drop(mpi.end()),
        Err(_) => drop(mpi),
    }
    i32::from(failed)
}
