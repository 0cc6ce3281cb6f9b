// The experiment on screen as a program, in JavaScript and in Rust: the same points, net and training.

import { DATA_SETS } from './data.js';
import { shuffle, uniform } from './random.js';
import { engineLayers, engineOptimizer, initOf } from './state.js';

/** Epochs of a program when the experiment has not begun. */
const EPOCHS = 100;

/** The features as expressions of x and y, in JavaScript and in Rust. */
const EXPRESSIONS = {
  x: ['x / 3', 'x / 3.0'],
  y: ['y / 3', 'y / 3.0'],
  x2: ['(x * x) / 18', '(x * x) / 18.0'],
  y2: ['(y * y) / 18', '(y * y) / 18.0'],
  xy: ['(x * y) / 18', '(x * y) / 18.0'],
  sinx: ['Math.sin(x)', 'x.sin()'],
  siny: ['Math.sin(y)', 'y.sin()'],
};

/** A number as Rust takes it. */
const float = (number) => (Number.isInteger(number) ? `${number}.0` : String(number));

/** Points as rows of a list, several to a line. */
function listed(points, numbers, indent) {
  const items = points.map((point) => `[${numbers(point).join(', ')}]`);
  const lines = [];
  while (items.length > 0) lines.push(`${indent}${items.splice(0, 4).join(', ')},`);
  return lines.join('\n');
}

/** How many epochs the experiment has run, the present one counted as whole. */
export const epochsOf = (steps, rows, batch) => (steps > 0 ? Math.ceil(steps / Math.ceil(rows / batch)) : EPOCHS);

/**
 * The program of an experiment: `tab` and its `values`, the `steps` done, and of the plane its `points`,
 * `{ train, test }`. Resolves to `{ javascript, rust }`.
 */
export function programsOf({ tab, values, steps, points, rows }) {
  const outputs = tab === 'digits' ? 10 : values.loss === 'softmax_cross_entropy' ? 2 : 1;
  const loss = tab === 'digits' ? 'softmax_cross_entropy' : values.loss;
  const batch = values.batch || rows;
  const experiment = { ...values, tab, outputs, loss, batch, points, epochs: epochsOf(steps, rows, batch) };
  return { javascript: javascriptOf(experiment), rust: rustOf(experiment) };
}

const withQuotes = (text) => text.replaceAll('"', "'").replace(/'(\w+)':/g, '$1: ').replaceAll(',', ', ').replaceAll('{', '{ ').replaceAll('}', ' }');

function javascriptOf(experiment) {
  const { tab, outputs, loss, batch, epochs, seed, features } = experiment;
  const layers = engineLayers(experiment, outputs).map((layer) => `    ${withQuotes(JSON.stringify(layer))},`);
  const inputs = tab === 'digits' ? 64 : features.length;
  const data = tab === 'digits' ? digitsInJavaScript() : pointsInJavaScript(experiment);
  return `// The package of this page (its link says how to install it), or import it from this page's ./pkg/wgrad.js
import init, { Gpu, Model } from 'wgrad';

await init();
const gpu = await Gpu.create();
const model = await Model.create(gpu, {
  inputs: ${inputs},
  layers: [
${layers.join('\n')}
  ],
  loss: '${loss}',
  optimizer: ${withQuotes(JSON.stringify(engineOptimizer(experiment)))},
${outputs === 10 ? "  metrics: ['accuracy'],\n" : ''}  seed: ${seed},
});

const { train, test } = ${tab === 'digits' ? 'await digits()' : 'points()'};
await model.fit(train.x, train.y, {
  epochs: ${epochs},
  batchSize: ${batch},
  seed: ${seed}, // of the order of the rows
  onEpoch: ({ epoch, loss }) => console.log(epoch, loss),
});
console.log(await model.evaluate(test.x, test.y));

${data}`;
}

function pointsInJavaScript({ features, loss, points, data }) {
  const target = {
    binary_cross_entropy: 'Float32Array.from(rows, ([, , value]) => Number(value > 0))',
    softmax_cross_entropy: 'Uint32Array.from(rows, ([, , value]) => Number(value > 0))',
  }[loss] ?? 'Float32Array.from(rows, ([, , value]) => value)';
  const list = (rows) => listed(rows, ({ x, y, value }) => [x, y, value], '    ');
  return `/** ${DATA_SETS[data].label}: x, y and ${DATA_SETS[data].values ? 'the value' : 'the class, −1 or 1'} of each point, and what the net sees of it. */
function points() {
  const features = ([x, y]) => [${features.map((name) => EXPRESSIONS[name][0]).join(', ')}];
  const part = (rows) => ({
    x: Float32Array.from(rows.flatMap(features)),
    y: ${target},
  });
  const train = [
${list(points.train)}
  ];
  const test = [
${list(points.test)}
  ];
  return { train: part(train), test: part(test) };
}
`;
}

function digitsInJavaScript() {
  return `/** The digits beside this page, in the page's two parts. */
async function digits() {
  const bytes = async (name, header) =>
    new Uint8Array(await (await fetch(\`digits/\${name}\`)).arrayBuffer()).subarray(header);
  const images = await bytes('images-idx3-ubyte', 16);
  const labels = await bytes('labels-idx1-ubyte', 8);
  const order = shuffle(Array.from(labels.keys()), uniform(8));
  const part = (rows) => ({
    x: Float32Array.from(rows.flatMap((row) => Array.from(images.subarray(64 * row, 64 * row + 64), (ink) => ink / 16))),
    y: Uint32Array.from(rows, (row) => labels[row]),
  });
  return { train: part(order.slice(450)), test: part(order.slice(0, 450)) };
}

${uniform}

${shuffle}
`;
}

/** A rule of the page as the optimizer of Rust; those that decay their weights say so by `weight_decay`. */
function optimizerInRust({ optimizer, rate, decay }) {
  const arguments_ = { momentum: `${float(rate)}, 0.9`, nesterov: `${float(rate)}, 0.9`, adamw: `${float(rate)}, ${float(decay)}` };
  const made = `Optimizer::${optimizer}(${arguments_[optimizer] ?? float(rate)})`;
  return optimizer === 'adamw' || decay === 0 ? made : `${made}.weight_decay(${float(decay)})`;
}

const LOSSES_IN_RUST = {
  binary_cross_entropy: 'BinaryCrossEntropy',
  softmax_cross_entropy: 'SoftmaxCrossEntropy',
  mean_squared_error: 'MeanSquaredError',
  mean_absolute_error: 'MeanAbsoluteError',
  huber: 'Huber { delta: 1.0 }',
};

function rustOf(experiment) {
  const { tab, layers, activation, outputs, loss, batch, epochs, seed, features } = experiment;
  const init = initOf(activation) === 'he_uniform' ? 'HeUniform' : 'GlorotUniform';
  const hidden = layers.map((units) => `
        .dense_with(${units}, Init::${init})
        .${activation}(${activation === 'leaky_relu' ? '0.01' : ''})`);
  const inputs = tab === 'digits' ? 64 : features.length;
  return `// cargo add --path .../wgrad${tab === 'digits' ? ' --features digits' : ''}
use wgrad::prelude::*;

/// Trains the net and returns what it comes to on the rows for testing.
fn train(gpu: &Gpu) -> wgrad::Result<Evaluation> {
    let optimizer = ${optimizerInRust(experiment)};
    let config = TrainingConfig::new(Loss::${LOSSES_IN_RUST[loss]}, optimizer)${outputs === 10 ? '.metric(Metric::Accuracy)' : ''};
    let net = Sequential::new(${inputs})${hidden.join('')}
        .dense(${outputs})
        .seed(${seed});
    let mut model = net.compile_blocking(gpu, config)?;
    let (train, test) = ${tab === 'digits' ? 'digits' : 'points'}()?;
    // The seed is that of the order of the rows.
    model.fit_blocking(&train, FitOptions::new(${epochs}).batch_size(${batch}).shuffle(${seed}))?;
    model.evaluate_blocking(&test)
}

fn main() -> wgrad::Result<()> {
    println!("{:?}", train(&Gpu::new_blocking()?)?);
    Ok(())
}

${tab === 'digits' ? digitsInRust() : pointsInRust(experiment)}`;
}

function pointsInRust({ features, loss, points, data }) {
  const list = (rows) => listed(rows, ({ x, y, value }) => [x, y, value].map(float), '    ');
  const made = {
    softmax_cross_entropy: 'Dataset::classification(x, WIDTH, points.iter().map(|point| u32::from(point[2] > 0.0)).collect(), 2)?',
    binary_cross_entropy: 'Dataset::regression(x, WIDTH, points.iter().map(|point| f32::from(point[2] > 0.0)).collect(), 1)?',
  }[loss] ?? 'Dataset::regression(x, WIDTH, points.iter().map(|point| point[2] as f32).collect(), 1)?';
  return `/// What the net sees of a point.
const WIDTH: usize = ${features.length};
fn features([x, y, _]: [f64; 3]) -> [f64; WIDTH] {
    [${features.map((name) => EXPRESSIONS[name][1]).join(', ')}]
}

fn points() -> wgrad::Result<(Dataset, Dataset)> {
    let part = |points: &[[f64; 3]]| -> wgrad::Result<Dataset> {
        let x = points.iter().flat_map(|&point| features(point).map(|feature| feature as f32)).collect();
        Ok(${made})
    };
    Ok((part(TRAIN)?, part(TEST)?))
}

// ${DATA_SETS[data].label}: x, y and ${DATA_SETS[data].values ? 'the value' : 'the class, -1 or 1'} of each point.
const TRAIN: &[[f64; 3]] = &[
${list(points.train)}
];
const TEST: &[[f64; 3]] = &[
${list(points.test)}
];
`;
}

function digitsInRust() {
  return `/// The digits that come with wgrad, in the page's two parts.
fn digits() -> wgrad::Result<(Dataset, Dataset)> {
    let all = wgrad::data::digits()?.dataset;
    // The page's shuffling: Fisher and Yates, with numbers of mulberry32 from seed 8.
    let mut state = 8_u32;
    let mut uniform = || {
        state = state.wrapping_add(0x6d2b_79f5);
        let mut t = (state ^ (state >> 15)).wrapping_mul(1 | state);
        t = t.wrapping_add((t ^ (t >> 7)).wrapping_mul(61 | t)) ^ t;
        f64::from(t ^ (t >> 14)) / 4_294_967_296.0
    };
    let mut order: Vec<usize> = (0..all.rows()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, (uniform() * (i + 1) as f64) as usize);
    }
    Ok((all.select(&order[450..])?, all.select(&order[..450])?))
}
`;
}
