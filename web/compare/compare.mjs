// Trains the same nets with wgrad and with TensorFlow.js (the global `tf`) and compares them.
import init, { Gpu, Model } from '../pkg/wgrad.js';

const NETS = [
  { net: '10-64-1', widths: [10, 64, 1], batch: 32, rows: 1000, rate: 0.05, loss: 'mean_squared_error', wholeStep: true },
  { net: '784-128-10', widths: [784, 128, 10], batch: 128, rows: 1280, rate: 0.05, loss: 'softmax_cross_entropy' },
  { net: '32-64-64-64-64-16', widths: [32, 64, 64, 64, 64, 16], batch: 4096, rows: 8192, rate: 0.05, loss: 'mean_squared_error' },
];

/**
 * Runs `rounds` rounds of about `seconds` of the slower library each, on `rows` rows of data at most. `status(text, share)` hears how far it is.
 * Resolves to adapter, versions, and for every net speeds, ratios and final losses.
 */
export async function compare({ rounds = 5, seconds = 1, rows = Infinity, only, status = () => {} } = {}) {
  await init();
  const gpu = await Gpu.create();
  await tf.setBackend('webgpu');
  await tf.ready();
  if (tf.getBackend() !== 'webgpu') throw new Error(`TensorFlow.js runs on ${tf.getBackend()}, not on WebGPU`);
  const nets = [];
  const specs = NETS.filter(({ net }) => !only || net === only).map((spec) => ({ ...spec, rows: Math.min(spec.rows, rows) }));
  for (const [index, spec] of specs.entries()) {
    const share = (text, done) => status(text, (index + done) / specs.length);
    nets.push(await compareNet(gpu, spec, rounds, seconds, share));
  }
  const result = { adapter: gpu.adapter, tensorflow: tf.version.tfjs, rounds, nets };
  gpu.free();
  return result;
}

async function compareNet(gpu, spec, rounds, seconds, status) {
  const data = makeData(spec);
  status(`${spec.net}: compiling`, 0);
  const ours = await makeWgrad(gpu, spec, data);
  const wholeStep = spec.wholeStep && await makeWgrad(gpu, spec, data, 'whole_step');
  const theirs = makeTensorFlow(spec, data, await ours.weights());
  const batches = Math.ceil(spec.rows / spec.batch);
  const measured = { wgrad: {}, tensorflow: {} };
  let losses;
  for (const way of ['loop', 'fit']) {
    const run = { wgrad: ours[way], tensorflow: theirs[way] };
    // Compiles; then finds how many epochs the slower one manages in time.
    await run.wgrad(1);
    await run.tensorflow(1);
    await wholeStep?.[way](1);
    const start = performance.now();
    await run.tensorflow(1);
    await run.wgrad(1);
    const epochs = Math.max(1, Math.round((1000 * seconds) / (performance.now() - start)));
    const speeds = { wgrad: [], tensorflow: [] };
    for (let round = 0; round < rounds; round++) {
      status(`${spec.net}, ${way}: round ${round + 1} of ${rounds}`, ((way === 'fit') + round / rounds) / 2);
      for (const name of round % 2 ? ['tensorflow', 'wgrad'] : ['wgrad', 'tensorflow']) {
        const begin = performance.now();
        await run[name](epochs);
        speeds[name].push((1000 * epochs * batches) / (performance.now() - begin));
      }
      if (!wholeStep) continue;
      const begin = performance.now();
      await wholeStep[way](20 * epochs);
      (speeds.wholeStep ??= []).push((1000 * 20 * epochs * batches) / (performance.now() - begin));
    }
    if (wholeStep) measured.wholeStep = { ...measured.wholeStep, [way]: summary(speeds.wholeStep) };
    for (const name of ['wgrad', 'tensorflow']) measured[name][way] = summary(speeds[name]);
    if (way === 'loop') losses = { wgrad: await ours.loss(), tensorflow: await theirs.loss() };
  }
  const steps = { wgrad: ours.steps() };
  ours.free();
  wholeStep?.free();
  theirs.free();
  const ratio = (way) => measured.wgrad[way].median / measured.tensorflow[way].median;
  return {
    net: spec.net,
    batch: spec.batch,
    steps: steps.wgrad,
    wgrad: { ...measured.wgrad, loss: losses.wgrad },
    ...(wholeStep && { wholeStep: measured.wholeStep }),
    tensorflow: { ...measured.tensorflow, loss: losses.tensorflow },
    ratio: {
      loop: ratio('loop'),
      fit: ratio('fit'),
      // wgrad's loop against whichever way of TensorFlow.js is faster.
      best: measured.wgrad.loop.median / Math.max(measured.tensorflow.loop.median, measured.tensorflow.fit.median),
    },
  };
}

function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  return { median: at(0.5), least: sorted[0], most: sorted[sorted.length - 1] };
}

/** Features in -1..1 and targets that depend on them, the same in every run. */
function makeData({ widths, rows, loss }) {
  let state = 12345;
  const random = () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const inputs = widths[0];
  const outputs = widths[widths.length - 1];
  const x = Float32Array.from({ length: rows * inputs }, () => 2 * random() - 1);
  const hidden = Float32Array.from({ length: inputs * outputs }, () => 2 * random() - 1);
  const scores = new Float32Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    for (let o = 0; o < outputs; o++) {
      let sum = 0;
      for (let i = 0; i < inputs; i++) sum += x[row * inputs + i] * hidden[i * outputs + o];
      scores[row * outputs + o] = Math.tanh((2 * sum) / Math.sqrt(inputs));
    }
  }
  if (loss !== 'softmax_cross_entropy') return { x, y: scores, dense: scores };
  const labels = new Uint32Array(rows);
  const dense = new Float32Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    const line = scores.subarray(row * outputs, (row + 1) * outputs);
    labels[row] = line.indexOf(Math.max(...line));
    dense[row * outputs + labels[row]] = 1;
  }
  return { x, y: labels, dense };
}

async function makeWgrad(gpu, { widths, batch, rate, loss }, { x, y }, kernels = 'general') {
  const layers = [];
  widths.slice(1).forEach((units, index) => {
    if (index) layers.push({ type: 'relu' });
    layers.push({ type: 'dense', units });
  });
  const model = await Model.create(gpu, {
    inputs: widths[0], layers, loss, seed: 1, optimizer: { name: 'sgd', learningRate: rate }, kernels,
  });
  const trainer = await model.trainer(x, y, { batchSize: batch, shuffle: false });
  return {
    weights: () => model.weights(),
    loop: (epochs) => trainer.steps(epochs * trainer.batches),
    fit: (epochs) => model.fit(x, y, { epochs, batchSize: batch, shuffle: false }),
    loss: async () => (await model.evaluate(x, y)).loss,
    steps: () => model.steps,
    free() { trainer.free(); model.free(); },
  };
}

function makeTensorFlow({ widths, batch, rows, rate, loss }, { x, dense }, weights) {
  const outputs = widths[widths.length - 1];
  const model = tf.sequential();
  widths.slice(1).forEach((units, index) => {
    const activation = index < widths.length - 2 ? 'relu' : 'linear';
    model.add(tf.layers.dense({ units, activation, inputShape: index ? undefined : [widths[0]] }));
  });
  const initial = weights.map(({ data, shape }) => tf.tensor(data, shape));
  model.setWeights(initial);
  initial.forEach((tensor) => tensor.dispose());
  const lossOf = loss === 'softmax_cross_entropy'
    ? (t, p) => tf.losses.softmaxCrossEntropy(t, p)
    : (t, p) => tf.losses.meanSquaredError(t, p);
  model.compile({ optimizer: tf.train.sgd(rate), loss: lossOf });
  const xs = tf.tensor2d(x, [rows, widths[0]]);
  const ys = tf.tensor2d(dense, [rows, outputs]);
  const parts = [];
  for (let row = 0; row < rows; row += batch) {
    const size = Math.min(batch, rows - row);
    parts.push({ x: tf.slice(xs, [row, 0], [size, widths[0]]), y: tf.slice(ys, [row, 0], [size, outputs]) });
  }
  const optimizer = tf.train.sgd(rate);
  return {
    async loop(epochs) {
      let last;
      for (let epoch = 0; epoch < epochs; epoch++) {
        for (const part of parts) {
          const value = optimizer.minimize(() => lossOf(part.y, model.apply(part.x, { training: true })), true);
          last?.dispose();
          last = value;
        }
      }
      await last.data();
      last.dispose();
    },
    fit: (epochs) => model.fit(xs, ys, { epochs, batchSize: batch, shuffle: false, verbose: 0, yieldEvery: 'never' }),
    async loss() {
      const value = tf.tidy(() => lossOf(ys, model.apply(xs)));
      const [number] = await value.data();
      value.dispose();
      return number;
    },
    free() {
      tf.dispose([xs, ys, ...parts.flatMap((part) => [part.x, part.y])]);
      model.dispose();
      optimizer.dispose();
    },
  };
}
