//! Files of models that were changed at random: an error, or the same model; never a panic, and never more memory
//! than a few times the bytes. Where the checksum is made right again: an error, or a model that is saved and
//! read as it is.

use crate::common::gpu;
use crate::common::random::Random;
use crate::support::memory::most_held;
use crate::support::sealed::Sealed;
use wgrad::data::{Dataset, Encoder, EncoderOptions, Table};
use wgrad::nn::{LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    Checkpoint, EarlyStopping, Every, FitOptions, ModelFile, TrainingConfig, epoch_order,
};

/// A small net; one with every kind of layer and the encoder of a table; a checkpoint with what a callback remembers.
fn files() -> Vec<Vec<u8>> {
    let config = |optimizer| TrainingConfig::new(Loss::MeanSquaredError, optimizer);
    let small = Sequential::new(2).dense(2).leaky_relu(0.1).dense(1).seed(7);
    let small = ModelFile::new(small, config(Optimizer::momentum(0.1, 0.9))).unwrap();

    let rows = (0..12).map(|n| {
        let colour = ["red", "", "blue"][n % 3];
        [
            format!("{}", n * n),
            colour.into(),
            format!("2024-01-0{}", 1 + n % 9),
            ["a", "b"][n % 2].into(),
        ]
    });
    let table = Table::new(["mass", "colour", "day", "kind"], rows).unwrap();
    let encoder = Encoder::fit(&table, &EncoderOptions::default()).unwrap();
    let net = Sequential::new(encoder.width())
        .dense(3)
        .layer_norm()
        .dropout(0.25)
        .residual(|block| block.dense(3).tanh())
        .dense(2);
    let schedule = LearningRateSchedule::cosine(99, 0.0);
    let optimizer = Optimizer::adam(1e-3).schedule(schedule).weight_decay(0.01).clip_norm(2.0);
    let config_of_classes = TrainingConfig::new(Loss::SoftmaxCrossEntropy, optimizer);
    let config_of_classes =
        config_of_classes.metric(Metric::Accuracy).class_weights(vec![1.0, 2.0]);
    let of_table = ModelFile::new(net, config_of_classes).unwrap().with_encoder(encoder).unwrap();

    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutated");
    let _ = std::fs::remove_dir_all(&folder);
    let features: Vec<f32> = epoch_order(16, 1, 2).into_iter().map(|n| n as f32 / 8.0).collect();
    let targets = features.chunks(2).map(|row| row[0] - row[1]).collect();
    let data = Dataset::regression(features, 2, targets, 1).unwrap();
    let net = Sequential::new(2).dense(2).relu().dense(1);
    let mut model = net.compile_blocking(&gpu(), config(Optimizer::adam(0.1))).unwrap();
    let mut stopping = EarlyStopping::new("loss", 2);
    let checkpoint = Checkpoint::every(Every::Epochs(2)).in_folder(&folder);
    let fit = FitOptions::new(3).batch_size(3).checkpoint(checkpoint).callback(&mut stopping);
    model.fit_blocking(&data, fit).unwrap();
    let checkpoint = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let checkpoint = std::fs::read(checkpoint).unwrap();
    assert!(ModelFile::from_bytes(&checkpoint).unwrap().is_checkpoint());
    vec![small.to_bytes().unwrap(), of_table.to_bytes().unwrap(), checkpoint]
}

/// Numbers at which something may turn over.
const EDGES: [&str; 12] = [
    "0",
    "-1",
    "1e999",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1e-400",
    "null",
    "[]",
    "{}",
    "\"\"",
    "true",
];

/// A few changes: of bits, bytes, ranges, words of eight bytes; a part of `other`; another length.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(24)).min(bytes.len());
        match random.below(9) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            5 => {
                let from = random.below(other.len());
                let part = &other[from..(from + end - at).min(other.len())];
                bytes.splice(at..end, part.iter().copied());
            }
            6 => {
                let word = [0, 1, u64::MAX, 1 << 40, random.next()][random.below(5)];
                let start = [0, at][random.below(2)];
                bytes.splice(start..(start + 8).min(bytes.len()), word.to_le_bytes());
            }
            7 => digits(bytes, random),
            _ => bytes.extend((0..random.below(40)).map(|_| random.next() as u8)),
        }
    }
}

/// Another number, or something that is none, in the place of a number in the text.
fn digits(text: &mut Vec<u8>, random: &mut Random) {
    let from = random.below(text.len().max(1));
    let digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = text.iter().skip(from).position(digit).map(|at| at + from) else { return };
    let end =
        text.iter().skip(start).position(|byte| !digit(byte)).map_or(text.len(), |n| start + n);
    text.splice(start..end, EDGES[random.below(EDGES.len())].bytes());
}

/// Reads `bytes`, and checks that it took no more memory than it may; notes the largest.
fn read(bytes: &[u8], largest: &mut usize) -> Option<ModelFile> {
    let (result, most) = most_held(|| ModelFile::from_bytes(bytes));
    *largest = most.max(*largest);
    assert!(most <= 16 * bytes.len() + 16_384, "{most} bytes were allocated for {}", bytes.len());
    match result {
        Ok(file) => Some(file),
        Err(error) => {
            assert!(error.to_string().len() > 12, "{error:?}");
            None
        }
    }
}

/// How many of `count` were the same model, how many others, and how many errors; and the most bytes that reading one
/// took.
fn campaign(count: u64) -> ([u64; 3], usize) {
    let files = files();
    let sealed: Vec<Sealed> = files.iter().map(|bytes| Sealed::of(bytes)).collect();
    let (mut came, mut largest) = ([0; 3], 0);
    for case in 0..count {
        let mut random = Random::new(case);
        let own = random.below(files.len());
        let other = &files[random.below(files.len())];
        if case % 2 == 0 {
            let mut bytes = files[own].clone();
            change(&mut bytes, other, &mut random);
            match read(&bytes, &mut largest) {
                // A blank for another is no change.
                Some(file) => {
                    assert_eq!(file.to_bytes().unwrap(), files[own], "case {case}: a wrong load");
                    came[0] += 1;
                }
                None => came[2] += 1,
            }
            continue;
        }
        let mut forged = sealed[own].clone();
        let mut text = forged.model.clone().into_bytes();
        match random.below(3) {
            0 => change(&mut text, other, &mut random),
            _ => digits(&mut text, &mut random),
        }
        forged.model = String::from_utf8_lossy(&text).into_owned();
        let tensor = random.below(forged.tensors.len());
        match random.below(4) {
            0 => drop(forged.tensors.remove(tensor)),
            1 => {
                let (_, _, data) = &mut forged.tensors[tensor];
                let at = random.below(data.len());
                data[at] = random.next() as u8;
            }
            _ => {}
        }
        match read(&forged.bytes(), &mut largest) {
            Some(file) => {
                assert!(file.architecture().summary().to_string().len() > 20);
                let bytes = file.to_bytes().unwrap();
                let again = read(&bytes, &mut largest).unwrap().to_bytes().unwrap();
                assert_eq!(again, bytes, "case {case}");
                came[1] += 1;
            }
            None => came[2] += 1,
        }
    }
    (came, largest)
}

#[test]
fn changed_files_are_errors_or_the_same() {
    let ([same, other, errors], _) = campaign(2_000);
    assert!(errors > 1_500 && other > 50, "{same} the same, {other} others, {errors} errors");
}

#[test]
#[ignore = "takes minutes"]
fn a_million_changed_files() {
    let (files, begun) = (files(), std::time::Instant::now());
    let ([same, other, errors], largest) = campaign(1_000_000);
    let seconds = begun.elapsed().as_secs_f64();
    println!("{same} the same, {other} others with a checksum that is right, {errors} errors");
    let sizes: Vec<usize> = files.iter().map(Vec::len).collect();
    println!(
        "{:.0} a second; reading took {largest} bytes at most, of files of {sizes:?}",
        1e6 / seconds
    );
    // Where the system tells.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    println!("the process, with the device's driver: {}", peak.unwrap_or("not known"));
}
