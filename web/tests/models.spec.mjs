// Models that last, and what of the engine goes through to a page: options, arrays, devices, buffers.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { define } from './lib/kept.mjs';
import { serve } from './lib/server.mjs';

let server;
let browser;
let page;

before(async () => {
  server = await serve();
  browser = await launch();
  page = await browser.newPage();
  page.on('pageerror', (error) => console.error('page:', error.message));
  await page.goto(`${server.url}/tests/lib/page.html`);
  await page.waitForFunction(() => globalThis.ready === true);
  await page.evaluate(async () => { globalThis.gpu = await wgrad.Gpu.create(); });
  await page.evaluate(define);
});

after(async () => {
  await browser?.close();
  await server?.close();
});

const run = (body, argument) => page.evaluate(body, argument);
const kept = async (name) => readFile(new URL(name, import.meta.url));

/** Fails unless figures are those that were kept, up to what GPUs round differently. */
function close(found, wanted, what) {
  assert.equal(found.length, wanted.length, what);
  found.forEach((value, i) => {
    const off = Math.abs(value - wanted[i]) / Math.max(Math.abs(wanted[i]), 0.1);
    assert.ok(off <= 1e-4, `${what}[${i}]: ${value}, not ${wanted[i]}`);
  });
}

test('a model of mixed precision predicts, and is not trained in 32 bits by the way', async () => {
  const bytes = [...await kept('mixed.wgrad')];
  const found = await run(async (bytes) => {
    const predictor = await wgrad.Predictor.load(gpu, Uint8Array.from(bytes));
    const rows = Float32Array.from({ length: 8 }, (_, i) => i / 4 - 1);
    const predictions = [...await predictor.predict(rows)];
    predictor.free();
    const refused = await wgrad.Model.load(gpu, Uint8Array.from(bytes)).catch((error) => `${error.name}: ${error.message}`);
    return { predictions, refused };
  }, bytes);
  // As `tests/training_mixed.rs` prints them.
  close(found.predictions, [-0.024910152, 0.45702547, 0.05916433, 0.2974776, -0.16659375, 0.38040096, -0.30651188, 0.22625601], 'predictions');
  assert.match(found.refused, /^ModelFile: .*mixed precision, and a page trains in 32 bits: predict with it/);
});

test('a model saved natively is read, saved again as the same bytes, and trains on as natively', async () => {
  const figures = JSON.parse(await kept('kept.json'));
  for (const name of ['native', 'browser']) {
    const bytes = [...await kept(`${name}.wgrad`)];
    const found = await run(async (bytes) => {
      const model = await wgrad.Model.load(gpu, Uint8Array.from(bytes));
      const again = [...await model.save()];
      const predictor = await wgrad.Predictor.load(gpu, Uint8Array.from(bytes).buffer);
      const alone = [...await predictor.predict(keptRows().x)];
      const answer = { again, alone, steps: model.steps, ...await keptFigures(model) };
      model.free();
      predictor.free();
      return answer;
    }, bytes);
    assert.deepEqual(found.again, bytes, 'the same model is the same file');
    assert.equal(found.steps, 8);
    assert.deepEqual(found.alone, found.predictions);
    close(found.predictions, figures[name].predictions, `${name} predictions`);
    close(found.losses, figures[name].losses, `${name} losses`);
  }
});

/** A model's file with a changed description, and the checksum of it (docs/files.md). */
function resealed(file, change) {
  const length = Number(file.readBigUInt64LE(0));
  const head = JSON.parse(file.subarray(8, 8 + length).toString());
  const body = file.subarray(8 + length);
  const { __metadata__: metadata, ...tensors } = head;
  const header = change(/"model":(.*)\}$/.exec(metadata.wgrad)[1]);
  let sum = 0xcbf29ce484222325n;
  const count = (word) => { sum = BigInt.asUintN(64, (sum ^ BigInt(word)) * 0x100000001b3n); };
  const bytes = (all) => { count(all.length); all.forEach(count); };
  bytes(Buffer.from(header));
  count(Object.keys(tensors).length);
  for (const [name, { shape, data_offsets: [from, to] }] of Object.entries(tensors).sort(([a], [b]) => (a < b ? -1 : 1))) {
    bytes(Buffer.from(name));
    for (const extent of [...shape, shape.length]) count(extent);
    bytes(Buffer.from('F32'));
    bytes(body.subarray(from, to));
  }
  metadata.wgrad = `{"checksum":"${sum.toString(16).padStart(16, '0')}","model":${header}}`;
  const text = JSON.stringify(head);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const lead = Buffer.alloc(8);
  lead.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([lead, padded, body]);
}

test('steps that a frozen layer missed are read, counted and saved again', async () => {
  const file = await kept('native.wgrad');
  assert.deepEqual(resealed(file, (header) => header), file);
  const missing = (counts) => [...resealed(file, (header) => header.replace('"step":8,', `"step":8,"missed":[${counts}],`))];
  const [bytes, many] = [missing([5, 5, 0, 0, 0, 0]), missing([9, 9, 0, 0, 0, 0])];
  const found = await run(async ([bytes, plain, many]) => {
    const losses = async (bytes) => {
      const model = await wgrad.Model.load(gpu, Uint8Array.from(bytes));
      const again = [...await model.save()];
      const figures = await keptFigures(model);
      model.free();
      return [again, figures.losses];
    };
    const [[again, late], [, before]] = [await losses(bytes), await losses(plain)];
    return { again, late, before, refused: await refusal(() => wgrad.Model.load(gpu, Uint8Array.from(many))) };
  }, [bytes, [...file], many]);
  assert.deepEqual(found.again, bytes, 'the same bytes');
  assert.notDeepEqual(found.late, found.before, 'Adam corrects by the steps that were trained');
  assert.match(found.refused.message, /missed steps of a parameter is 9; it must be at most 8/);
});

test('a saved model goes on to the bits of one that was never saved, in the middle of an epoch too', async () => {
  const found = await run(async () => {
    const { x, y } = keptRows();
    const bits = async (model) => (await model.weights()).flatMap(({ data }) => [...new Uint32Array(data.buffer)]);
    const model = await keptModel();
    const part = { epochs: 5, batchSize: 8, seed: 4 };
    await model.fit(x, y, { ...part, onBatchEnd: ({ step }) => step < 10 });
    const file = await model.save();
    const other = await wgrad.Model.load(gpu, file);
    await model.fit(x, y, part);
    await other.fit(x, y, part);
    const answer = [await bits(model), await bits(other), model.steps, other.steps];
    model.free();
    other.free();
    return answer;
  });
  assert.deepEqual(found[1], found[0]);
  assert.equal(found[3], found[2]);
});

test('every optimizer, loss, layer and schedule comes back as it was', async () => {
  const wrong = await run(async () => {
    const wrong = [];
    const optimizers = [
      { name: 'sgd', learningRate: 0.1, weightDecay: 1e-6 }, { name: 'momentum', learningRate: 1e-7, momentum: 0 },
      { name: 'nesterov', learningRate: 3, weightDecay: 0.1 }, { name: 'adam', learningRate: 1e-3, beta1: 0.85, l1: 1e-5 },
      { name: 'adamw', learningRate: 1.5e-4, epsilon: 1e-6 }, { name: 'rmsprop', learningRate: 1e20, alpha: 0.9 },
      { name: 'adagrad', learningRate: 0.0123, schedule: { name: 'step', every: 10, factor: 0.3 } },
      { name: 'sgd', learningRate: 1, clipNorm: 1e6, schedule: { name: 'constant', warmUp: 5 } },
      { name: 'sgd', learningRate: 1, schedule: { name: 'cosine', steps: 7 } },
    ];
    const losses = [
      'mean_squared_error', 'mean_absolute_error', { name: 'huber', delta: 1.25 }, 'softmax_cross_entropy', 'binary_cross_entropy',
      'softmax_cross_entropy_probabilities',
    ];
    for (const [i, optimizer] of optimizers.entries()) {
      const loss = losses[i % losses.length];
      const model = await wgrad.Model.create(gpu, {
        inputs: 3,
        layers: [
          { type: 'dense', units: 5, init: 'he_normal' }, { type: ['relu', 'leaky_relu', 'elu', 'gelu'][i % 4] },
          { type: 'dropout', rate: 0.1 }, { type: 'layer_norm', epsilon: 1e-5 }, { type: 'dense', units: 2 },
        ],
        loss,
        optimizer,
        metrics: /cross/.test(loss) ? ['accuracy'] : ['r_squared', 'mean_absolute_error'],
        seed: Number.MAX_SAFE_INTEGER - i,
        kernels: i === 0 ? 'general' : 'auto',
        ...(loss === 'softmax_cross_entropy' && { classWeights: [0.5, 2] }),
      });
      const file = await model.save();
      const other = await wgrad.Model.load(gpu, file);
      const again = await other.save();
      if (again.length !== file.length || again.some((byte, at) => byte !== file[at])) wrong.push(optimizer.name);
      if (other.summary() !== model.summary()) wrong.push(`${optimizer.name}: layers`);
      model.free();
      other.free();
    }
    return wrong;
  });
  assert.deepEqual(wrong, []);
});

test('bytes that are no model are refused, each with what is wrong', async () => {
  const bytes = [...await kept('native.wgrad')];
  const found = await run(async (bytes) => {
    const file = Uint8Array.from(bytes);
    const changed = (at, value) => Uint8Array.from(file, (byte, i) => (i === at ? value : byte));
    const patched = (before, after) => {
      const text = String.fromCharCode(...file);
      return Uint8Array.from(text.replace(before, after), (c) => c.charCodeAt(0));
    };
    const model = await keptModel();
    const of = (bytes) => refusal(() => wgrad.Model.load(gpu, bytes));
    const answer = {
      empty: await of(new Uint8Array()),
      cut: await of(file.subarray(0, file.length - 3)),
      head: await of(file.subarray(0, 100)),
      number: await of(changed(file.length - 1, file.at(-1) ^ 1)),
      text: await of(patched('"seed\\":3', '"seed\\":4')),
      version: await of(patched('version\\":1', 'version\\":2')),
      weights: await of(await model.exportWeights()),
      kind: await of('file'),
      noise: await of(Uint8Array.from({ length: 64 }, (_, i) => i * 37)),
      gpu: await refusal(() => wgrad.Model.load({}, file)),
      predictor: await refusal(() => wgrad.Predictor.load(gpu, file.subarray(8))),
    };
    answer.any = 0;
    // Whichever byte was changed, it is found.
    for (let at = 0; at < file.length; at += 41) {
      if ((await refusal(() => wgrad.Predictor.load(gpu, changed(at, file[at] ^ 4)))) === null) answer.any += 1;
    }
    model.free();
    return answer;
  }, bytes);
  const { any, kind, gpu, ...files } = found;
  assert.equal(any, 0);
  assert.match(kind.message, /bytes is 'file'; it must be a Uint8Array or an ArrayBuffer/);
  assert.match(gpu.message, /^gpu is .*await Gpu\.create\(\)$/);
  for (const [name, error] of Object.entries(files)) assert.equal(error?.name, 'ModelFile', `${name}: ${error?.message}`);
  assert.match(files.number.message, /its checksum is [0-9a-f]{16}, it was saved with [0-9a-f]{16}; take another copy/);
  assert.match(files.text.message, /checksum/);
  assert.match(files.version.message, /is of form 2, written by wgrad .*; this one reads form 1/);
  assert.match(files.weights.message, /holds tensors and no model of wgrad/);
});

test('arrays of any kind are the same rows', async () => {
  const runs = await run(async () => {
    const x = [[0, 1], [1, 0], [3, 250], [7, 2]];
    const y = [0, 1, 1, 2];
    const flat = x.flat();
    const runs = [];
    for (const [features, classes] of [
      [Float32Array.from(flat), Uint32Array.from(y)], [x, y], [flat, Uint8Array.from(y)], [Uint8Array.from(flat), Int32Array.from(y)],
      [x.map((row) => Float64Array.from(row)), Float64Array.from(y)], [Int16Array.from(flat), new Uint8ClampedArray(y)],
    ]) {
      const model = await wgrad.Model.create(gpu, {
        inputs: 2, layers: [{ type: 'dense', units: 3 }], loss: 'softmax_cross_entropy', optimizer: { name: 'sgd', learningRate: 1e-4 },
      });
      const { batchLosses } = await model.fit(features, classes, { epochs: 2, batchSize: 2 });
      runs.push([...batchLosses, ...await model.predict(features)]);
      model.free();
    }
    const model = await wgrad.Model.create(gpu, {
      inputs: 2, layers: [{ type: 'dense', units: 3 }], loss: 'softmax_cross_entropy', optimizer: { name: 'sgd', learningRate: 1e-4 },
    });
    const refused = [];
    for (const bad of [[0.5, 1, 1, 2], Int8Array.of(-1, 1, 1, 2), [0, 1, 1, 3], [0, 1, 1, 2n]]) {
      refused.push((await refusal(() => model.fit(x, bad, { epochs: 1 })))?.message);
    }
    model.free();
    return { runs, refused };
  });
  for (const other of runs.runs.slice(1)) assert.deepEqual(other, runs.runs[0]);
  assert.match(runs.refused[0], /y\[0\] is 0.5; it must be a class: a whole number, 0 or more/);
  assert.match(runs.refused[1], /y\[0\] is -1; it must be a class/);
  assert.match(runs.refused[2], /3/);
  assert.match(runs.refused[3], /y\[3\] is 2; it must be a number/);
});

test('fit awaits what onEpoch and onBatchEnd return; onEpoch may predict', async () => {
  const found = await run(async () => {
    const { x, y } = keptRows();
    const events = [];
    const pause = () => new Promise((done) => { setTimeout(done, 1); });
    const model = await keptModel();
    const history = await model.fit(x, y, {
      epochs: 9,
      batchSize: 15,
      validationSplit: 0.5,
      onBatchEnd: async ({ epoch, batch, batches, step, epochLoss, metrics }) => {
        await pause();
        events.push(['batch', epoch, batch, batches, step, epochLoss > 0 && metrics.mean_absolute_error > 0]);
      },
      onEpoch: async ({ epoch, validation }) => {
        const { length } = await model.predict(x);
        await pause();
        events.push(['epoch', epoch, length, validation.rows]);
        return epoch < 2;
      },
    });
    const thrown = await refusal(() => model.fit(x, y, { epochs: 2, onEpoch: async () => { throw new RangeError('late'); } }));
    const loss = await refusal(() => model.evaluate(x, y));
    model.free();
    return { events, thrown, loss, epochs: history.epochs.length, stopped: history.stoppedEarly };
  });
  assert.deepEqual(found.events, [
    ['batch', 1, 1, 1, 9, true], ['epoch', 1, 30, 15], ['batch', 2, 1, 1, 10, true], ['epoch', 2, 30, 15],
  ]);
  assert.deepEqual(found.thrown, { name: 'RangeError', message: 'late' });
  assert.equal(found.loss, null, 'the model goes on');
  assert.deepEqual([found.epochs, found.stopped], [2, true]);
});

test('an AbortSignal ends training with its reason, and the model goes on', async () => {
  const found = await run(async () => {
    const { x, y } = keptRows();
    const model = await keptModel();
    const before = model.steps;
    const early = await refusal(() => model.fit(x, y, { epochs: 1, signal: AbortSignal.abort() }));
    const unmoved = model.steps === before;
    const controller = new AbortController();
    const training = model.fit(x, y, { epochs: 1e6, signal: controller.signal });
    setTimeout(() => controller.abort(new RangeError('enough')), 30);
    const late = await refusal(() => training);
    const moved = model.steps > before;
    const unused = await refusal(() => model.fit(x, y, { epochs: 1, signal: new AbortController().signal }));
    const wrong = await refusal(() => model.fit(x, y, { epochs: 1, signal: controller }));
    model.free();
    return { early, unmoved, late, moved, unused, wrong };
  });
  assert.ok(found.unmoved && found.moved);
  assert.match(JSON.stringify(found.early), /abort/i);
  assert.deepEqual(found.late, { name: 'RangeError', message: 'enough' });
  assert.equal(found.unused, null);
  assert.match(found.wrong.message, /options.signal is of type AbortController; it must be an AbortSignal/);
});

test('early stopping leaves the best weights; a plateau lowers the learning rate', async () => {
  const found = await run(async () => {
    const { x, y } = keptRows();
    const config = (learningRate) => ({
      inputs: 2, layers: [{ type: 'dense', units: 1 }], loss: 'mean_squared_error', optimizer: { name: 'sgd', learningRate },
    });
    // A rate at which the loss grows: the first epoch is the best.
    const growing = await wgrad.Model.create(gpu, config(1.7));
    const stopped = await growing.fit(x, y, { epochs: 30, batchSize: 30, validation: { x, y }, earlyStopping: { patience: 2 } });
    const { loss } = await growing.evaluate(x, y);
    const still = await wgrad.Model.create(gpu, config(1e-12));
    const { epochs } = await still.fit(x, y, { epochs: 4, reduceOnPlateau: { monitor: 'loss', patience: 1, factor: 0.5, minDelta: 1 } });
    const refused = [];
    for (const options of [
      { earlyStopping: { patience: 0 } }, { earlyStopping: { patience: 1, monitor: 'accuracy' } }, { earlyStopping: {} },
      { reduceOnPlateau: { patience: 1, factor: 2 } }, { earlyStopping: { patience: 1, best: true } },
      { validation: { x, y }, validationSplit: 0.1 }, { validationSplit: 1 },
    ]) refused.push((await refusal(() => still.fit(x, y, { epochs: 1, ...options })))?.message);
    growing.free();
    still.free();
    const losses = stopped.epochs.map(({ validation }) => validation.loss);
    return { losses, loss, early: stopped.stoppedEarly, rates: epochs.map(({ learningRate }) => learningRate), refused };
  });
  assert.ok(found.early && found.losses.length < 30, `${found.losses}`);
  const off = Math.abs(found.loss / Math.min(...found.losses) - 1);
  assert.ok(off < 1e-6, `${found.loss} of ${found.losses}`);
  assert.ok(found.rates[3] < found.rates[1] && found.rates[1] <= found.rates[0], `${found.rates}`);
  for (const [at, pattern] of [/patience is 0/, /accuracy/, /patience is missing/, /factor/, /'best'/, /validationSplit is 0.1/, /split is 1/].entries()) {
    assert.match(found.refused[at] ?? 'accepted', pattern);
  }
});

test('class weights, L1 and schedules are those of the engine', async () => {
  const found = await run(async () => {
    const base = { inputs: 1, layers: [{ type: 'dense', units: 2, init: 'zeros' }], loss: 'softmax_cross_entropy' };
    const sgd = { name: 'sgd', learningRate: 0.5 };
    const weights = async (config, epochs = 1) => {
      const model = await wgrad.Model.create(gpu, { ...base, optimizer: sgd, ...config });
      const { epochs: logs } = await model.fit([1, 1], [0, 1], { epochs, batchSize: 2 });
      const data = [...(await model.weights())[0].data];
      model.free();
      return { data, rates: logs.map(({ learningRate }) => learningRate) };
    };
    return {
      weighted: (await weights({ classWeights: [3, 1] })).data,
      penalised: (await weights({ classWeights: [3, 1], optimizer: { ...sgd, l1: 0.1 } }, 2)).data,
      plain: (await weights({ classWeights: [3, 1] }, 2)).data,
      rates: (await weights({ optimizer: { ...sgd, schedule: { name: 'step', every: 1, factor: 0.5, warmUp: 2 } } }, 4)).rates,
    };
  });
  // Softmax of zeros is ½ each: the gradient of the first logit is (3·(½ - 1) + 1·½)/2 = -½.
  found.weighted.forEach((value, i) => assert.ok(Math.abs(value - [0.25, -0.25][i]) < 1e-6, `${found.weighted}`));
  // The second step has λ·sign(w) with it: η·λ = 0.05 less.
  found.penalised.forEach((value, i) => assert.ok(Math.abs(Math.abs(found.plain[i]) - Math.abs(value) - 0.05) < 1e-5, `${found.penalised}`));
  assert.deepEqual(found.rates, [0.25, 0.5, 0.5, 0.25]);
});

test('a device of the page, its buffers with predictions, and how much memory is in use', async () => {
  const found = await run(async () => {
    const before = gpu.bytesInUse;
    const model = await keptModel();
    const { x } = keptRows();
    const grown = gpu.bytesInUse > before;
    const wanted = [...await model.predict(x)];
    const read = async (device, buffer) => {
      const copy = device.createBuffer({ size: buffer.size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
      device.queue.submit([encoder.finish()]);
      await copy.mapAsync(GPUMapMode.READ);
      return [...new Float32Array(copy.getMappedRange())];
    };
    const buffer = await model.predictToBuffer(x);
    const answer = { grown, wanted, shared: await read(gpu.device, buffer), storage: (buffer.usage & GPUBufferUsage.STORAGE) > 0 };
    const file = await model.save();
    model.free();
    answer.left = gpu.bytesInUse - before;
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice();
    const own = await wgrad.Gpu.create({ device });
    answer.same = own.device === device;
    answer.untouched = Object.keys(navigator.gpu).length === 0;
    const predictor = await wgrad.Predictor.load(own, file);
    answer.own = await read(device, await predictor.predictToBuffer(x));
    answer.name = own.adapter;
    answer.low = (await wgrad.Gpu.create({ powerPreference: 'low-power' })).adapter;
    answer.refused = [];
    for (const options of [{ device: {} }, { device: 3 }, { powerPreference: 'fast' }, { power: 1 }]) {
      answer.refused.push((await refusal(() => wgrad.Gpu.create(options)))?.message);
    }
    answer.uneven = await refusal(() => predictor.predictToBuffer([1, 2, 3]));
    device.destroy();
    await device.lost;
    answer.lost = await refusal(() => predictor.predict(x));
    return answer;
  });
  assert.ok(found.grown && found.storage && found.same && found.untouched, JSON.stringify(found));
  assert.equal(found.left, 0, 'a freed model leaves nothing');
  assert.deepEqual(found.shared, found.wanted);
  assert.deepEqual(found.own, found.wanted);
  assert.match(found.name, /WebGPU/);
  assert.match(found.low, /WebGPU/);
  assert.match(found.refused[0], /options.device is of type Object; it must be a GPUDevice/);
  assert.match(found.refused[1], /options.device is 3/);
  assert.match(found.refused[2], /options.powerPreference is 'fast'; it must be one of 'high-performance', 'low-power'/);
  assert.match(found.refused[3], /'power'/);
  assert.match(found.uneven.message, /number of features is 3; it must be a positive multiple of the 2/);
  assert.equal(found.lost.name, 'DeviceLost');
});

test('the smaller module predicts the same', async () => {
  const bytes = [...await kept('native.wgrad')];
  const { predictions } = JSON.parse(await kept('kept.json')).native;
  const found = await run(async (bytes) => {
    const { default: init, Gpu, Predictor, ...others } = await import('/pkg/predict.js');
    await init();
    const predictor = await Predictor.load(await Gpu.create(), Uint8Array.from(bytes));
    const { x } = keptRows();
    return { outputs: [...await predictor.predict(x)], others: Object.keys(others), name: Predictor.name, summary: predictor.summary() };
  }, bytes);
  close(found.outputs, predictions, 'predictions');
  assert.ok(!found.others.includes('Model') && !found.others.includes('Trainer'), `${found.others}`);
  assert.equal(found.name, 'Predictor');
  assert.match(found.summary, /layer_norm/);
});
