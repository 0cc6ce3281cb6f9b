//! The processes of a world read a source's rows each for its own lanes alone, and come to the bits of one that has all.

use crate::common::lanes;
use crate::support::parallel::state_bits;
use crate::support::world::world;
use wgrad::data::{Dataset, OwnedData, Source};
use wgrad::lanes::{Parallel, ParallelOptions, RowsRead, Schedule};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, TrainingConfig};
use wgrad::{Gpu, Result};

/// A row is more than a page, so that none is read along with its neighbours.
const WIDTH: usize = 1030;
const ROW_BYTES: u64 = 4 * (WIDTH as u64 + 1);
const ROWS: usize = 62;
const EPOCHS: usize = 3;

fn data() -> Dataset {
    let features: Vec<f32> =
        (0..WIDTH * ROWS).map(|i| ((i * 7919) % 1013) as f32 / 9000.0 - 0.05).collect();
    let labels = (0..ROWS).map(|row| (row * row % 3) as u32).collect();
    Dataset::classification(features, WIDTH, labels, 3).unwrap()
}

fn windowed(window: usize) -> Source {
    let source = Source::dataset(data()).unwrap();
    source.block_rows(5).unwrap().window_rows(window).unwrap()
}

fn train(
    data: impl Into<OwnedData>,
    options: ParallelOptions,
    gpus: &[Gpu],
) -> Result<(Vec<u32>, Option<RowsRead>)> {
    let how = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::adam(0.01));
    let net = Sequential::new(WIDTH).dense(4).tanh().dense(3).seed(3);
    let how = how.metric(Metric::Accuracy);
    let mut parallel = Parallel::new_blocking(net, how, data, options, gpus)?;
    parallel.fit_blocking(FitOptions::new(EPOCHS).shuffle(11))?;
    Ok((state_bits(parallel.state()), parallel.rows_read()))
}

fn options(schedule: Schedule) -> ParallelOptions {
    ParallelOptions::new(8, 4, schedule)
}

#[test]
fn a_process_reads_the_rows_of_its_own_lanes_alone() {
    let both = Schedule::Replicated { stages: Vec::new(), replicas: 2 };
    let worlds: [(Schedule, &[usize], &[f64]); 4] = [
        (Schedule::data_parallel(), &[1, 1], &[0.5, 0.5]),
        (Schedule::DataParallel { shares: vec![2, 1, 1] }, &[1, 2], &[0.5, 0.5]),
        // The first and the last stage need rows.
        (Schedule::pipeline(), &[1, 1], &[1.0, 1.0]),
        (both, &[1, 1, 2], &[0.5, 0.5, 0.5]),
    ];
    // Windows of some rows, and one of all, which has whole blocks: then the order is that of a data set.
    for (window, is_whole) in [(15, false), (ROWS.next_multiple_of(5), true)] {
        let source = windowed(window);
        let (alone, all) = train(source.clone(), options(Schedule::Serial), &lanes(1)).unwrap();
        if is_whole {
            assert!(train(data(), options(Schedule::Serial), &lanes(1)).unwrap().0 == alone);
            // One process reads them once.
            assert_eq!(all.unwrap().rows, ROWS as u64);
        }
        for (schedule, of_ranks, shares) in &worlds {
            let trained = world(&options(schedule.clone()), of_ranks, |options, gpus| {
                train(source.clone(), options, &gpus)
            });
            for (rank, trained) in trained.into_iter().enumerate() {
                let (state, read) = trained.unwrap();
                let what =
                    format!("{schedule:?}, rank {rank} of {of_ranks:?}, windows of {window}");
                assert!(state == alone, "{what}: other bits");
                let RowsRead { rows, most_bytes } = read.unwrap();
                // Half of each batch of 8, and of the last one's 6 rows two to four: of a window that begins or ends
                // within batches two rows more each time. Who needs all rows reads them as one process alone does.
                let of = |count: usize| (shares[rank] * count as f64).ceil() as u64 + 4;
                if shares[rank] == 1.0 {
                    continue;
                }
                let (epochs, at_once) = (EPOCHS as u64, if is_whole { 1 } else { 2 });
                let most = epochs * (of(ROWS) + 4) + (at_once - 1) * of(window);
                let least = epochs * (of(ROWS) - 8);
                assert!((least..=most).contains(&rows), "{what}: {rows} rows, {least} to {most}");
                let most = at_once * of(window) * ROW_BYTES;
                assert!(most_bytes <= most, "{what}: {most_bytes} bytes, {most}");
            }
        }
    }
}

/// A row that only one process reads may be wrong: all hear of it, and which row it is.
#[test]
fn a_wrong_row_of_one_process_ends_all() {
    let wrong = 7 * (WIDTH + 1);
    let rows = move || (0..20 * (WIDTH + 1)).map(move |i| if i == wrong { f32::NAN } else { 0.1 });
    let blocks = move || std::iter::once_with(move || Ok(rows().collect()));
    let source = Source::of_blocks("own", WIDTH + 1, Some(20), blocks).unwrap();
    let source = source.last_columns_as_targets(1).unwrap().block_rows(5).unwrap();
    let all = world(&options(Schedule::data_parallel()), &[1, 1], |options, gpus| {
        let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.01));
        let net = Sequential::new(WIDTH).dense(1).seed(3);
        let mut parallel = Parallel::new_blocking(net, how, source.clone(), options, &gpus)?;
        parallel.fit_blocking(FitOptions::new(1).in_order())
    });
    for (rank, outcome) in all.into_iter().enumerate() {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("row 7"), "rank {rank}: {error}");
        assert!(rank == 1 || error.contains("rank 1"), "{error}");
    }
}
