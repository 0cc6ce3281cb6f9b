//! Lanes over a source.

use std::fs;
use std::time::Duration;

use crate::common::lanes;
use crate::sources::{BATCH, ROWS, data, in_files, in_memory, own};
use crate::support::bits;
use wgrad::Error;
use wgrad::data::Source;
use wgrad::lanes::timeline::Activity;
use wgrad::lanes::{Parallel, ParallelOptions, Schedule};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, TrainingConfig};

#[test]
fn lanes_train_over_a_source_they_share() {
    let (folder, file) = in_files("lanes");
    let laid_over = |source: wgrad::data::OwnedData, schedule, count| {
        let config = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01));
        let net = Sequential::new(3).dense(4).tanh().dense(1).seed(3);
        let mut options = ParallelOptions::new(BATCH, 2, schedule);
        options.patience = Duration::from_secs(600);
        let config = config.metric(Metric::RSquared);
        Parallel::new_blocking(net, config, source, options, &lanes(count)).unwrap()
    };
    let train = |source, schedule, count| {
        let mut parallel = laid_over(source, schedule, count);
        parallel.record(true);
        let history = parallel.fit_blocking(FitOptions::new(2).shuffle(11)).unwrap();
        let values = parallel.state().values.concat();
        (bits(&values), bits(&history.batch_losses), parallel.timeline().unwrap().clone())
    };
    let (expected, losses, _) = train(in_memory().into(), Schedule::Serial, 1);
    for (schedule, count) in [(Schedule::data_parallel(), 2), (Schedule::pipeline(), 2)] {
        let (values, found, timeline) = train(file.clone().into(), schedule.clone(), count);
        assert_eq!((&values, &found), (&expected, &losses), "{schedule:?}");
        for activity in [Activity::Read, Activity::Upload, Activity::Forward, Activity::Backward] {
            let spans = timeline.spans.iter().filter(|span| span.activity == activity);
            assert!(spans.count() > 0, "{schedule:?}: nothing of {activity}");
        }
        assert!(timeline.to_string().contains("read ms"));
    }
    let whole = in_memory().window_rows(100).unwrap();
    let (values, found, _) = train(whole.into(), Schedule::Serial, 1);
    let in_set = train(data().into(), Schedule::Serial, 1);
    assert_eq!((values, found), (in_set.0, in_set.1));
    let bad = own(|number, block| {
        if number == 5 {
            block[4 * 7 + 1] = f32::NAN;
        }
    });
    // When R² reads the targets, features are not looked at: the lanes find it.
    let mut parallel = laid_over(bad.into(), Schedule::data_parallel(), 2);
    let error = parallel.fit_blocking(FitOptions::new(1)).unwrap_err().to_string();
    assert!(error.contains("row 52, column 1 of the features is NaN"), "{error}");
    let error = parallel.run(0..parallel.batches()).unwrap_err();
    assert!(matches!(error, Error::Lane { .. }), "{error:?}");
    assert!(error.to_string().contains("row 52, column 1"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

/// While one lane waits for rows, the others' patience does not count.
#[test]
#[ignore = "takes longer than lanes have patience, which is longer than a step takes on a busy machine"]
fn slow_rows_are_waited_for() {
    let blocks = || {
        (0..ROWS).map(|row| {
            if row == 32 {
                std::thread::sleep(Duration::from_secs(8));
            }
            Ok((0..4).map(|column| ((row * 37 + column * 11) % 101) as f32 / 50.0).collect())
        })
    };
    let source = Source::of_blocks("slow", 4, Some(ROWS), blocks).unwrap();
    let source = source.last_columns_as_targets(1).unwrap().block_rows(8).unwrap();
    let mut options = ParallelOptions::new(8, 2, Schedule::pipeline());
    options.patience = Duration::from_secs(5);
    let config = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.01));
    // Stages of which the one in the middle reads no rows.
    let net = Sequential::new(3).dense(4).tanh().dense(4).tanh().dense(1).seed(3);
    let lanes = lanes(3);
    let source = source.window_rows(8).unwrap();
    let mut parallel = Parallel::new_blocking(net, config, source, options, &lanes).unwrap();
    parallel.fit_blocking(FitOptions::new(1).shuffle(1)).unwrap();
}
