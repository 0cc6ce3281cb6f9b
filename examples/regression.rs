//! Learns to predict a column of a table: the strength of concrete from its mixture, or any column of
//! numbers in a CSV file of yours. A fifth of the rows is held out; R² on them is the share of the
//! variance that the model explains. A linear model, trained on the same rows, shows what the hidden
//! layers are worth.
//!
//! Another fifth decides when to stop: training ends when the loss on it has not fallen for a while,
//! and the weights of its best epoch are kept. Means and deviations, too, are those of the rows
//! trained on: nothing of the rows held out reaches the model.
//!
//! ```sh
//! cargo run --release --features csv,progress --example regression
//! cargo run --release --features csv,progress --example regression -- --csv houses.csv --target price
//! ```

mod common;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::{Options, Outcome, Report};
use wgrad::data::{ColumnKind, CsvOptions, Missing, read_csv_file};
use wgrad::prelude::*;
use wgrad::train::ProgressBar;

/// Predicts a column of a table
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    options: Options,
    /// The table, with a header line
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/concrete.csv"), hide_default_value = true)]
    csv: PathBuf,
    /// The column to predict [default: the last]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Passes over the rows, at most [default: 400]
    #[arg(long)]
    epochs: Option<NonZeroUsize>,
    /// Seed of the splits, the first weights and the order of the rows
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

/// Shift and scale of the features and of the target.
struct Scaling {
    features: Standardizer,
    target: Standardizer,
}

impl Scaling {
    fn fit(data: &Dataset) -> Outcome<Self> {
        let features = Standardizer::fit(data.features(), data.width())?;
        Ok(Self { features, target: Standardizer::fit(target_of(data)?, 1)? })
    }

    fn apply(&self, data: &Dataset) -> Outcome<Dataset> {
        let mut target = target_of(data)?.to_vec();
        self.target.apply(&mut target)?;
        let (features, width, _) = data.standardized(&self.features)?.into_parts();
        Ok(Dataset::regression(features, width, target, 1)?)
    }
}

fn target_of(data: &Dataset) -> Outcome<&[f32]> {
    match data.targets() {
        Targets::Values { data, .. } => Ok(data),
        Targets::Classes { .. } => Err("the target is not a number".into()),
    }
}

fn run(args: &Args) -> Outcome {
    let mut report = Report::new("regression", &args.options);
    let epochs = args.options.size(args.epochs, 400, 10);

    let csv = CsvOptions {
        targets: args.target.iter().map(|name| name.as_str().into()).collect(),
        missing: Missing::DropRow,
        ..CsvOptions::default()
    };
    let table = read_csv_file(&args.csv, &csv)?;
    let (rest, test) = table.dataset.split(0.2, args.seed)?;
    let (train, validation) = rest.split(0.2, args.seed)?;
    println!("{} from {}", table.target_names.join(", "), table.feature_names.join(", "));
    for column in &table.feature_columns {
        if let ColumnKind::Categories(categories) = &column.kind {
            println!("{} holds words: {}", column.name, categories.join(", "));
        }
    }
    println!(
        "rows: {} to train on, {} to stop by, {} held out, {} left out for missing values",
        train.rows(),
        validation.rows(),
        test.rows(),
        table.dropped_rows
    );
    let gpu = args.options.gpu()?;
    report.device(gpu.info());
    let scaling = Scaling::fit(&train)?;
    let [train, validation, scaled] =
        [scaling.apply(&train)?, scaling.apply(&validation)?, scaling.apply(&test)?];

    let width = train.width();
    let linear = Sequential::new(width).dense(1);
    let net = Sequential::new(width)
        .dense_with(64, Init::HeUniform)
        .relu()
        .dense_with(32, Init::HeUniform)
        .relu()
        .dense(1);
    println!("{}", net.summary());
    let train_one = |model: Sequential| -> Outcome<(Model, History)> {
        let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(3e-3));
        let how = how.metric(Metric::RSquared);
        let mut model = model.seed(args.seed).compile_blocking(&gpu, how)?;
        let mut progress = ProgressBar::new();
        let mut stopping = EarlyStopping::new("val_loss", 60);
        let fit = FitOptions::new(epochs).shuffle(args.seed).validation(&validation);
        let fit = fit.callback(&mut progress).callback(&mut stopping);
        let history = model.fit_blocking(&train, fit)?;
        Ok((model, history))
    };
    println!("a linear model first:");
    let (linear, _) = train_one(linear)?;
    println!("now the net:");
    let (model, history) = train_one(net)?;

    let losses = history.values("val_loss")?;
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let best_epoch = 1 + losses.iter().position(|&loss| loss == best).unwrap_or(0);
    let seconds = history.last().map_or(0.0, |epoch| epoch.seconds);
    println!("{} epochs in {seconds:.2} s, the best was epoch {best_epoch}", losses.len());

    // R² does not depend on the target's unit, so that of the scaled rows is that of the table.
    let r2 = |model: &Model| -> Outcome<f64> {
        let evaluation = model.evaluate_blocking(&scaled)?;
        Ok(evaluation.metric(Metric::RSquared).ok_or("the model has no R²")?)
    };
    let (r2, linear_r2) = (r2(&model)?, r2(&linear)?);

    // Predictions in the unit of the table.
    let mut predicted = model.predict_blocking(scaled.features())?;
    scaling.target.invert(&mut predicted)?;
    let measured = target_of(&test)?;
    println!("\n{:>12}  {:>12}   {}", "predicted", "measured", table.target_names.join(", "));
    for (predicted, measured) in predicted.iter().zip(measured).take(5) {
        println!("{predicted:>12.2}  {measured:>12.2}");
    }
    let errors = predicted.iter().zip(measured).map(|(p, m)| f64::from((p - m).abs()));
    let error = errors.sum::<f64>() / measured.len() as f64;

    report.set("losses", history.values("loss")?);
    report.set("validation_losses", losses);
    report.set("best_epoch", best_epoch);
    report.set("r2", r2);
    report.set("linear_r2", linear_r2);
    report.set("mean_absolute_error", error);
    report.set("rows", test.rows());
    report.seconds("train", seconds);
    report.counters(gpu.counters());
    println!("mean absolute error on held-out rows: {error:.2}");
    println!("R² on held-out rows: {r2:.4} (the linear model: {linear_r2:.4})");
    report.write()
}
