// Clusters, principal components and explanations in the browser: scikit-learn's and captum's figures (the goldens of
// the native tests), ends by signals, errors, memory.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
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
  await page.evaluate(async () => {
    globalThis.gpu = await wgrad.Gpu.create();
    globalThis.tasks = await import('/pkg/tasks.js');
    await tasks.default();
    // Both modules on one device.
    globalThis.tasksGpu = await tasks.Gpu.create({ device: gpu.device });
  });
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** Runs in the page; JSON back. */
const run = (body, argument) => page.evaluate(body, argument);

const golden = async (name) => JSON.parse(await readFile(new URL(`../../tests/goldens/${name}`, import.meta.url), 'utf8'));

const near = (found, expected, tolerance, what) => {
  assert.equal(found.length, expected.length, what);
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= tolerance * (1 + Math.abs(expected[i])), `${what}[${i}]: ${value}, not ${expected[i]}`));
};

test('k-means of iris is scikit-learn’s', async () => {
  const { rows, columns, clusters, starts, 0: { k_means: expected } } = (await golden('sklearn/clusterings.json')).iris;
  const centers = starts.flatMap((row) => rows.slice(row * columns, (row + 1) * columns));
  const found = await run(async ({ rows, columns, clusters, centers }) => {
    const told = [];
    const options = { columns, clusters, centers, tolerance: 0, onIteration: ({ start, iteration, centers, labels }) => told.push([start, iteration, [...centers], labels.length]) };
    const kmeans = await tasks.KMeans.fit(tasksGpu, Float32Array.from(rows), options);
    const nested = Array.from({ length: rows.length / columns }, (_, row) => rows.slice(row * columns, (row + 1) * columns));
    const again = await tasks.KMeans.fit(tasksGpu, nested, { centers, tolerance: 0 });
    const found = {
      told,
      inertia: kmeans.inertia,
      iterations: kmeans.iterations,
      labels: [...kmeans.labels],
      centers: [...kmeans.centers],
      predicted: [...await kmeans.predict(nested)],
      distances: [...await kmeans.transform(Float32Array.from(rows))],
      again: [...again.labels],
    };
    kmeans.free();
    again.free();
    return found;
  }, { rows, columns, clusters, centers });
  assert.ok(found.inertia / expected.inertia <= 1.0005, `${found.inertia}, not ${expected.inertia}`);
  assert.equal(found.labels.join(''), expected.labels);
  assert.equal(found.iterations, expected.iterations);
  assert.deepEqual(found.predicted, found.labels);
  assert.deepEqual(found.again, found.labels, 'an array for each row is the same table');
  const distance = (row, center) => Math.hypot(...Array.from({ length: columns }, (_, i) => rows[row * columns + i] - found.centers[center * columns + i]));
  near(found.distances, found.labels.flatMap((_, row) => [0, 1, 2].map((center) => distance(row, center))), 1e-5, 'distances');
  assert.deepEqual(found.told.map(([start, iteration]) => [start, iteration]), Array.from({ length: expected.iterations + 1 }, (_, i) => [0, i]));
  near(found.told[0][2], centers, 1e-6, 'seeds');
  assert.deepEqual(found.told.at(-1)[2], found.centers);
  assert.deepEqual(found.told.map(([, , , labels]) => labels), [0, ...found.told.slice(1).map(() => 150)]);
});

test('principal components of iris are scikit-learn’s', async () => {
  const { rows, columns, 0: { pca: expected } } = (await golden('sklearn/clusterings.json')).iris;
  const found = await run(async ({ rows, columns }) => {
    const told = [];
    const pca = await tasks.Pca.fit(tasksGpu, rows, { columns, components: 4, onProgress: ({ done, total }) => told.push([done, total]) });
    const some = rows.slice(0, 5 * columns);
    const along = await pca.transform(some);
    const whitened = await tasks.Pca.fit(tasksGpu, rows, { columns, components: 4, whiten: true, solver: 'randomized', oversampling: 0, iterations: 8, seed: 2 });
    const found = {
      told,
      components: [...pca.components],
      mean: [...pca.mean],
      variance: [...pca.explainedVariance],
      ratio: [...pca.explainedVarianceRatio],
      singular: [...pca.singularValues],
      along: [...along],
      back: [...await pca.inverseTransform(along)],
      whitened: [...await whitened.transform(some)],
    };
    pca.free();
    whitened.free();
    return found;
  }, { rows, columns });
  near(found.variance, expected.variance, 1e-4, 'variance');
  near(found.ratio, expected.ratio, 1e-4, 'ratio');
  near(found.singular, expected.variance.map((variance) => Math.sqrt(variance * (rows.length / columns - 1))), 1e-4, 'singular values');
  near(found.components, expected.components.flat(), 1e-4, 'components');
  near(found.along, expected.transformed.flat(), 1e-3, 'transformed');
  near(found.whitened, expected.whitened.flat(), 1e-2, 'whitened');
  near(found.back, rows.slice(0, 5 * columns), 1e-5, 'and back');
  assert.deepEqual(found.told.at(-1), [150, 150]);
  assert.equal(found.mean.length, columns);
});

test('a seed gives the same groups; starts, seedings and mini-batches find far blobs', async () => {
  const found = await run(async () => {
    const rows = Float32Array.from({ length: 1200 }, (_, i) => {
      const row = i >> 1;
      return 20 * (i % 2 ? (row % 6) % 3 : Math.floor((row % 6) / 3)) + Math.sin(i * i);
    });
    const all = [];
    for (const options of [{ seed: 3 }, { seed: 3 }, { seed: 4, starts: 4 }, { seeding: 'parallel' }, { miniBatch: 200, maxIterations: 20, starts: 3 }]) {
      const kmeans = await tasks.KMeans.fit(tasksGpu, rows, { columns: 2, clusters: 6, ...options });
      all.push({ centers: [...kmeans.centers], inertia: kmeans.inertia, iterations: kmeans.iterations });
      kmeans.free();
    }
    return all;
  });
  assert.deepEqual(found[1], found[0]);
  for (const { inertia } of found.slice(2, 4)) assert.ok(inertia < 1200, `${inertia}`);
  assert.ok(found[4].inertia < 2 * found[2].inertia && found[4].iterations > 1, `${found[4].inertia}`);
});

test('attributions are captum’s, add up, and follow the weights', async () => {
  const file = await golden('captum/attributions.json');
  const found = await run(async ({ weights, rows, baseline, targets }) => {
    const model = await wgrad.Model.create(gpu, {
      inputs: 6, layers: [{ type: 'dense', units: 8 }, { type: 'tanh' }, { type: 'dense', units: 3 }],
      loss: 'softmax_cross_entropy', optimizer: { name: 'sgd', learningRate: 0.1 },
    });
    await model.setWeights(weights);
    const explainer = await model.explainer();
    const told = [];
    const gauss = await explainer.integratedGradients(rows, { target: targets, baseline, points: 20, onProgress: ({ done, total }) => told.push([done, total]) });
    const middle = await explainer.integratedGradients(rows, { target: targets, baseline, points: 40, quadrature: 'midpoint' });
    const outputs = await model.predict(rows);
    const [start] = [await model.predict(baseline)];
    const found = {
      gradients: [...await explainer.gradients(rows, { target: targets })],
      saliency: [...await explainer.saliency(rows, { target: targets })],
      integrated_gradients_gausslegendre_20: [...gauss.attributions],
      integrated_gradients_riemann_middle_40: [...middle.attributions],
      gaps: [...gauss.gaps],
      rises: targets.map((target, row) => outputs[row * 3 + target] - start[target]),
      told,
    };
    // With other weights it explains those; one output needs no target; another call is refused meanwhile.
    await model.setWeights(weights.map((values) => values.map((value) => value / 2)));
    const first = explainer.gradients(rows, { target: 0 });
    found.busy = await refusal(() => explainer.gradients(rows, { target: 0 }));
    found.halved = [...await first];
    explainer.free();
    model.free();
    return found;
  }, file);
  for (const name of ['saliency', 'integrated_gradients_gausslegendre_20', 'integrated_gradients_riemann_middle_40']) near(found[name], file[name], 2e-5, name);
  assert.deepEqual(found.gradients.map(Math.abs), found.saliency);
  found.rises.forEach((rise, row) => {
    const sum = found.integrated_gradients_gausslegendre_20.slice(row * 6, row * 6 + 6).reduce((a, b) => a + b);
    assert.ok(Math.abs(sum - rise) < 1e-4 && Math.abs(found.gaps[row]) < 1e-4, `row ${row}: ${sum}, not ${rise}; ${found.gaps[row]}`);
  });
  assert.equal(found.busy.name, 'Busy');
  assert.notDeepEqual(found.halved, found.gradients);
  const [done, total] = found.told.at(-1);
  assert.equal(done, total);
});

test('a signal ends a call with its reason, and what follows goes on', async () => {
  const found = await run(async () => {
    const rows = Float32Array.from({ length: 4000 }, (_, i) => Math.sin(i * i));
    const at = (controller, when) => (what) => { if (when(what)) controller.abort(new Error('enough')); };
    const found = {};
    const early = new AbortController();
    early.abort(new Error('too early'));
    found.early = await refusal(() => tasks.Pca.fit(tasksGpu, rows, { columns: 2, components: 2, signal: early.signal }));
    const late = new AbortController();
    let iterations = 0;
    found.late = await refusal(() => tasks.KMeans.fit(tasksGpu, rows, {
      columns: 2, clusters: 20, tolerance: 0, signal: late.signal, onIteration: at(late, ({ iteration }) => { iterations = iteration; return iteration === 2; }),
    }));
    found.iterations = iterations;
    found.thrown = await refusal(() => tasks.KMeans.fit(tasksGpu, rows, { columns: 2, clusters: 3, onIteration: () => { throw new TypeError('of the page'); } }));
    const kmeans = await tasks.KMeans.fit(tasksGpu, rows, { columns: 2, clusters: 3 });
    found.goesOn = kmeans.labels.length;
    kmeans.free();
    const model = await wgrad.Model.create(gpu, { ...articleConfig(), seed: 1 });
    const explainer = await model.explainer();
    const { x } = articleData(200);
    const stop = new AbortController();
    found.explained = await refusal(() => explainer.integratedGradients(x, { points: 200, signal: stop.signal, onProgress: at(stop, () => true) }));
    const { gaps } = await explainer.integratedGradients(x.subarray(0, 10), { quadrature: 'trapezoid', points: 100 });
    found.gap = Math.abs(gaps[0]);
    explainer.free();
    model.free();
    return found;
  });
  assert.equal(found.early.message, 'too early');
  assert.equal(found.late.message, 'enough');
  assert.equal(found.iterations, 2);
  assert.equal(found.thrown.message, 'of the page');
  assert.equal(found.goesOn, 2000);
  assert.equal(found.explained.message, 'enough');
  assert.ok(found.gap < 1e-2, `${found.gap}`);
});

test('errors name the thing, the value and the rule', async () => {
  const refusals = await run(async () => {
    const fit = (rows, options) => refusal(() => tasks.KMeans.fit(tasksGpu, rows, options));
    const pca = (rows, options) => refusal(() => tasks.Pca.fit(tasksGpu, rows, options));
    const model = await wgrad.Model.create(gpu, { inputs: 2, layers: [{ type: 'dense', units: 3 }], loss: 'softmax_cross_entropy', optimizer: { name: 'sgd', learningRate: 1 } });
    const explainer = await model.explainer();
    const freed = await tasks.KMeans.fit(tasksGpu, [[1], [2]], { clusters: 1 });
    freed.free();
    const found = {
      'no columns': await fit([1, 2, 3, 4], { clusters: 2 }),
      'other columns': await fit([[1, 2], [3, 4]], { clusters: 2, columns: 3 }),
      'a part of a row': await fit([1, 2, 3], { clusters: 1, columns: 2 }),
      'no clusters': await fit([[1, 2]], {}),
      'more clusters than rows': await fit([[1, 2]], { clusters: 2 }),
      'not a number': await fit([[1, NaN]], { clusters: 1 }),
      'two beginnings': await fit([[1, 2]], { centers: [[1, 2]], seeding: 'parallel' }),
      'no such seeding': await fit([[1, 2]], { clusters: 1, seeding: 'random' }),
      'no such option': await fit([[1, 2]], { k: 1 }),
      'no function': await fit([[1, 2]], { clusters: 1, onIteration: 3 }),
      'no signal': await fit([[1, 2]], { clusters: 1, signal: {} }),
      'no rows': await fit([], { clusters: 1, columns: 2 }),
      'one row': await pca([[1, 2]], { components: 1 }),
      'too many components': await pca([[1, 2], [3, 4]], { components: 3 }),
      'no components': await pca([[1, 2], [3, 4]], {}),
      'another module’s device': await refusal(() => tasks.KMeans.fit(gpu, [[1]], { clusters: 1 })),
      'no target': await refusal(() => explainer.gradients([1, 2])),
      'no such target': await refusal(() => explainer.gradients([1, 2], { target: 3 })),
      'half a target': await refusal(() => explainer.saliency([1, 2], { target: 0.5 })),
      'targets of other rows': await refusal(() => explainer.saliency([1, 2], { target: [0, 1] })),
      'another baseline': await refusal(() => explainer.integratedGradients([1, 2], { target: 0, baseline: [1] })),
      'no points': await refusal(() => explainer.integratedGradients([1, 2], { target: 0, points: 0 })),
      'too many points': await refusal(() => explainer.integratedGradients([1, 2], { target: 0, points: 4e9 })),
      'what was freed': await refusal(() => freed.predict([1])),
      'new': await refusal(async () => new tasks.Pca()),
    };
    explainer.free();
    model.free();
    return found;
  });
  const expected = {
    'no columns': /^options\.columns is missing; it must be how many numbers each row has/,
    'other columns': /^options\.columns is 3; it must be 2, the length of the first row/,
    'a part of a row': /3 values.*2/,
    'no clusters': /^options\.clusters is missing/,
    'more clusters than rows': /number of clusters is 2; it must be at most 1, the number of rows/,
    'not a number': /NaN/,
    'two beginnings': /^options\.centers is an array; it must be left out where seeding says/,
    'no such seeding': /^options\.seeding is 'random'; it must be one of 'plus_plus', 'parallel'/,
    'no such option': /^options\.clusters is missing|a field of options is 'k'/,
    'no function': /^options\.onIteration is 3; it must be a function/,
    'no signal': /^options\.signal is of type Object; it must be an AbortSignal/,
    'no rows': /no rows|empty|at least/,
    'one row': /number of rows is 1; it must be at least 2/,
    'too many components': /number of components is 3; it must be at most 2/,
    'no components': /^options\.components is missing/,
    'another module’s device': /^gpu is a Gpu of another module .* import its Gpu and write await Gpu\.create\(\{ device: gpu\.device \}\)$/,
    'no target': /^options\.target is missing; it must be the number of an output/,
    'no such target': /target is 3; it must be below 3/,
    'half a target': /^options\.target is 0\.5; it must be a whole number/,
    'targets of other rows': /number of targets is 2; it must be 1/,
    'another baseline': /1; it must be a positive multiple of the 2 numbers of a row/,
    'no points': /points of the quadrature is 0/,
    'too many points': /points of the quadrature is 4000000000; it must be at most 10000/,
    'what was freed': /a KMeans that was freed/,
    'new': /new Pca\(\) makes nothing; write await Pca\.fit/,
  };
  const wrong = Object.entries(expected).filter(([name, pattern]) => !pattern.test(refusals[name]?.message));
  assert.deepEqual(wrong.map(([name]) => [name, refusals[name]]), []);
});

test('each module, and the page, hears of the errors of a device that they share', async () => {
  const found = await run(async () => {
    const heard = [];
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice();
    device.onuncapturederror = () => heard.push('page');
    const first = await wgrad.Gpu.create({ device });
    const second = await tasks.Gpu.create({ device });
    const model = await wgrad.Model.create(first, {
      inputs: 1, layers: [{ type: 'dense', units: 1 }], loss: 'mean_squared_error', optimizer: { name: 'sgd', learningRate: 1 },
    });
    device.createBuffer({ size: 16, usage: 0 });
    await device.queue.onSubmittedWorkDone();
    await new Promise((done) => { setTimeout(done, 50); });
    heard.push((await refusal(() => model.predict([1])))?.name, (await refusal(() => tasks.KMeans.fit(second, [[1]], { clusters: 1 })))?.name);
    device.destroy();
    return heard;
  });
  assert.equal(found[0], 'page');
  assert.equal(found.length, 3, `${found}`);
  assert.deepEqual(found.map((name) => typeof name), ['string', 'string', 'string'], `${found}`);
});

test('fits leave nothing on the device', async () => {
  const [before, after] = await run(async () => {
    const rows = Float32Array.from({ length: 3000 }, (_, i) => Math.sin(i * i));
    const work = async () => {
      const kmeans = await tasks.KMeans.fit(tasksGpu, rows, { columns: 3, clusters: 4 });
      const pca = await tasks.Pca.fit(tasksGpu, rows, { columns: 3, components: 2 });
      await pca.transform(rows);
      kmeans.free();
      pca.free();
      return deviceMemory();
    };
    const before = await work();
    for (let i = 0; i < 5; i++) await work();
    return [before, await work()];
  });
  assert.deepEqual(after, before);
});

test('the README’s recipes run', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const section = readme.match(/## Clusters, components, explanations\n([\s\S]*?)\n## /)[1];
  const recipes = [...section.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
  assert.equal(recipes.length, 2);
  const said = await run(async (recipes) => {
    const said = [];
    globalThis.console.log = (...values) => said.push(values);
    globalThis.rows = Array.from({ length: 60 }, (_, i) => [Math.sin(i), Math.cos(i * i), i % 3]);
    globalThis.model = await wgrad.Model.create(gpu, { inputs: 64, layers: [{ type: 'dense', units: 10 }], loss: 'softmax_cross_entropy', optimizer: { name: 'sgd', learningRate: 1 } });
    globalThis.digit = new Float32Array(64).fill(0.5);
    for (const [i, recipe] of recipes.entries()) {
      const text = recipe.replaceAll("'wgrad/tasks'", "'/pkg/tasks.js'").replaceAll("'wgrad'", "'/pkg/wgrad.js'");
      const url = URL.createObjectURL(new Blob([text.replaceAll("'/pkg", `'${location.origin}/pkg`)], { type: 'text/javascript' }));
      await import(url);
      said.push(i);
    }
    return said.length;
  }, recipes);
  assert.ok(said > recipes.length, 'they say something');
});

test('in a worker it trains and clusters', async () => {
  const found = await run(() => new Promise((resolve, reject) => {
    const text = `
      import init, { Gpu, Model } from '${location.origin}/pkg/wgrad.js';
      import initTasks, { Gpu as TasksGpu, KMeans } from '${location.origin}/pkg/tasks.js';
      try {
        await Promise.all([init(), initTasks()]);
        const gpu = await Gpu.create();
        const x = Array.from({ length: 40 }, (_, i) => [Math.sin(i) + 5 * (i % 2)]);
        const model = await Model.create(gpu, { inputs: 1, layers: [{ type: 'dense', units: 1 }], loss: 'binary_cross_entropy', optimizer: { name: 'adam', learningRate: 0.1 } });
        const { epochs } = await model.fit(x, x.map((_, i) => i % 2), { epochs: 5 });
        const groups = await KMeans.fit(await TasksGpu.create({ device: gpu.device }), x, { clusters: 2 });
        postMessage({ losses: epochs.map(({ loss }) => loss), labels: [...groups.labels] });
      } catch (error) {
        postMessage({ error: error.message });
      }`;
    const worker = new Worker(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })), { type: 'module' });
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = ({ data }) => { worker.terminate(); resolve(data); };
  }));
  assert.equal(found.error, undefined);
  assert.ok(found.losses.at(-1) < found.losses[0], `${found.losses}`);
  assert.deepEqual(found.labels, found.labels.map((_, i) => found.labels[i % 2]));
});
