// The package's API in the browser: results, errors, device loss, memory.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { compareRuns } from './lib/article.mjs';
import { launch } from './lib/browser.mjs';
import { serve } from './lib/server.mjs';

let server;
let browser;
let page;

before(async () => {
  server = await serve();
  browser = await launch();
  page = await openPage();
});

/** A page with the package, a device `gpu`, and what lib/page.html defines. */
async function openPage(of = browser) {
  const page = await of.newPage();
  page.on('pageerror', (error) => console.error('page:', error.message));
  page.on('console', (message) => {
    if (message.text().includes('panicked')) console.error('page:', message.text());
  });
  await page.goto(`${server.url}/tests/lib/page.html`);
  await page.waitForFunction(() => globalThis.ready === true);
  await page.evaluate(async () => { globalThis.gpu = await wgrad.Gpu.create(); });
  return page;
}

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Runs in the page; JSON back. Typed arrays come as plain ones. */
const run = (body, argument) => page.evaluate(body, argument);

const close = (found, expected, relative, what) => {
  const off = Math.abs(found - expected);
  assert.ok(off <= relative * Math.abs(expected), `${what}: ${found}, not ${expected}`);
};

test('names its adapter', async () => {
  const adapter = await run(() => gpu.adapter);
  assert.match(adapter, /\S+ .*\(WebGPU/);
  console.log(`  on ${adapter}`);
});

test("the README's example learns the circle", async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const example = readme.match(/```js\n(import init[\s\S]*?)```/)[1]
    .replace("from 'wgrad'", "from '/pkg/wgrad.js'")
    .replace('await model.fit', 'globalThis.exampleHistory = await model.fit');
  await page.addScriptTag({ type: 'module', content: example });
  await page.waitForFunction(() => globalThis.exampleHistory?.epochs.length === 50, undefined, { timeout: 60_000 });
  const accuracy = await run(() => exampleHistory.epochs[49].metrics.accuracy);
  assert.ok(accuracy > 0.9, `accuracy ${accuracy}`);
});

test("the article's net agrees with the native run: SGD within 1e-5, Adam within 1e-4", async () => {
  const native = JSON.parse(await readFile(new URL('article.json', import.meta.url), 'utf8'));
  const found = await run(async () => {
    const { x, y } = articleData();
    const results = {};
    for (const [name, optimizer, order] of [
      ['sgd', { name: 'sgd', learningRate: 0.05 }, { shuffle: false }],
      ['adam', { name: 'adam', learningRate: 0.01 }, { seed: 7 }],
    ]) {
      const model = await wgrad.Model.create(gpu, articleConfig(optimizer));
      const history = await model.fit(x, y, { epochs: 10, batchSize: 32, ...order });
      const evaluation = await model.evaluate(x, y);
      results[name] = {
        epochLosses: history.epochs.map((epoch) => epoch.loss),
        batchLosses: [...history.batchLosses],
        r_squared: history.epochs.map((epoch) => epoch.metrics.r_squared),
        loss: evaluation.loss,
        predictions: [...await model.predict(x.subarray(0, 100))],
        steps: model.steps,
      };
      model.free();
    }
    return results;
  });
  for (const name of ['sgd', 'adam']) assert.equal(found[name].steps, 320);
  const worst = compareRuns(found, native);
  console.log(`  largest relative difference from ${native.adapter}: ${worst.toExponential(1)}`);
});

test("the article's net agrees with a plain f64 loop, within 1e-5", async () => {
  const [found, expected] = await run(async () => {
    const { x, y } = articleData();
    const model = await wgrad.Model.create(gpu, articleConfig());
    const [w1, b1, w2, b2] = (await model.weights()).map(({ data }) => Float64Array.from(data));
    const history = await model.fit(x, y, { epochs: 3, batchSize: 32, shuffle: false });
    model.free();
    const losses = [];
    for (let epoch = 0; epoch < 3; epoch++) {
      for (let first = 0; first < 1000; first += 32) {
        const rows = Math.min(32, 1000 - first);
        const [g1, h1, g2] = [new Float64Array(640), new Float64Array(64), new Float64Array(64)];
        let [loss, h2] = [0, 0];
        for (let r = first; r < first + rows; r++) {
          const z = Float64Array.from(b1);
          for (let i = 0; i < 10; i++) for (let u = 0; u < 64; u++) z[u] += x[r * 10 + i] * w1[i * 64 + u];
          let out = b2[0];
          for (let u = 0; u < 64; u++) out += Math.max(z[u], 0) * w2[u];
          loss += (out - y[r]) ** 2 / rows;
          const d = (2 * (out - y[r])) / rows;
          h2 += d;
          for (let u = 0; u < 64; u++) {
            if (z[u] <= 0) continue;
            g2[u] += d * z[u];
            const back = d * w2[u];
            h1[u] += back;
            for (let i = 0; i < 10; i++) g1[i * 64 + u] += back * x[r * 10 + i];
          }
        }
        losses.push(loss);
        const rate = Math.fround(0.05);
        for (let i = 0; i < 640; i++) w1[i] -= rate * g1[i];
        for (let u = 0; u < 64; u++) { b1[u] -= rate * h1[u]; w2[u] -= rate * g2[u]; }
        b2[0] -= rate * h2;
      }
    }
    return [[...history.batchLosses], losses];
  });
  assert.equal(found.length, expected.length);
  found.forEach((loss, step) => close(loss, expected[step], 1e-5, `loss of step ${step}`));
});

test('the same seed gives the same bits; fit and trainer agree', async () => {
  const runs = await run(async () => {
    const { x, y } = articleData(300);
    const results = [];
    for (const way of ['fit', 'fit', 'trainer', 'steps']) {
      const model = await wgrad.Model.create(gpu, articleConfig());
      if (way === 'fit') await model.fit(x, y, { epochs: 2, seed: 5 });
      else {
        const trainer = await model.trainer(x, y, { seed: 5 });
        if (way === 'trainer') { await trainer.epoch(); await trainer.epoch(); }
        else for (const count of [1, 7, 10, 2]) await trainer.steps(count);
        trainer.free();
      }
      results.push((await model.weights()).flatMap(({ data }) => [...new Uint32Array(data.buffer)]));
      model.free();
    }
    return results;
  });
  for (const other of runs.slice(1)) assert.deepEqual(other, runs[0]);
});

test('the whole-step kernel trains to the same, in fewer dispatches', async () => {
  const { runs, refused } = await run(async () => {
    const { x, y } = articleData();
    const runs = [];
    for (const kernels of ['general', 'whole_step', 'whole_step_in_memory']) {
      const model = await wgrad.Model.create(gpu, { ...articleConfig({ name: 'adam', learningRate: 0.01 }), kernels });
      const trainer = await model.trainer(x, y, { seed: 7 });
      await trainer.epoch();
      const before = gpu.counters().dispatches;
      const start = performance.now();
      const { loss, metrics } = await trainer.steps(9 * trainer.batches);
      const seconds = (performance.now() - start) / 1000;
      const dispatches = gpu.counters().dispatches - before;
      const evaluation = await model.evaluate(x, y);
      const predictions = [...await model.predict(x.subarray(0, 100))];
      runs.push({ loss, r_squared: metrics.r_squared, evaluation: evaluation.loss, predictions, dispatches, seconds, steps: model.steps });
      trainer.free();
      model.free();
    }
    const refused = await refusal(async () => {
      const model = await wgrad.Model.create(gpu, { ...articleConfig(), layers: [{ type: 'dense', units: 4000 }, { type: 'dense', units: 1 }], kernels: 'whole_step' });
      await model.fit(x, y, { epochs: 1 });
    });
    return { runs, refused };
  });
  const [general, ...wholeSteps] = runs;
  assert.ok(general.dispatches > 288, `${general.dispatches}`);
  assert.equal(wholeSteps.length, 2);
  for (const wholeStep of wholeSteps) {
    console.log(`  ${(288 / general.seconds).toFixed(0)} steps/s in ${general.dispatches} dispatches, wholeStep ${(288 / wholeStep.seconds).toFixed(0)} in ${wholeStep.dispatches}`);
    assert.equal(wholeStep.steps, 320);
    assert.ok(wholeStep.dispatches < 30, `${wholeStep.dispatches}`);
    close(wholeStep.loss, general.loss, 1e-4, 'loss');
    close(wholeStep.evaluation, general.evaluation, 1e-4, 'loss of all rows');
    wholeStep.predictions.forEach((value, i) => assert.ok(Math.abs(value - general.predictions[i]) < 1e-4, `prediction ${i}`));
  }
  assert.equal(refused.name, 'Argument');
  assert.match(refused.message, /kernels is whole-step; it must be auto or general here: each of \d+ invocations would hold/);
});

test('a trainer goes over the ends of epochs and counts', async () => {
  const found = await run(async () => {
    const { x, y } = articleData(100);
    const model = await wgrad.Model.create(gpu, articleConfig());
    const trainer = await model.trainer(x, y, { batchSize: 32 });
    const results = [await trainer.steps(3), await trainer.steps(3), await trainer.epoch(), await trainer.epoch(), await trainer.steps(500)];
    const answer = { batches: trainer.batches, steps: model.steps, results };
    trainer.free();
    model.free();
    return answer;
  });
  assert.equal(found.batches, 4);
  assert.equal(found.steps, 3 + 3 + 2 + 4 + 500);
  assert.deepEqual(found.results.map(({ steps }) => steps), [3, 3, 2, 4, 500]);
  assert.deepEqual(found.results.map(({ epoch }) => epoch), [1, 2, 2, 3, 128]);
  assert.equal(found.results[0].metrics.r_squared, undefined, 'part of an epoch has no R²');
  assert.ok(found.results[3].metrics.r_squared < 1);
  assert.ok(found.results[4].loss < found.results[0].loss);
});

test('onEpoch sees every epoch, validation included; false ends training', async () => {
  const { logs, history, steps } = await run(async () => {
    const { x, y } = articleData(200);
    const model = await wgrad.Model.create(gpu, articleConfig());
    const logs = [];
    const history = await model.fit(x, y, {
      epochs: 10,
      validation: { x: x.subarray(0, 500), y: y.subarray(0, 50) },
      onEpoch: (log) => { logs.push(log); return log.epoch < 3; },
    });
    const steps = model.steps;
    model.free();
    return { logs, history, steps };
  });
  assert.deepEqual(logs.map(({ epoch, epochs }) => [epoch, epochs]), [[1, 10], [2, 10], [3, 10]]);
  assert.ok(logs.every(({ loss, seconds, metrics, validation }) =>
    loss > 0 && seconds >= 0 && metrics.r_squared < 1 && validation.loss > 0 && validation.rows === 50));
  assert.equal(history.epochs.length, 3);
  assert.equal(history.stoppedEarly, true);
  assert.equal(steps, 21);
});

test('what onEpoch throws comes out of fit, and the model goes on', async () => {
  const [thrown, loss] = await run(async () => {
    const { x, y } = articleData(64);
    const model = await wgrad.Model.create(gpu, articleConfig());
    const thrown = await refusal(() => model.fit(x, y, { epochs: 2, onEpoch() { throw new RangeError('mine'); } }));
    const { loss } = await model.evaluate(x, y);
    model.free();
    return [thrown, loss];
  });
  assert.deepEqual(thrown, { name: 'RangeError', message: 'mine' });
  assert.ok(loss > 0);
});

test('R² of targets that are all alike is what the engine says it is', async () => {
  const found = await run(async () => {
    const { x } = articleData(64);
    const y = new Float32Array(64).fill(0.5);
    const model = await wgrad.Model.create(gpu, articleConfig());
    const trainer = await model.trainer(x, y, {});
    const answer = [
      (await model.evaluate(x, y)).metrics.r_squared,
      (await trainer.epoch()).metrics.r_squared,
      (await model.fit(x, y, { epochs: 1 })).epochs[0].metrics.r_squared,
    ].map(String);
    trainer.free();
    model.free();
    return answer;
  });
  assert.ok(found.every((value) => value === found[0] && value !== '-Infinity'), `${found}`);
});

test('evaluate, predict, probabilities and classes agree with arithmetic', async () => {
  const found = await run(async () => {
    const model = await wgrad.Model.create(gpu, {
      inputs: 2,
      layers: [{ type: 'dense', units: 3 }, { type: 'leaky_relu', slope: 0.1 }, { type: 'dense', units: 3 }],
      loss: 'softmax_cross_entropy',
      optimizer: { name: 'sgd', learningRate: 0.1 },
      metrics: ['accuracy'],
    });
    const weights = [[1, -1, 0.5, 2, 0.25, -0.75], [0.1, 0.2, 0.3], [1, 0, -1, 0.5, 2, 0, -1, 1, 1], [0, 0.5, -0.5]];
    await model.setWeights(weights.map((values) => Float32Array.from(values)));
    const x = Float32Array.from([0.5, -0.5, 1, 2, -1, 0.25]);
    const y = Uint32Array.from([2, 0, 1]);
    const logits = [];
    for (let r = 0; r < 3; r++) {
      const h = [0, 1, 2].map((u) => x[2 * r] * weights[0][u] + x[2 * r + 1] * weights[0][3 + u] + weights[1][u])
        .map((z) => (z > 0 ? z : 0.1 * z));
      for (let o = 0; o < 3; o++) logits.push(h.reduce((sum, value, u) => sum + value * weights[2][3 * u + o], weights[3][o]));
    }
    const answer = {
      logits,
      outputs: [...await model.predict(x)],
      probabilities: [...await model.predictProbabilities(x)],
      classes: [...await model.predictClasses(x)],
      evaluation: await model.evaluate(x, y),
      summary: model.summary(),
    };
    model.free();
    return answer;
  });
  found.outputs.forEach((value, i) => assert.ok(Math.abs(value - found.logits[i]) < 1e-6, `output ${i}`));
  let [loss, right] = [0, 0];
  for (let r = 0; r < 3; r++) {
    const row = found.logits.slice(3 * r, 3 * r + 3);
    const exps = row.map(Math.exp);
    const sum = exps[0] + exps[1] + exps[2];
    exps.forEach((e, o) => assert.ok(Math.abs(found.probabilities[3 * r + o] - e / sum) < 1e-6));
    assert.equal(found.classes[r], row.indexOf(Math.max(...row)));
    loss -= Math.log(exps[[2, 0, 1][r]] / sum) / 3;
    right += Number(found.classes[r] === [2, 0, 1][r]) / 3;
  }
  close(found.evaluation.loss, loss, 1e-6, 'loss');
  close(found.evaluation.metrics.accuracy, right, 1e-6, 'accuracy');
  assert.equal(found.evaluation.rows, 3);
  assert.match(found.summary, /dense_0 .*9\n[\s\S]*parameters: 21/);
});

test('every loss, optimizer, layer and initialiser trains', async () => {
  const results = await run(async () => {
    const results = [];
    const x = Float32Array.from({ length: 120 }, (_, i) => Math.sin(i * 1.7));
    const targets = Float32Array.from({ length: 60 }, (_, i) => Number(x[2 * i] + x[2 * i + 1] > 0));
    const labels = Uint32Array.from(targets);
    const probabilities = Float32Array.from({ length: 120 }, (_, i) => (i % 2 === labels[i >> 1] ? 0.9 : 0.1));
    const train = async (name, { layers, loss, optimizer }) => {
      const model = await wgrad.Model.create(gpu, {
        inputs: 2,
        layers: layers ?? [{ type: 'dense', units: 8 }, { type: 'tanh' }, { type: 'dense', units: loss?.startsWith('softmax') ? 2 : 1 }],
        loss: loss ?? 'mean_squared_error',
        optimizer: optimizer ?? { name: 'sgd', learningRate: 0.1 },
      });
      const y = { softmax_cross_entropy: labels, softmax_cross_entropy_probabilities: probabilities }[loss] ?? targets;
      const { epochs } = await model.fit(x, y, { epochs: 5, batchSize: 16 });
      results.push([name, epochs[0].loss, epochs[4].loss]);
      model.free();
    };
    for (const loss of ['mean_squared_error', 'mean_absolute_error', 'huber', 'softmax_cross_entropy', 'softmax_cross_entropy_probabilities', 'binary_cross_entropy']) {
      await train(loss, { loss });
    }
    for (const optimizer of [
      { name: 'momentum', learningRate: 0.05 },
      { name: 'nesterov', learningRate: 0.05, momentum: 0.8 },
      { name: 'adam', learningRate: 0.01, clipNorm: 1 },
      { name: 'adamw', learningRate: 0.01, weightDecay: 0.1 },
      { name: 'sgd', learningRate: 0.05, weightDecay: 0.01 },
    ]) await train(optimizer.name, { optimizer });
    for (const type of ['relu', 'leaky_relu', 'sigmoid', 'tanh', 'gelu', 'silu', 'softplus', 'elu', 'hard_swish', 'softmax']) {
      await train(type, { layers: [{ type: 'dense', units: 8 }, { type }, { type: 'dense', units: 1 }] });
    }
    for (const layer of [{ type: 'layer_norm' }, { type: 'layer_norm', epsilon: 1e-3 }, { type: 'dropout', rate: 0.125 }]) {
      await train(JSON.stringify(layer), { layers: [{ type: 'dense', units: 8 }, layer, { type: 'tanh' }, { type: 'dense', units: 1 }] });
    }
    for (const init of ['glorot_uniform', 'glorot_normal', 'he_uniform', 'he_normal']) {
      await train(init, { layers: [{ type: 'dense', units: 8, init }, { type: 'relu' }, { type: 'dense', units: 1, init: 'zeros' }] });
    }
    return results;
  });
  assert.equal(results.length, 28);
  for (const [name, first, last] of results) assert.ok(last < first, `${name}: ${first} → ${last}`);
});

test('weights go out and in: arrays, and a safetensors file', async () => {
  const found = await run(async () => {
    const { x } = articleData(20);
    const [a, b] = [
      await wgrad.Model.create(gpu, articleConfig()),
      await wgrad.Model.create(gpu, { ...articleConfig(), seed: 43 }),
    ];
    const before = [...await a.predict(x)];
    const weights = await a.weights();
    const other = [...await b.predict(x)];
    await b.setWeights(weights);
    const set = [...await b.predict(x)];
    const c = await wgrad.Model.create(gpu, { ...articleConfig(), seed: 44 });
    const file = await a.exportWeights();
    await c.importWeights(file);
    const imported = [...await c.predict(x)];
    // By the format's definition: eight bytes of length, a JSON header, then the values.
    const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
    const [from, to] = header['dense_2.weight'].data_offsets;
    const values = [...new Float32Array(file.slice(8 + length + from, 8 + length + to).buffer)];
    const refusals = {
      count: await refusal(() => a.setWeights([new Float32Array(3)])),
      length: await refusal(() => a.setWeights(weights.map(() => new Float32Array(3)))),
      type: await refusal(() => a.setWeights(['1'])),
      nan: await refusal(() => a.setWeights(weights.map(({ data }) => data.map(() => NaN)))),
      truncated: await refusal(() => a.importWeights(file.subarray(0, file.length - 4))),
      empty: await refusal(() => a.importWeights(new Uint8Array())),
      bytes: await refusal(() => a.importWeights([1, 2, 3])),
    };
    const d = await wgrad.Model.create(gpu, { ...articleConfig(), layers: [{ type: 'dense', units: 5 }, { type: 'relu' }, { type: 'dense', units: 1 }] });
    refusals.shape = await refusal(() => d.importWeights(file));
    const e = await wgrad.Model.create(gpu, { ...articleConfig(), layers: [{ type: 'tanh' }, { type: 'dense', units: 1 }] });
    refusals.missing = await refusal(() => e.importWeights(file));
    const after = [...await a.predict(x)];
    for (const model of [a, b, c, d, e]) model.free();
    return {
      before, other, set, imported, after, header, values, refusals,
      weights: weights.map(({ name, shape, data }) => ({ name, shape, data: [...data] })),
    };
  });
  assert.deepEqual(found.weights.map(({ name, shape }) => [name, shape]), [
    ['dense_0.weight', [10, 64]], ['dense_0.bias', [64]], ['dense_2.weight', [64, 1]], ['dense_2.bias', [1]],
  ]);
  assert.notDeepEqual(found.other, found.before);
  assert.deepEqual(found.set, found.before);
  assert.deepEqual(found.imported, found.before);
  assert.deepEqual(found.after, found.before, 'what was refused changed nothing');
  assert.deepEqual(found.header['dense_0.weight'].shape, [10, 64]);
  assert.equal(found.header['dense_0.weight'].dtype, 'F32');
  assert.deepEqual(found.values, found.weights[2].data);
  const { refusals } = found;
  assert.match(refusals.count.message, /number of parameters is 1; it must be 4/);
  assert.match(refusals.length.message, /'dense_0.weight'.* is 3; it must be 640/);
  assert.match(refusals.type.message, /weights\[0\] is '1'; it must be an array of numbers/);
  assert.match(refusals.nan.message, /'dense_0.weight'\[0\] is NaN; it must be finite/);
  assert.match(refusals.truncated.message, /whole safetensors file/);
  assert.match(refusals.empty.message, /whole safetensors file/);
  assert.match(refusals.bytes.message, /bytes is of type Array; it must be a Uint8Array/);
  assert.match(refusals.shape.message, /'dense_0.weight' in the file is F32 \[10, 64\]; it must be F32 \[10, 5\]/);
  assert.match(refusals.missing.message, /lacks 'dense_1.weight', which is missing/);
});

test('errors name the thing, the value and the rule', async () => {
  const refusals = await run(async () => {
    const { x, y } = articleData(20);
    const model = await wgrad.Model.create(gpu, articleConfig());
    const config = (change) => () => wgrad.Model.create(gpu, { ...articleConfig(), ...change });
    const nan = Float32Array.from(x);
    nan[13] = NaN;
    const cases = {
      noConfig: () => wgrad.Model.create(gpu),
      noInputs: config({ inputs: undefined }),
      zeroInputs: config({ inputs: 0 }),
      halfInputs: config({ inputs: 1.5 }),
      noLayers: config({ layers: [] }),
      layersNot: config({ layers: 'dense' }),
      zeroUnits: config({ layers: [{ type: 'dense', units: 0 }] }),
      noUnits: config({ layers: [{ type: 'dense' }] }),
      noDropoutRate: config({ layers: [{ type: 'dropout' }] }),
      dropoutRate: config({ layers: [{ type: 'dropout', rate: 1 }, { type: 'dense', units: 1 }] }),
      epsilon: config({ layers: [{ type: 'layer_norm', epsilon: 0 }] }),
      layer: config({ layers: [{ type: 'conv' }] }),
      layerField: config({ layers: [{ type: 'dense', unit: 3 }] }),
      loss: config({ loss: 'mse' }),
      optimizer: config({ optimizer: { name: 'lion', learningRate: 1 } }),
      noRate: config({ optimizer: { name: 'sgd' } }),
      rate: config({ optimizer: { name: 'sgd', learningRate: -1 } }),
      momentum: config({ optimizer: { name: 'sgd', learningRate: 1, momentum: 0.9 } }),
      metric: config({ metrics: ['accuracy'] }),
      softmax: config({ layers: [{ type: 'dense', units: 2 }, { type: 'softmax' }], loss: 'softmax_cross_entropy', metrics: [] }),
      seed: config({ seed: -1 }),
      xType: () => model.fit('numbers', y, { epochs: 1 }),
      xText: () => model.fit([...x.subarray(1), '1'], y, { epochs: 1 }),
      xRagged: () => model.fit([[1, 2], [3]], y, { epochs: 1 }),
      xHole: () => model.fit(Array(200), y, { epochs: 1 }),
      yType: () => model.fit(x, { length: 20 }, { epochs: 1 }),
      yLength: () => model.fit(x, y.subarray(1), { epochs: 1 }),
      xUneven: () => model.fit(x.subarray(1), y, { epochs: 1 }),
      empty: () => model.fit(new Float32Array(), new Float32Array(), { epochs: 1 }),
      nan: () => model.fit(nan, y, { epochs: 1 }),
      noOptions: () => model.fit(x, y),
      zeroEpochs: () => model.fit(x, y, { epochs: 0 }),
      zeroBatch: () => model.fit(x, y, { epochs: 1, batchSize: 0 }),
      option: () => model.fit(x, y, { epochs: 1, batch: 5 }),
      callback: () => model.fit(x, y, { epochs: 1, onEpoch: true }),
      validation: () => model.fit(x, y, { epochs: 1, validation: { x } }),
      predictLength: () => model.predict(x.subarray(0, 7)),
      predictNan: () => model.predict(nan),
      trainer: () => model.trainer(x, y, { batchSize: 'many' }),
      oneClass: config({ loss: 'softmax_cross_entropy', layers: [{ type: 'dense', units: 1 }], metrics: [] }),
      huge: () => wgrad.Model.create(gpu, { ...articleConfig(), layers: [{ type: 'dense', units: 4e9 }, { type: 'dense', units: 1 }] }),
    };
    const results = {};
    for (const [name, work] of Object.entries(cases)) results[name] = await refusal(work);
    const trainer = await model.trainer(x, y, {});
    results.steps = await refusal(() => trainer.steps(0));
    results.stepsNan = await refusal(() => trainer.steps(NaN));
    trainer.free();
    results.fits = await refusal(() => model.fit(x, y, { epochs: 1 }));
    model.free();
    return results;
  });
  const expected = {
    noConfig: /config.inputs is missing/,
    noInputs: /config.inputs is missing; it must be the number of features per row/,
    zeroInputs: /input width is 0; it must be from 1 to 4294967295/,
    halfInputs: /config.inputs is 1.5; it must be a whole number/,
    noLayers: /number of layers with parameters is 0; it must be at least 1/,
    layersNot: /config.layers is 'dense'; it must be an array of layers/,
    zeroUnits: /units of layer 0 \(dense\) is 0; it must be at least 1/,
    noUnits: /config.layers\[0\].units is missing/,
    noDropoutRate: /config.layers\[0\].rate is missing; it must be the share that is dropped/,
    dropoutRate: /rate of layer 0 \(dropout\) is 1; it must be at least 0 and below 1/,
    epsilon: /epsilon of layer 0 \(layer_norm\) is 0/,
    layer: /config.layers\[0\].type is 'conv'; it must be one of 'dense', 'dropout', 'layer_norm', 'softmax', 'relu'/,
    layerField: /config.layers\[0\].units is missing/,
    loss: /config.loss is 'mse'; it must be one of 'mean_squared_error'/,
    optimizer: /config.optimizer.name is 'lion'; it must be one of 'sgd'/,
    noRate: /config.optimizer.learningRate is missing/,
    rate: /learning rate is -1; it must be positive and finite/,
    momentum: /a field of config.optimizer is 'momentum'; it must be one of name, learningRate/,
    metric: /metric is accuracy with loss mean_squared_error/,
    softmax: /softmax_cross_entropy: takes logits; leave the softmax layer out/,
    seed: /config.seed is -1/,
    xType: /x is 'numbers'; it must be an array of numbers, such as a Float32Array/,
    xText: /x\[199\] is '1'; it must be a number/,
    xRagged: /the length of x\[1\] is 1; it must be 2, as that of the first row/,
    xHole: /x\[0\] is undefined; it must be a number/,
    yType: /y is of type Object; it must be an array of numbers/,
    yLength: /19/,
    xUneven: /199/,
    empty: /empty|no rows/i,
    nan: /row 1, column 3 of the features is NaN/,
    noOptions: /options.epochs is missing/,
    zeroEpochs: /epochs is 0; it must be at least 1/,
    zeroBatch: /batch size is 0; it must be at least 1/,
    option: /a field of options is 'batch'; it must be one of epochs, batchSize/,
    callback: /options.onEpoch is true; it must be a function/,
    validation: /options.validation.y is missing/,
    predictLength: /number of features is 7; it must be a positive multiple of the 10/,
    predictNan: /feature 3 of row 1 is NaN; it must be finite/,
    trainer: /options.batchSize is 'many'; it must be a whole number/,
    oneClass: /softmax_cross_entropy/,
    huge: /./,
    steps: /count is 0; it must be at least 1/,
    stepsNan: /count is NaN; it must be a whole number/,
  };
  assert.equal(refusals.fits, null, 'after all of these the model still trains');
  const wrong = Object.entries(expected).filter(([name, pattern]) =>
    !pattern.test(refusals[name]?.message) || refusals[name].name === 'string');
  assert.deepEqual(wrong.map(([name]) => [name, refusals[name]]), []);
});

test('a loss that explodes stops training with finite weights', async () => {
  const found = await run(async () => {
    const { x, y } = articleData(100);
    const model = await wgrad.Model.create(gpu, articleConfig({ name: 'sgd', learningRate: 1e6 }));
    const refused = await refusal(() => model.fit(x, y, { epochs: 5 }));
    const finite = (await model.weights()).every(({ data }) => data.every(Number.isFinite));
    const trainer = await model.trainer(x, y, {});
    const again = await refusal(() => trainer.steps(100));
    const finiteAgain = (await model.weights()).every(({ data }) => data.every(Number.isFinite));
    trainer.free();
    model.free();
    return { refused, finite, again, finiteAgain };
  });
  for (const refused of [found.refused, found.again]) {
    assert.equal(refused.name, 'NotFinite');
    assert.match(refused.message, /at step \d+( \(epoch \d+\))?; .*Use a lower learning rate/);
  }
  assert.ok(found.finite && found.finiteAgain);
});

test('two calls at once: the second is refused, the first goes on', async () => {
  const found = await run(async () => {
    const { x, y } = articleData(100);
    const model = await wgrad.Model.create(gpu, articleConfig());
    const trainer = await model.trainer(x, y, {});
    const first = model.fit(x, y, { epochs: 3 });
    const refusals = [
      await refusal(() => model.save()),
      await refusal(() => model.evaluate(x, y)),
      await refusal(() => model.weights()),
      await refusal(() => model.setWeights([])),
      await refusal(() => model.importWeights(new Uint8Array())),
      await refusal(() => trainer.steps(1)),
      await refusal(() => model.fit(x, y, { epochs: 1 })),
    ];
    const summary = model.summary();
    // Prediction shares the weights, and waits for nobody.
    const outputs = (await model.predict(x)).length;
    const history = await first;
    const settled = await Promise.allSettled([trainer.steps(2), trainer.steps(2), model.predict(x)]);
    const later = await refusal(() => model.predict(x));
    trainer.free();
    model.free();
    return { refusals, outputs, summary, epochs: history.epochs.length, settled: settled.map(({ status }) => status), later };
  });
  for (const refused of found.refusals) {
    assert.equal(refused.name, 'Busy');
    assert.match(refused.message, /the model is busy with fit\(\); wait for its promise before calling/);
  }
  assert.equal(found.epochs, 3);
  assert.deepEqual(found.settled, ['fulfilled', 'rejected', 'fulfilled']);
  assert.equal(found.outputs, 100);
  assert.equal(found.later, null);
});

test('after free(), calls are refused and nothing crashes', async () => {
  const found = await run(async () => {
    const { x, y } = articleData(100);
    const model = await wgrad.Model.create(gpu, articleConfig());
    const running = model.fit(x, y, { epochs: 3 });
    model.free();
    const history = await running;
    const refused = await refusal(() => model.predict(x));
    const next = await wgrad.Model.create(gpu, articleConfig());
    const trainer = await next.trainer(x, y, {});
    next.free();
    const { steps } = await trainer.steps(10);
    trainer.free();
    return { epochs: history.epochs.length, refused, steps };
  });
  assert.equal(found.epochs, 3);
  assert.equal(found.refused?.name, 'Argument');
  assert.equal(found.steps, 10);
});

/**
 * Calls every method and reads every getter of `object`, which is not to be used; in the page. Says of each how
 * it ended: it must be an Error, from a promise unless the call answers at once.
 */
const MISUSE = `async (Class, object) => {
  const sync = ['free', 'counters', 'destroy', 'summary'];
  const ends = [];
  for (const [key, { get, value }] of Object.entries(Object.getOwnPropertyDescriptors(Class.prototype))) {
    if (key === 'constructor' || key.startsWith('__')) continue;
    let [way, error] = ['threw', null];
    try {
      const answer = get ? get.call(object) : value.call(object);
      way = answer instanceof Promise ? 'rejected' : 'answered';
      await answer;
    } catch (reason) { error = reason; }
    ends.push({ key, way, wanted: get || sync.includes(key) ? 'threw' : 'rejected', name: error?.name, message: error?.message });
  }
  return ends;
}`;

test('whatever is called on what was freed, or made by new, or by way of another object, is an Error that says what to do', async () => {
  const found = await page.evaluate(async (text) => {
    const misuse = (0, eval)(text);
    const { x, y } = articleData(64);
    const one = await wgrad.Gpu.create();
    const model = await wgrad.Model.create(one, articleConfig());
    const trainer = await model.trainer(x, y, {});
    const predictor = await wgrad.Predictor.load(one, await model.save());
    const objects = { Gpu: one, Model: model, Predictor: predictor, Trainer: trainer };
    for (const object of Object.values(objects)) object.free();
    const answer = {};
    for (const [name, object] of Object.entries(objects)) {
      const Class = wgrad[name];
      answer[name] = {
        freed: await misuse(Class, object),
        foreign: [...await misuse(Class, undefined), ...await misuse(Class, {}), ...await misuse(Class, Object.create(Class.prototype))],
        made: await refusal(() => new Class()),
        named: Class.name,
      };
    }
    answer.arguments = [];
    for (const value of [undefined, null, 3, {}, model, one]) {
      const promise = wgrad.Model.create(value, articleConfig());
      answer.arguments.push(await refusal(() => promise));
    }
    answer.shown = await refusal(() => wgrad.Model.create(gpu, { ...articleConfig(), layers: gpu }));
    answer.alive = await refusal(async () => {
      const next = await wgrad.Model.create(gpu, articleConfig());
      await next.fit(x, y, { epochs: 1 });
      next.free();
      next[Symbol.dispose]?.();
    });
    return answer;
  }, MISUSE);
  for (const [name, made] of [['Gpu', 'await Gpu.create()'], ['Model', 'await Model.create(gpu, config)'], ['Predictor', 'await Predictor.load(gpu, file)'], ['Trainer', 'await model.trainer(x, y, options)']]) {
    const { freed, foreign, made: constructed, named } = found[name];
    assert.equal(named, name);
    assert.ok(freed.length >= 3 && freed.some(({ key }) => key === 'free'), `${freed.map(({ key }) => key)}`);
    for (const { key, way, wanted, name: kind, message } of [...freed, ...foreign]) {
      assert.equal(way, wanted, `${name}.${key}: ${message}`);
      assert.equal(kind, 'Argument', `${name}.${key}: ${message}`);
      assert.ok(message.includes(name) && message.includes(made), `${name}.${key}: ${message}`);
    }
    assert.equal(constructed?.name, 'Argument');
    assert.equal(constructed.message, `new ${name}() makes nothing; write ${made}`);
  }
  for (const refused of found.arguments) {
    assert.equal(refused?.name, 'Argument');
    assert.match(refused.message, /^gpu is .*await Gpu\.create\(\)$/);
  }
  assert.match(found.shown.message, /config.layers is of type Gpu; it must be an array/);
  assert.equal(found.alive, null);
});

test('calls before init() are refused with what to do', async () => {
  const bare = await browser.newPage();
  await bare.goto(`${server.url}/tests/lib/bare.html`);
  const refused = await bare.evaluate(async () => {
    const { Gpu, Model, Predictor } = await import('/pkg/wgrad.js');
    const ends = [];
    for (const promise of [Gpu.create(), Model.create(), Model.load(), Predictor.load()]) {
      ends.push(await promise.catch(({ name, message }) => ({ name, message })));
    }
    return ends;
  });
  await bare.close();
  for (const { name, message } of refused) {
    assert.equal(name, 'Argument');
    assert.match(message, /(create|load)\(\) comes before init\(\); write await init\(\) first/);
  }
});

test('more numbers than the memory holds are refused, and the model goes on', async () => {
  const fresh = await openPage();
  const found = await fresh.evaluate(async () => {
    const { x, y } = articleData(64);
    const model = await wgrad.Model.create(gpu, articleConfig());
    // 10⁹ outputs of a thousand rows: more than the memory of WebAssembly, not more than the page's.
    const wide = await wgrad.Model.create(gpu, { ...articleConfig(), inputs: 1, layers: [{ type: 'dense', units: 10_000 }], metrics: [] });
    const many = new Float32Array(1e9);
    const answer = {
      features: await refusal(() => model.predict(many)),
      classes: await refusal(() => model.predictClasses(many)),
      rows: await refusal(() => model.fit(many, y, { epochs: 1 })),
      targets: await refusal(() => model.evaluate(x, many)),
      trainer: await refusal(() => model.trainer(many, many, {})),
      weights: await refusal(() => model.setWeights([many])),
      file: await refusal(() => model.importWeights(new Uint8Array(many.buffer))),
      outputs: await refusal(() => wide.predict(new Float32Array(100_000))),
    };
    answer.after = await refusal(() => model.fit(x, y, { epochs: 1 }));
    return answer;
  });
  await fresh.close();
  const { after, outputs, file, ...lengths } = found;
  assert.equal(file.name, 'ModelFile', 'the page itself looks at the head of a file first');
  for (const [what, refused] of Object.entries(lengths)) {
    assert.equal(refused?.name, 'Argument', `${what}: ${refused?.message}`);
    assert.match(refused.message, /the length of .* is \d+; it must be no more than WebAssembly's memory holds/, what);
  }
  assert.match(outputs.message, /number of outputs is 100000 rows of 10000; it must be what the memory holds/);
  assert.equal(after, null, 'the module is whole');
});

test('when the module fails, calls under way and all later ones are rejected', async () => {
  const fresh = await openPage();
  const found = await fresh.evaluate(async () => {
    const { x, y } = articleData(1000);
    const model = await wgrad.Model.create(gpu, articleConfig());
    const running = refusal(() => model.fit(x, y, { epochs: 100_000 }));
    // No memory for what an import hands over: a trap, and nobody's but the module's.
    try { wasm.__wbindgen_malloc(2 ** 32 - 1, 2 ** 20); } catch {}
    const answer = {
      running: await running,
      later: await refusal(() => model.predict(x)),
      created: await refusal(() => wgrad.Gpu.create()),
      read: await refusal(() => model.steps),
    };
    model.free();
    return answer;
  });
  await fresh.close();
  for (const [what, refused] of Object.entries(found)) {
    assert.equal(refused?.name, 'Bug', what);
    assert.match(refused.message, /wgrad has failed, and answers no more: .*; reload the page/, what);
  }
});

test('100 models created, trained and freed leave nothing behind', async () => {
  const fresh = await openPage();
  const found = await fresh.evaluate(async () => {
    const { x, y } = articleData(64);
    const cycle = async () => {
      const model = await wgrad.Model.create(gpu, articleConfig({ name: 'adam', learningRate: 0.01 }));
      const trainer = await model.trainer(x, y, {});
      await trainer.steps(3);
      await model.fit(x, y, { epochs: 1, validation: { x, y } });
      await model.evaluate(x, y);
      await model.predict(x);
      await model.weights();
      trainer.free();
      model.free();
    };
    await cycle();
    const before = { ...deviceMemory(), wasm: wasm.memory.buffer.byteLength };
    const during = [];
    for (let i = 0; i < 100; i++) {
      await cycle();
      if (i % 20 === 19) during.push(deviceMemory());
    }
    const after = { ...deviceMemory(), wasm: wasm.memory.buffer.byteLength };
    // Freed in the middle of an epoch.
    for (let i = 0; i < 10; i++) {
      const model = await wgrad.Model.create(gpu, articleConfig());
      const trainer = await model.trainer(x, y, {});
      const running = trainer.steps(50);
      trainer.free();
      model.free();
      await running;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    const midEpoch = deviceMemory();
    // A model refused because its data is wrong, too.
    for (let i = 0; i < 10; i++) {
      const model = await wgrad.Model.create(gpu, articleConfig());
      await refusal(() => model.fit(x, y, { epochs: 1, batchSize: 0 }));
      await refusal(() => model.fit(x, y.map(() => NaN), { epochs: 1 }));
      model.free();
    }
    return { before, during, after, midEpoch, refused: deviceMemory() };
  });
  await fresh.close();
  console.log(`  device memory before ${JSON.stringify(found.before)}, after ${JSON.stringify(found.after)}`);
  assert.deepEqual(found.after, found.before);
  for (const memory of [found.before, ...found.during, found.midEpoch, found.refused]) {
    assert.equal(memory.buffers, 0);
    assert.equal(memory.bytes, 0);
  }
});

test('models dropped without free() give their memory back when they are collected', async () => {
  const collecting = await launch({ args: ['--js-flags=--expose-gc'] });
  try {
    const fresh = await openPage(collecting);
    const found = await fresh.evaluate(async () => {
      const { x, y } = articleData(64);
      const cycle = async () => {
        const model = await wgrad.Model.create(gpu, articleConfig({ name: 'adam', learningRate: 0.01 }));
        const trainer = await model.trainer(x, y, {});
        await trainer.steps(3);
        await model.predict(x);
      };
      await cycle();
      const held = deviceMemory();
      for (let i = 1; i < 100; i++) await cycle();
      for (let i = 0; i < 100 && deviceMemory().buffers > 0; i++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return { held, after: deviceMemory() };
    });
    assert.ok(found.held.bytes > 0, 'a model holds memory');
    assert.deepEqual(found.after, { buffers: 0, bytes: 0 });
  } finally {
    await collecting.close();
  }
});

test('the page stays responsive while it trains: no task over 100 ms', async () => {
  const fresh = await openPage();
  const measure = () => fresh.evaluate(async () => {
    const tasks = [];
    const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)));
    observer.observe({ type: 'longtask' });
    const { x, y } = articleData(1000);
    const small = await wgrad.Model.create(gpu, articleConfig());
    await small.fit(x, y, { epochs: 50, onEpoch() {} });
    const trainer = await small.trainer(x, y, {});
    await trainer.steps(1000);
    trainer.free();
    small.free();
    const digits = await wgrad.Model.create(gpu, {
      inputs: 64,
      layers: [{ type: 'dense', units: 64 }, { type: 'relu' }, { type: 'dense', units: 10 }],
      loss: 'softmax_cross_entropy',
      optimizer: { name: 'adam', learningRate: 1e-3 },
      metrics: ['accuracy'],
    });
    const images = Float32Array.from({ length: 1797 * 64 }, (_, i) => (i * 7919 % 17) / 16);
    const labels = Uint32Array.from({ length: 1797 }, (_, i) => i % 10);
    await digits.fit(images, labels, { epochs: 3, validation: { x: images, y: labels } });
    digits.free();
    await new Promise((resolve) => setTimeout(resolve, 100));
    observer.disconnect();
    return tasks;
  });
  const seen = await fresh.evaluate(async () => {
    const blocked = new Promise((resolve) => {
      new PerformanceObserver((list) => resolve(list.getEntries()[0].duration)).observe({ type: 'longtask' });
    });
    await new Promise((resolve) => setTimeout(resolve));
    for (const start = performance.now(); performance.now() - start < 150;);
    return Promise.race([blocked, new Promise((resolve) => setTimeout(resolve, 5000))]);
  });
  assert.ok(seen >= 150, 'a task that blocks is seen');
  let tasks = await measure();
  // On a machine that does something else, too, a task may be interrupted.
  for (let again = 0; again < 3 && tasks.some((duration) => duration > 100); again++) tasks = await measure();
  await fresh.close();
  console.log(`  tasks over 50 ms: ${tasks.length}, longest ${Math.max(0, ...tasks)} ms`);
  assert.ok(tasks.every((duration) => duration <= 100), `${tasks}`);
});

test('gpu.destroy(): everything is refused with DeviceLost, and a new device goes on from the weights', async () => {
  const found = await run(async () => {
    const { x, y } = articleData(1000);
    const other = await wgrad.Gpu.create();
    const model = await wgrad.Model.create(other, articleConfig());
    await model.fit(x, y, { epochs: 2 });
    const weights = await model.weights();
    const { loss } = await model.evaluate(x, y);
    const trainer = await model.trainer(x, y, {});
    const lostBefore = other.isLost;
    const running = model.fit(x, y, { epochs: 1000 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    other.destroy();
    const refusals = [
      await refusal(() => running),
      await refusal(() => model.predict(x)),
      await refusal(() => model.weights()),
      await refusal(() => trainer.steps(1)),
      await refusal(() => wgrad.Model.create(other, articleConfig())),
      await refusal(() => model.setWeights(weights.map(({ data }) => data))),
    ];
    const answer = { lostBefore, lost: other.isLost, refusals, loss };
    trainer.free();
    model.free();
    other.free();
    const next = await wgrad.Gpu.create();
    const revived = await wgrad.Model.create(next, articleConfig());
    await revived.setWeights(weights.map(({ data }) => data));
    answer.revivedLoss = (await revived.evaluate(x, y)).loss;
    const { epochs } = await revived.fit(x, y, { epochs: 2 });
    answer.laterLoss = epochs[1].loss;
    revived.free();
    next.destroy();
    next.free();
    return answer;
  });
  assert.equal(found.lostBefore, false);
  assert.equal(found.lost, true);
  for (const refused of found.refusals) {
    assert.equal(refused?.name, 'DeviceLost');
    assert.match(refused.message, /the device was lost during .*; make a new one and load the last saved weights/);
  }
  assert.equal(found.revivedLoss, found.loss);
  assert.ok(found.laterLoss < found.loss);
});

test('a device lost behind our back (a driver reset) is noticed', async () => {
  const found = await run(async () => {
    const { x, y } = articleData(1000);
    const other = await wgrad.Gpu.create();
    const model = await wgrad.Model.create(other, articleConfig());
    const running = model.fit(x, y, { epochs: 1000 });
    setTimeout(() => lastDevice.destroy(), 30);
    const first = await refusal(() => running);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const answer = { first, later: await refusal(() => model.predict(x)), lost: other.isLost };
    model.free();
    other.free();
    return answer;
  });
  assert.equal(found.first.name, 'DeviceLost');
  assert.equal(found.later.name, 'DeviceLost');
  assert.equal(found.lost, true);
});

test('without WebGPU, Gpu.create() says what to do', async () => {
  const context = await browser.newContext();
  const bare = await context.newPage();
  await bare.addInitScript(() => {
    Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined });
  });
  await bare.goto(`${server.url}/tests/lib/bare.html`);
  const refused = await bare.evaluate(async () => {
    const wgrad = await import('/pkg/wgrad.js');
    await wgrad.default();
    try { await wgrad.Gpu.create(); } catch (error) { return { name: error.name, message: error.message }; }
    return null;
  });
  await bare.addInitScript(() => {
    Object.defineProperty(Navigator.prototype, 'gpu', { get: () => ({ requestAdapter: async () => null }) });
  });
  await bare.reload();
  const noAdapter = await bare.evaluate(async () => {
    const wgrad = await import('/pkg/wgrad.js');
    await wgrad.default();
    try { await wgrad.Gpu.create(); } catch (error) { return { name: error.name, message: error.message }; }
    return null;
  });
  await context.close();
  for (const error of [refused, noAdapter]) {
    assert.equal(error?.name, 'NoAdapter');
    assert.match(error.message, /no WebGPU adapter .*Use a browser with WebGPU/);
  }
});
