//! Training and the other tasks over sources: the bits of the same rows in memory, in the order that is documented,
//! with what is wrong midway named.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::gpu;
use crate::common::training::{classes, weight_bits};
use crate::support::bits;
use wgrad::cluster::{Clusters, KMeans, Seeding};
use wgrad::data::{ArrayFile, Dataset, NpyWriter, Source, Targets, permutation};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    BatchLog, Callback, FitOptions, History, Kernels, Model, Residency, Signal, TrainingConfig,
};
use wgrad::{Counters, Error, Result};

/// Rows that blocks of 5, windows of 15 and batches of 7 do not divide.
pub const ROWS: usize = 62;
pub const BATCH: usize = 7;

pub fn data() -> Dataset {
    let features: Vec<f32> = (0..3 * ROWS).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let targets = features.chunks(3).map(|row| row[0] - row[1] * row[2]).collect();
    Dataset::regression(features, 3, targets, 1).unwrap()
}

fn model(kernels: Kernels) -> Model {
    let config = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01));
    let config = config.metric(Metric::RSquared).kernels(kernels);
    Sequential::new(3).dense(4).tanh().dense(1).seed(3).compile_blocking(&gpu(), config).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wgrad-sources-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The rows in files, features and targets apart.
pub fn in_files(name: &str) -> (PathBuf, Source) {
    let (folder, data) = (folder(name), data());
    let (x, y) = (folder.join("x.npy"), folder.join("y.npy"));
    let Targets::Values { data: targets, .. } = data.targets() else { panic!("values") };
    for (path, width, numbers) in [(&x, 3, data.features()), (&y, 1, targets.as_slice())] {
        let mut file = NpyWriter::create(path, width).unwrap();
        file.write(numbers).unwrap();
        file.finish().unwrap();
    }
    let source = Source::npy(&x).unwrap().with_targets(ArrayFile::npy(&y).unwrap()).unwrap();
    (folder, windowed(source))
}

pub fn in_memory() -> Source {
    windowed(Source::dataset(data()).unwrap())
}

fn windowed(source: Source) -> Source {
    source.block_rows(5).unwrap().window_rows(15).unwrap()
}

/// The rows as a program brings them, `change` made to each block.
pub fn own(change: impl Fn(usize, &mut Vec<f32>) + Clone + Send + Sync + 'static) -> Source {
    let data = data();
    let Targets::Values { data: targets, .. } = data.targets().clone() else { panic!("values") };
    let rows = data.features().chunks(3).zip(targets);
    let rows: Vec<f32> = rows.flat_map(|(row, t)| [row[0], row[1], row[2], t]).collect();
    let blocks: Vec<Vec<f32>> = rows.chunks(4 * 9).map(<[f32]>::to_vec).collect();
    let begin = move || {
        let change = change.clone();
        blocks.clone().into_iter().enumerate().map(move |(number, mut block)| {
            change(number, &mut block);
            Ok(block)
        })
    };
    let source = Source::of_blocks("own", 4, None, begin).unwrap();
    windowed(source.last_columns_as_targets(1).unwrap())
}

/// Losses, metrics and weights of a training.
fn outcome(model: &Model, history: &History) -> (Vec<u32>, String, Vec<u32>) {
    let figures = history.epochs.iter().map(|log| (log.loss, &log.metrics, &log.validation));
    let figures = format!("{:?}", figures.collect::<Vec<_>>());
    (bits(&history.batch_losses), figures, weight_bits(model))
}

fn fit<'a>() -> FitOptions<'a> {
    FitOptions::new(3).batch_size(BATCH).shuffle(11)
}

#[test]
fn a_file_trains_to_the_bits_of_memory() {
    let (folder, file) = in_files("bits");
    for kernels in [Kernels::General, Kernels::WholeStep, Kernels::WholeStepInMemory] {
        let of = |source: &Source| {
            let mut model = model(kernels);
            let history = model.fit_blocking(source, fit().validation_split(0.3)).unwrap();
            assert!(
                history.epochs[2].validation.as_ref().unwrap().metric(Metric::RSquared).is_some()
            );
            outcome(&model, &history)
        };
        let expected = of(&in_memory());
        assert_eq!(of(&file), expected, "{kernels:?}");
        // Those of an iterator stay in their order of blocks.
        let kept = of(&in_memory().blocks_in_order());
        assert_eq!(of(&own(|_, _| ())), kept, "{kernels:?}");
        assert_ne!(kept.0, expected.0);
    }
    fs::remove_dir_all(folder).unwrap();
}

/// One window has all rows, or nothing is shuffled: then a source is as the data set.
#[test]
fn one_window_trains_to_the_bits_of_a_data_set() {
    let whole = in_memory().window_rows(100).unwrap();
    let of = |source: Option<&Source>, options: fn(FitOptions<'static>) -> FitOptions<'static>| {
        let mut model = model(Kernels::General);
        let history = match source {
            Some(source) => model.fit_blocking(source, options(fit())),
            None => model.fit_blocking(&data(), options(fit())),
        };
        outcome(&model, &history.unwrap())
    };
    assert_eq!(of(Some(&whole), |fit| fit), of(None, |fit| fit));
    assert_eq!(of(Some(&in_memory()), FitOptions::in_order), of(None, FitOptions::in_order));
    assert_eq!(of(Some(&whole), FitOptions::full_batch), of(None, FitOptions::full_batch));
    // Both hold out the last 20 rows, four blocks.
    let held_out: fn(FitOptions<'static>) -> FitOptions<'static> = |fit| fit.validation_split(0.31);
    assert_eq!(of(Some(&whole), held_out).2.len(), of(None, held_out).2.len());
}

/// The order as its documentation says it, found anew.
#[test]
fn rows_are_drawn_in_the_documented_order() {
    let (rows, block, window) = (ROWS, 5, 3);
    let seed = |epoch: u64| 11_u64.wrapping_add((epoch + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let order = |epoch: u64| -> Vec<u32> {
        let blocks = permutation(rows.div_ceil(block), seed(epoch) ^ 0x8bb8_4b93_962e_acc9);
        let mut order = Vec::new();
        for (number, blocks) in blocks.chunks(window).enumerate() {
            let mut blocks = blocks.to_vec();
            blocks.sort();
            let of =
                |&b: &u32| (b * block as u32)..(b * block as u32 + block as u32).min(rows as u32);
            let lying: Vec<u32> = blocks.iter().flat_map(of).collect();
            let spread = (number as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
            let drawn = permutation(lying.len(), seed(epoch) ^ spread);
            order.extend(drawn.iter().map(|&place| lying[place as usize]));
        }
        order
    };
    let mut expected = model(Kernels::General);
    let data = data();
    let mut trainer = expected.trainer_blocking(&data, BATCH, Residency::Resident).unwrap();
    let mut losses = Vec::new();
    for epoch in 0..3 {
        let mut sorted = order(epoch);
        sorted.sort();
        assert_eq!(sorted, (0..rows as u32).collect::<Vec<_>>());
        trainer.set_order(order(epoch)).unwrap();
        for batch in 0..trainer.batches() {
            trainer.submit_blocking(batch..batch + 1, |_| expected.next_step(0)).unwrap();
            let results = trainer.results_blocking().unwrap().unwrap();
            expected.completed(1);
            losses.extend(results.iter().map(|step| step.loss));
        }
    }
    let mut found = model(Kernels::General);
    let history = found.fit_blocking(&in_memory(), fit()).unwrap();
    assert_eq!(bits(&history.batch_losses), bits(&losses));
    assert_eq!(weight_bits(&found), weight_bits(&expected));

    // And in a loop of one's own.
    let mut own = model(Kernels::General);
    let mut trainer = own.trainer_blocking(in_memory(), BATCH, Residency::Auto).unwrap();
    for epoch in 0..3 {
        trainer.set_epoch(11, epoch).unwrap();
        for batch in 0..trainer.batches() {
            trainer.submit_blocking(batch..batch + 1, |_| own.next_step(0)).unwrap();
            trainer.results_blocking().unwrap();
            own.completed(1);
        }
    }
    assert_eq!(weight_bits(&own), weight_bits(&expected));
    let error = trainer.set_order((0..ROWS as u32).collect()).unwrap_err().to_string();
    assert!(error.contains("set_epoch"), "{error}");
}

/// Ends a training after so many batches.
struct StopAt(u64);

impl Callback for StopAt {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if log.step == self.0 { Signal::Stop } else { Signal::Continue }
    }
}

#[test]
fn a_broken_off_epoch_goes_on() {
    let mut whole = model(Kernels::General);
    whole.fit_blocking(&in_memory(), fit()).unwrap();
    for stop in [4, 9, 13] {
        let mut model = model(Kernels::General);
        model.fit_blocking(&in_memory(), fit().callback(&mut StopAt(stop))).unwrap();
        // The epoch at hand is completed first; the device may have been ahead.
        let left = whole.steps() - model.steps();
        let epochs = left.div_ceil(ROWS.div_ceil(BATCH) as u64) as usize;
        model
            .fit_blocking(&in_memory(), FitOptions::new(epochs).batch_size(BATCH).shuffle(11))
            .unwrap();
        assert_eq!(weight_bits(&model), weight_bits(&whole), "{stop}");
    }
}

#[cfg(feature = "files")]
#[test]
fn a_training_is_resumed_over_its_own_source() {
    use wgrad::train::{Checkpoint, Every};
    let files = folder("resumed");
    let mut whole = model(Kernels::General);
    let history = whole.fit_blocking(&in_memory(), fit()).unwrap();
    let expected = outcome(&whole, &history);
    // Dropped within the second epoch, as if the process had ended.
    let checkpoint = || Checkpoint::every(Every::Steps(4)).in_folder(&files);
    let (mut ended, source) = (model(Kernels::General), in_memory());
    let mut fails = FailAt(14);
    let options = fit().checkpoint(checkpoint()).callback(&mut fails);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        ended.fit_blocking(&source, options).unwrap();
    }))
    .unwrap_err();
    let resume = |source: &Source| {
        let mut model = model(Kernels::General);
        let mut nothing = FailAt(u64::MAX);
        let fit = fit().resume(&files).callback(&mut nothing);
        model.fit_blocking(source, fit).map(|history| outcome(&model, &history))
    };
    assert_eq!(resume(&in_memory()).unwrap(), expected);
    for other in [in_memory().window_rows(20).unwrap(), in_memory().block_rows(6).unwrap()] {
        let error = resume(&other).unwrap_err().to_string();
        assert!(error.contains("data of a training that is resumed"), "{error}");
    }
    fs::remove_dir_all(files).unwrap();
}

/// Panics at a step.
struct FailAt(u64);

impl Callback for FailAt {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        assert!(log.step != self.0, "as it should");
        Signal::Continue
    }
}

#[test]
fn what_is_wrong_midway_is_named_and_the_model_goes_on() {
    // Row 52 is in the sixth block of nine.
    let bad = own(|number, block| {
        if number == 5 {
            block[4 * 7 + 1] = f32::NAN;
        }
    });
    let mut model = model(Kernels::General);
    let error = model.fit_blocking(&bad, fit()).unwrap_err();
    assert!(matches!(error, Error::Data(_)), "{error:?}");
    assert!(error.to_string().contains("own: row 52, column 1 of the features is NaN"), "{error}");
    let steps = model.steps();
    assert!(steps < ROWS.div_ceil(BATCH) as u64, "{steps}");
    model.fit_blocking(&own(|_, _| ()), FitOptions::new(1).batch_size(BATCH)).unwrap();
    assert!(model.steps() > steps);

    // A reader that dies in its third pass: the one that counts is the first.
    let passes = Arc::new(AtomicUsize::new(0));
    let blocks = move || {
        let pass = passes.fetch_add(1, Ordering::Relaxed);
        (0..10).map(move |number| -> io::Result<Vec<f32>> {
            assert!(pass != 2 || number < 6, "the disk is gone");
            Ok((0..40).map(|i| ((number * 40 + i) % 23) as f32 / 23.0).collect())
        })
    };
    let source = Source::of_blocks("own", 4, None, blocks).unwrap();
    let source = windowed(source.last_columns_as_targets(1).unwrap());
    let error = model.fit_blocking(&source, fit()).unwrap_err().to_string();
    assert!(error.contains("own: the thread that reads it died: the disk is gone"), "{error}");
    model.fit_blocking(&source, fit()).unwrap();
}

#[test]
fn sources_that_do_not_fit_are_refused() {
    let mut model = model(Kernels::General);
    let says = |result: Result<History>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let resident = fit().residency(Residency::Resident);
    says(model.fit_blocking(&in_memory(), resident), "`Auto` or `Streamed` for a source");
    let (folder, _) = in_files("refused");
    let bare = Source::npy(folder.join("x.npy")).unwrap();
    says(model.fit_blocking(&bare, fit()), "rows without targets");
    let narrow = Source::npy(folder.join("x.npy")).unwrap().last_columns_as_targets(1).unwrap();
    says(model.fit_blocking(&narrow, fit()), "2 features per row");
    says(model.fit_blocking(&in_memory(), fit().validation_split(1.5)), "validation split is 1.5");
    says(model.fit_blocking(&in_memory(), fit().validation_split(0.01)), "13 blocks of 5 rows");
    let weighted = data().with_weights(vec![2.0; ROWS]).unwrap();
    let error = Source::dataset(weighted).unwrap_err().to_string();
    assert!(error.contains("weights of their own"), "{error}");
    let shares = Source::dataset(data()).unwrap();
    let config = TrainingConfig::new(Loss::BinaryCrossEntropy, Optimizer::sgd(0.1));
    let mut binary = Sequential::new(3).dense(1).compile_blocking(&gpu(), config).unwrap();
    says(binary.fit_blocking(&windowed(shares), fit().in_order()), "a target of row ");
    let error = model.predict_source_blocking(&narrow, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("2 features per row, the model takes 3"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn evaluation_and_prediction_are_those_of_memory() {
    let (folder, file) = in_files("predicted");
    let mut model = model(Kernels::General);
    model.fit_blocking(&data(), fit()).unwrap();
    let expected = model.evaluate_blocking(&data()).unwrap();
    assert_eq!(model.evaluate_blocking(&file).unwrap(), expected);
    assert_eq!(model.evaluate_blocking(&own(|_, _| ())).unwrap(), expected);
    let mut outputs = Vec::new();
    model
        .predict_source_blocking(&file, |some| {
            outputs.extend_from_slice(some);
            Ok(())
        })
        .unwrap();
    assert_eq!(bits(&outputs), bits(&model.predict_blocking(data().features()).unwrap()));
    let stop =
        || Error::Argument { name: "it".into(), value: "enough".into(), rule: "more".into() };
    let stopped = model.predict_source_blocking(&file, |_| Err(stop())).unwrap_err();
    assert_eq!(stopped.to_string(), stop().to_string());
    fs::remove_dir_all(folder).unwrap();
}

/// Labels, and more rows than a block of what is evaluated; with weights of classes, too.
#[test]
fn classes_of_a_source_are_learned() {
    let data = classes(3000);
    let source = Source::dataset(data.clone()).unwrap().block_rows(100).unwrap();
    let fit = || FitOptions::new(1).batch_size(64);
    let plain = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::adam(0.01))
        .metric(Metric::Accuracy);
    let mut all = Vec::new();
    for config in [plain.clone(), plain.class_weights([0.25, 4.0, 1.0])] {
        let net =
            || Sequential::new(2).dense(8).relu().dense(3).compile_blocking(&gpu(), config.clone());
        let (mut one, mut other) = (net().unwrap(), net().unwrap());
        let in_source = one.fit_blocking(&source, fit().validation(&source)).unwrap();
        let in_set = other.fit_blocking(&data, fit().validation(&data)).unwrap();
        all.push(outcome(&one, &in_source));
        assert_eq!(all.last(), Some(&outcome(&other, &in_set)));
        // The weights of each window are those of its rows.
        let (mut one, mut other) = (net().unwrap(), net().unwrap());
        let windows = source.clone().window_rows(300).unwrap();
        let in_windows = one.fit_blocking(&windows, fit().in_order()).unwrap();
        let in_set = other.fit_blocking(&data, fit().in_order()).unwrap();
        assert_eq!(outcome(&one, &in_windows), outcome(&other, &in_set));
    }
    assert_ne!(all[0], all[1], "the weights have a part");
}

fn found(clusters: &Clusters) -> (Vec<u32>, Vec<u32>, u64, usize) {
    let centers = bits(clusters.cluster_centers());
    (clusters.labels().to_vec(), centers, clusters.inertia().to_bits(), clusters.iterations())
}

#[test]
fn clusters_of_a_source_are_those_of_memory() {
    let (folder, file) = in_files("clusters");
    let values = data().features().to_vec();
    for (means, iterators_too) in [
        (KMeans::new(5), true),
        (KMeans::new(4).seeding(Seeding::Parallel), true),
        // More clusters than come to have rows at first.
        (KMeans::new(3).seeding(Seeding::Centers(vec![9.0; 9])), true),
        (KMeans::new(3).mini_batch(16), false),
    ] {
        let expected = means.fit_blocking(&gpu(), &values, 3).unwrap();
        let clusters = means.fit_source_blocking(&gpu(), &file).unwrap();
        assert_eq!(found(&clusters), found(&expected), "{means:?}");
        assert_eq!(clusters.predict_source_blocking(&file).unwrap(), expected.labels());
        if iterators_too {
            let clusters = means.fit_source_blocking(&gpu(), &own(|_, _| ())).unwrap();
            assert_eq!(found(&clusters), found(&expected), "{means:?}");
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[cfg(feature = "decompose")]
#[test]
fn components_of_a_source_are_those_of_memory() {
    use wgrad::decompose::{Pca, Solver};
    let (folder, file) = in_files("components");
    let values = data().features().to_vec();
    for solver in [Solver::Exact, Solver::Randomized] {
        let pca = Pca::new(2).solver(solver).whiten(true);
        let expected = pca.fit_blocking(&gpu(), &values, 3).unwrap();
        let components = pca.fit_source_blocking(&gpu(), &file).unwrap();
        assert_eq!(bits(components.components()), bits(expected.components()));
        assert_eq!(components.explained_variance(), expected.explained_variance());
        let mut along = Vec::new();
        components
            .transform_source_blocking(&file, |rows| {
                along.extend_from_slice(rows);
                Ok(())
            })
            .unwrap();
        assert_eq!(bits(&along), bits(&expected.transform_blocking(&values).unwrap()));
    }
    fs::remove_dir_all(folder).unwrap();
}

/// After the first steps nothing is made any more, and the rows go up once.
#[test]
fn reading_makes_nothing_new_on_the_device() {
    let counted = |data: &dyn Fn(&mut Model)| {
        let mut model = model(Kernels::General);
        let gpu = model.gpu().clone();
        data(&mut model);
        let before = gpu.counters();
        data(&mut model);
        // How often the host waits depends on how fast the device is.
        Counters { host_waits: 0, ..gpu.counters() - before }
    };
    let streamed = || fit().residency(Residency::Streamed);
    let set = data();
    let of_set = counted(&|model| drop(model.fit_blocking(&set, streamed()).unwrap()));
    let source = in_memory();
    let of_source = counted(&|model| drop(model.fit_blocking(&source, streamed()).unwrap()));
    assert_eq!(of_source, of_set);
}
