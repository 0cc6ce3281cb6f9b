//! Trains nets with every kind of kernel and schedule and with the older optimizers, losses and activations, which
//! all versions have, and prints a hash of each one's losses and weights. Two versions of wgrad that print the same lines compute the same bits; `scripts/same-bits` compares.
//!
//! ```sh
//! cargo run --release --features digits --example weight_hashes
//! ```

mod common;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use common::{Outcome, article};
use wgrad::data::Dataset;
use wgrad::lanes::{Parallel, ParallelOptions, Schedule};
use wgrad::prelude::*;
use wgrad::train::Kernels;

/// Hashes of weights and losses after training
#[derive(Parser)]
struct Args {
    /// Adapter, by part of its name [default: the best]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
}

impl Args {
    fn device(&self) -> Outcome<Gpu> {
        let choice =
            self.adapter.as_deref().map_or_else(AdapterChoice::default, AdapterChoice::named);
        Ok(Gpu::with_adapter_blocking(&choice)?)
    }
}

struct Case {
    name: &'static str,
    net: Sequential,
    compile: TrainingConfig,
    data: Arc<Dataset>,
    batch: usize,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn cases() -> Outcome<Vec<Case>> {
    let mut cases = Vec::new();
    let samples = Arc::new(article::samples(200)?);
    let optimizers = [
        ("SGD", Optimizer::sgd(0.05).weight_decay(1e-3)),
        ("momentum", Optimizer::momentum(0.02, 0.9)),
        ("Nesterov, clipped", Optimizer::nesterov(0.02, 0.9).clip_norm(0.5)),
        ("Adam", Optimizer::adam(3e-3).weight_decay(1e-3)),
        ("AdamW, clipped", Optimizer::adamw(3e-3, 0.01).clip_norm(0.5)),
    ];
    for (name, optimizer) in optimizers {
        cases.push(Case {
            name,
            net: article::network(),
            compile: TrainingConfig::new(Loss::MeanSquaredError, optimizer)
                .metric(Metric::MeanAbsoluteError),
            data: samples.clone(),
            batch: 32,
        });
    }
    for (name, loss) in [
        ("absolute error, GELU, tanh", Loss::MeanAbsoluteError),
        ("Huber, GELU, tanh", Loss::Huber { delta: 0.7 }),
    ] {
        let net = Sequential::new(article::FEATURES).dense(24).gelu().dense(17).tanh().dense(1);
        let compile = TrainingConfig::new(loss, Optimizer::adam(1e-3));
        cases.push(Case { name, net, compile, data: samples.clone(), batch: 20 });
    }
    let width = article::FEATURES;
    let rows: Vec<f32> = (0..120 * width).map(|at| (at * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let yes = |row: &[f32]| f32::from(u8::from(row.iter().sum::<f32>() > 0.0));
    let answers: Vec<f32> = rows.chunks(width).map(yes).collect();
    cases.push(Case {
        name: "binary cross-entropy, sigmoid",
        net: Sequential::new(width).dense(9).sigmoid().dense(1),
        compile: TrainingConfig::new(Loss::BinaryCrossEntropy, Optimizer::adam(1e-2))
            .metric(Metric::Accuracy),
        data: Arc::new(Dataset::regression(rows, width, answers, 1)?),
        batch: 16,
    });
    cases.push(Case {
        name: "softmax cross-entropy, digits",
        net: Sequential::new(64).dense(24).relu().dense(16).leaky_relu(0.1).dense(10),
        compile: TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::momentum(0.02, 0.9))
            .metric(Metric::Accuracy),
        data: Arc::new(wgrad::data::digits()?.dataset),
        batch: 32,
    });
    for case in &mut cases {
        case.net = case.net.clone().seed(article::SEED);
    }
    Ok(cases)
}

fn run(args: &Args) -> Outcome {
    let gpu = args.device()?;
    for case in cases()? {
        let print = |how: &str, outcome: wgrad::Result<String>| {
            let said = outcome.unwrap_or_else(|error| format!("refused: {error}"));
            println!("{}; {how}: {said}", case.name);
        };
        for kernels in [Kernels::General, Kernels::WholeStep, Kernels::WholeStepInMemory] {
            print(&format!("{kernels:?}"), fit(&gpu, &case, kernels));
        }
        let dense = case.net.parameters()?.len() / 2;
        let mut schedules = vec![(1, Schedule::Serial), (1, Schedule::Overlapped)];
        schedules.extend((2..=4).map(|lanes| (lanes, Schedule::data_parallel())));
        schedules.extend((2..=dense).map(|lanes| {
            let mut stages = vec![1; lanes - 1];
            stages.push(dense + 1 - lanes);
            (lanes, Schedule::Pipeline { stages })
        }));
        for (lanes, schedule) in schedules {
            let lanes = (0..lanes).map(|_| args.device()).collect::<Outcome<Vec<_>>>()?;
            let how = format!("{schedule:?} on {}", lanes.len());
            print(&how, run_lanes(&lanes, &case, schedule));
        }
    }
    Ok(())
}

fn fit(gpu: &Gpu, case: &Case, kernels: Kernels) -> wgrad::Result<String> {
    let compile = case.compile.clone().kernels(kernels);
    let mut model = case.net.clone().compile_blocking(gpu, compile)?;
    let history = model.fit_blocking(&case.data, FitOptions::new(2).batch_size(case.batch))?;
    let losses: Vec<f64> = history.epochs.iter().map(|epoch| epoch.loss).collect();
    Ok(hash(&losses, &model.parameters().read_all_blocking()?))
}

fn run_lanes(lanes: &[Gpu], case: &Case, schedule: Schedule) -> wgrad::Result<String> {
    let mut options = ParallelOptions::new(case.batch, 4, schedule);
    options.patience = Duration::from_secs(600);
    let (net, data) = (case.net.clone(), case.data.clone());
    let mut parallel = Parallel::new_blocking(net, case.compile.clone(), data, options, lanes)?;
    let steps = parallel.run(0..5)?;
    let losses: Vec<f64> = steps.iter().map(|step| step.loss.into()).collect();
    Ok(hash(&losses, &parallel.state().values))
}

/// A hash of the bits.
fn hash(losses: &[f64], weights: &[Vec<f32>]) -> String {
    let mut hasher = DefaultHasher::new();
    losses.iter().for_each(|loss| loss.to_bits().hash(&mut hasher));
    weights.iter().flatten().for_each(|weight| weight.to_bits().hash(&mut hasher));
    format!("{:016x}", hasher.finish())
}
