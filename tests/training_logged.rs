//! Callbacks that log a training and lower its learning rate.

use std::fs;

use crate::common::gpu;
use wgrad::data::Dataset;
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    Callback, EpochLog, FitOptions, LogFile, ReduceOnPlateau, Signal, TrainingConfig,
};

fn data() -> Dataset {
    let features: Vec<f32> = (0..80).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let targets = features.chunks(4).map(|row| row[0] - row[1]).collect();
    Dataset::regression(features, 4, targets, 1).unwrap()
}

fn epoch(epoch: usize, loss: f64, learning_rate: f32) -> EpochLog {
    EpochLog {
        epoch,
        epochs: 9,
        loss,
        metrics: Vec::new(),
        validation: None,
        learning_rate,
        seconds: 0.5,
    }
}

#[test]
fn the_learning_rate_falls_on_a_plateau() {
    let mut plateau = ReduceOnPlateau::new("loss", 2).factor(0.5).floor(0.3).min_delta(0.01);
    let mut rate = 1.0;
    let mut rates = Vec::new();
    for (number, loss) in
        [1.0, 0.9, 0.895, 0.9, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6].iter().enumerate()
    {
        match plateau.on_epoch_end(&epoch(number + 1, *loss, rate)) {
            Signal::LearningRate(new) => rate = new,
            signal => assert_eq!(signal, Signal::Continue),
        }
        rates.push(rate);
    }
    assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3]);
    // It goes on in the middle of a wait.
    let mut again = ReduceOnPlateau::new("loss", 2).factor(0.5).min_delta(0.01);
    plateau.on_epoch_end(&epoch(12, 0.4, rate));
    plateau.on_epoch_end(&epoch(13, 0.6, rate));
    again.resume(&plateau.state()).unwrap();
    assert_eq!(again.on_epoch_end(&epoch(14, 0.395, 0.5)), Signal::LearningRate(0.25));
    assert!(again.resume("nothing").is_err());
}

#[test]
fn a_training_follows_its_plateau() {
    let mut model = Sequential::new(4)
        .dense(1)
        .compile_blocking(&gpu(), TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1)))
        .unwrap();
    let mut plateau = ReduceOnPlateau::new("loss", 1).min_delta(1e3);
    let history = model.fit_blocking(&data(), FitOptions::new(4).callback(&mut plateau)).unwrap();
    let rates: Vec<f32> = history.epochs.iter().map(|log| log.learning_rate).collect();
    let fallen: Vec<f32> =
        std::iter::successors(Some(0.1_f32), |rate| Some(rate * 0.1)).take(3).collect();
    assert_eq!(rates, [[0.1].as_slice(), &fallen].concat());
    for (mut wrong, said) in [
        (ReduceOnPlateau::new("loss", 0), "patience is 0"),
        (ReduceOnPlateau::new("loss", 1).factor(1.0), "factor is 1"),
        (ReduceOnPlateau::new("loss", 1).floor(f32::NAN), "floor is NaN"),
        (ReduceOnPlateau::new("val_loss", 1), "val_loss"),
    ] {
        let fit = FitOptions::new(1).callback(&mut wrong);
        let error = model.fit_blocking(&data(), fit).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn a_history_is_written_line_by_line() {
    let folder = std::env::temp_dir().join(format!("wgrad-logged-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (csv, json) = (folder.join("history.csv"), folder.join("history.jsonl"));
    let config =
        TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1)).metric(Metric::RSquared);
    let mut model = Sequential::new(4).dense(1).compile_blocking(&gpu(), config).unwrap();
    let (mut table, mut lines) = (LogFile::csv(&csv), LogFile::json_lines(&json));
    let fit = FitOptions::new(3).validation_split(0.2).callback(&mut table).callback(&mut lines);
    let history = model.fit_blocking(&data(), fit).unwrap();
    table.finish().unwrap();
    lines.finish().unwrap();
    let text = fs::read_to_string(&csv).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows[0], "epoch,learning_rate,seconds,loss,r_squared,val_loss,val_r_squared");
    assert_eq!(rows.len(), 4);
    for (row, log) in rows[1..].iter().zip(&history.epochs) {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells[0], log.epoch.to_string());
        assert_eq!(cells[3].parse(), Ok(log.loss));
        assert_eq!(cells[6].parse(), Ok(log.value("val_r_squared").unwrap()));
    }
    let text = fs::read_to_string(&json).unwrap();
    for (line, log) in text.lines().zip(&history.epochs) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["epoch"], log.epoch);
        assert_eq!(line["loss"].as_f64().map(|loss| loss as f32), Some(log.loss as f32));
    }
    // Numbers that are not finite are null, and a figure that is not there is, too.
    let mut lines = LogFile::json_lines(&json);
    let begin = wgrad::train::TrainLog {
        epochs: 1,
        batches: 1,
        step: 0,
        learning_rate: 0.1,
        figures: vec!["loss".parse().unwrap(), "accuracy".parse().unwrap()],
    };
    lines.on_train_begin(&begin).unwrap();
    lines.on_epoch_end(&epoch(1, f64::INFINITY, 0.1));
    lines.finish().unwrap();
    let expected =
        "{\"epoch\":1,\"learning_rate\":0.1,\"seconds\":0.500,\"loss\":null,\"accuracy\":null}\n";
    assert_eq!(fs::read_to_string(&json).unwrap(), expected);
    let error = LogFile::csv(folder.join("no").join("log")).on_train_begin(&begin).unwrap_err();
    assert!(error.to_string().contains("cannot be read or written"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}
