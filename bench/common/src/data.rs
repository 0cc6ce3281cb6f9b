//! Data and first weights, the same for every peer and in every language: numbers from SplitMix64
//! used as a hash of a stream's number and a position (Steele et al., 2014). `bench/cpu/data.py`
//! holds the same formulas.

use std::path::Path;

use crate::workload::{Loss, Net, Source, Training};

/// Features, and for each row either `outputs` numbers or one class.
pub struct Data {
    pub features: Vec<f32>,
    pub targets: Targets,
}

pub enum Targets {
    Values(Vec<f32>),
    Classes(Vec<u32>),
}

/// A dense layer's first weights (inputs × units, row by row) and biases.
pub struct Layer {
    pub inputs: usize,
    pub units: usize,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// `count` numbers in [-1, 1), each a multiple of 2⁻²³.
pub fn uniform(stream: u64, count: usize) -> Vec<f32> {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let number = |position: usize| {
        let mut z = (stream << 32 | position as u64).wrapping_add(1).wrapping_mul(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(number).collect()
}

/// Stream 0 is the features', 1 the noise's; the weights of layer l come from stream 2 + l.
const FEATURES: u64 = 0;
const NOISE: u64 = 1;
const WEIGHTS: u64 = 2;
/// The stream of the numbers that outputs are weighted with.
const OUTPUTS: u64 = 1 << 16;

/// Glorot's uniform weights (2010) and biases of 0.
pub fn layers(net: &Net) -> Vec<Layer> {
    let layer = |(index, pair): (usize, &[usize])| {
        let (inputs, units) = (pair[0], pair[1]);
        let limit = (6.0 / (inputs + units) as f64).sqrt() as f32;
        let numbers = uniform(WEIGHTS + index as u64, inputs * units);
        let weight = numbers.into_iter().map(|number| number * limit).collect();
        Layer { inputs, units, weight, bias: vec![0.0; units] }
    };
    net.widths.windows(2).enumerate().map(layer).collect()
}

/// `rows` rows of features.
pub fn features(net: &Net, rows: usize) -> Vec<f32> {
    uniform(FEATURES, rows * net.inputs())
}

/// The data of a training.
///
/// # Errors
/// If the digits cannot be read.
pub fn data(training: &Training) -> Result<Data, String> {
    match training.source {
        Source::Generated => Ok(generated(training)),
        Source::Digits => digits(training.rows),
    }
}

/// Targets that bend with some of the features: `sin(2a) + b·c + d/2` and a little noise, or the
/// class whose share of the features has the largest sum.
fn generated(training: &Training) -> Data {
    let net = &training.net;
    let (inputs, outputs) = (net.inputs(), net.outputs());
    let features = features(net, training.rows);
    let rows = features.chunks(inputs);
    let targets = match net.loss {
        Loss::MeanSquaredError => {
            let noise = uniform(NOISE, training.rows * outputs);
            let value = |row: &[f32], j: usize| {
                let x = |offset| row[(j + offset) % inputs];
                (2.0 * x(0)).sin() + x(1) * x(2) + 0.5 * x(3)
            };
            let values = rows.flat_map(|row| (0..outputs).map(move |j| value(row, j)));
            Targets::Values(values.zip(noise).map(|(value, e)| value + 0.1 * e).collect())
        }
        Loss::CrossEntropy => {
            let class = |row: &[f32]| {
                let sums = row.chunks_exact(inputs / outputs).take(outputs);
                let sums = sums.map(|share| share.iter().map(|&x| f64::from(x)).sum::<f64>());
                let best = sums.enumerate().reduce(|a, b| if b.1 > a.1 { b } else { a });
                best.map_or(0, |(class, _)| class as u32)
            };
            Targets::Classes(rows.map(class).collect())
        }
    };
    Data { features, targets }
}

/// The 8×8 digits, each pixel from 0 to 1.
fn digits(rows: usize) -> Result<Data, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/digits");
    let read = |name: &str, header: usize| {
        let path = folder.join(name);
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<_, String>(bytes[header..].to_vec())
    };
    let (images, labels) = (read("images-idx3-ubyte", 16)?, read("labels-idx1-ubyte", 8)?);
    Ok(Data {
        features: images[..rows * 64].iter().map(|&pixel| f32::from(pixel) / 16.0).collect(),
        targets: Targets::Classes(labels[..rows].iter().map(|&label| label.into()).collect()),
    })
}

/// A and B of a product.
pub fn factors(m: usize, n: usize, k: usize) -> (Vec<f32>, Vec<f32>) {
    (uniform(FEATURES, m * k), uniform(NOISE, k * n))
}

/// Mean of the values, each times a number in [0.5, 1.5) that depends on its place alone, in f64: what two
/// peers' outputs are compared by. Another order comes to another mean, and so does another sign.
pub fn weighted_mean(values: &[f32]) -> f64 {
    let weights = uniform(OUTPUTS, values.len());
    let terms =
        values.iter().zip(weights).map(|(&value, w)| f64::from(value) * (1.0 + f64::from(w) / 2.0));
    terms.sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_and_a_sign_make_a_difference() {
        let of = weighted_mean;
        assert!((of(&[1.0; 1000]) - 1.0).abs() < 0.03);
        assert!((of(&[1.0, -2.0]) - of(&[-2.0, 1.0])).abs() > 0.01);
        assert!((of(&[1.0, -2.0]) - of(&[1.0, 2.0])).abs() > 0.01);
    }

    /// The same numbers stand in `bench/cpu/data.py`.
    #[test]
    fn the_first_numbers_are_these() {
        assert_eq!(uniform(0, 2), [0.766_621_6, -0.136_944_06]);
    }
}
