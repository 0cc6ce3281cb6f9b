// The package in Node.js, Bun and Deno: it trains on Dawn or on Deno's own WebGPU, and says what is missing where there
// is none.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { node, program } from './lib/node.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));

/** Runs a module with the package; resolves to the JSON that it prints last. */
const run = (body, before = '', init = '') => node(['--input-type=module', '--eval', `
  ${before}
  const { default: init, Gpu, Model } = await import('${web}pkg/wgrad.js');
  await init(${init});
  ${body}
  process.exit(0);`], web);

test('to import it needs nothing of a browser, as on a server that renders a page; before init() calls say so', async () => {
  const found = await node(['--input-type=module', '--eval', `
    for (const name of ['navigator', 'WebAssembly', 'fetch']) Object.defineProperty(globalThis, name, { value: undefined });
    const found = [];
    for (const name of ['wgrad', 'predict', 'tasks']) {
      const { Gpu } = await import('${web}pkg/' + name + '.js');
      found.push(await Gpu.create().catch(({ message }) => message));
    }
    console.log(JSON.stringify(found));`], web);
  for (const message of found) assert.match(message, /comes before init\(\)/);
});

test('the module comes from beside the package, by address or as bytes', async () => {
  const wasm = `${web}pkg/wgrad_bg.wasm`;
  const read = "const { readFile } = await import('node:fs/promises'); const { pathToFileURL } = await import('node:url');";
  for (const from of [`{ module_or_path: await readFile('${wasm}') }`, `{ module_or_path: pathToFileURL('${wasm}') }`]) {
    assert.equal(await run('console.log(JSON.stringify(typeof Gpu.create));', read, from), 'function');
  }
});

test('without WebGPU, Gpu.create() says what to do', async () => {
  const create = `
    const end = await Gpu.create().then(() => ({}), ({ name, message }) => ({ name, message }));
    console.log(JSON.stringify(end));`;
  for (const navigator of ['undefined', '{}', '{ gpu: undefined }']) {
    const { name, message } = await run(create, `Object.defineProperty(globalThis, 'navigator', { value: ${navigator} });`);
    assert.equal(name, 'NoAdapter');
    assert.match(message, /In Node\.js and Bun install the package webgpu/);
  }
});

const dawn = existsSync(`${web}node_modules/webgpu`) ? false : 'npm has not installed the package webgpu: run `npm ci` in web/';

test('on Dawn it trains', { skip: dawn }, async () => {
  const found = await run(`
    const gpu = await Gpu.create();
    const x = Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i * i));
    const y = Float32Array.from({ length: 1000 }, (_, row) => x[2 * row] - x[2 * row + 1]);
    const model = await Model.create(gpu, {
      inputs: 2,
      layers: [{ type: 'dense', units: 16 }, { type: 'tanh' }, { type: 'dense', units: 1 }],
      loss: 'mean_squared_error',
      optimizer: { name: 'adam', learningRate: 0.01 },
      metrics: ['r_squared'],
    });
    const { epochs } = await model.fit(x, y, { epochs: 5 });
    const scopes = ['Window', 'WorkerGlobalScope'].filter((name) => name in globalThis);
    console.log(JSON.stringify({ adapter: gpu.adapter, first: epochs[0].loss, last: epochs[4].metrics.r_squared, scopes }));`,
  `import { create, globals } from 'webgpu';
   Object.assign(globalThis, globals);
   Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) } });`);
  console.log(`  on ${found.adapter}`);
  assert.ok(found.last > 0.9, JSON.stringify(found));
  assert.deepEqual(found.scopes, [], 'no global is left behind');
});

/** What the others do: all three modules, on one device. */
const WORK = `
  import init, { Gpu, Model } from '${web}pkg/wgrad.js';
  import initTasks, { Gpu as TasksGpu, KMeans, Pca } from '${web}pkg/tasks.js';
  await init();
  await initTasks();
  const gpu = await Gpu.create();
  const x = Array.from({ length: 64 }, (_, i) => [Math.sin(i) + 5 * (i % 2), Math.cos(3 * i)]);
  const model = await Model.create(gpu, {
    inputs: 2,
    layers: [{ type: 'dense', units: 8 }, { type: 'tanh' }, { type: 'dense', units: 2 }],
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'adam', learningRate: 0.05 },
    metrics: ['accuracy'],
  });
  const { epochs } = await model.fit(x, x.map((_, i) => i % 2), { epochs: 20, batchSize: 16 });
  const again = await Model.load(gpu, await model.save());
  const tasks = await TasksGpu.create({ device: gpu.device });
  const groups = await KMeans.fit(tasks, x, { clusters: 2 });
  const pca = await Pca.fit(tasks, x, { components: 1 });
  console.log(JSON.stringify({
    adapter: gpu.adapter,
    accuracy: epochs[19].metrics.accuracy,
    steps: again.steps,
    same: groups.labels.every((label, i) => label === groups.labels[i % 2]),
    share: pca.explainedVarianceRatio[0],
  }));
  process.exit(0);`;
const DAWN = `
  import process from 'node:process';
  import { create, globals } from 'webgpu';
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) } });`;

/** Where npm puts it, or nothing. */
const installed = (...places) => places.map((place) => `${web}node_modules/${place}`).find((place) => existsSync(place));
const bun = installed('bun/bin/bun.exe');
const deno = installed('@deno/linux-x64-glibc/deno', '@deno/linux-arm64-glibc/deno', '@deno/darwin-arm64/deno');
const missing = (name) => `npm has not installed ${name}: run \`npm ci\` in web/`;

for (const [name, skip, command, text] of [
  ['Bun, on Dawn', dawn || (bun ? false : missing('bun')), [bun, 'run'], DAWN + WORK],
  ['Deno, on its own WebGPU', deno ? false : missing('deno'), [deno, 'run', '-A', '--no-config'], `import process from 'node:process';${WORK}`],
]) test(`it trains and clusters in ${name}`, { skip }, async () => {
  const found = await program(command, text, `${web}target/${command[0].split('/').at(-1)}.mjs`);
  console.log(`  on ${found.adapter}`);
  const { accuracy, steps, same, share } = found;
  assert.ok(accuracy > 0.95 && steps === 80 && same && share > 0.8, JSON.stringify(found));
});
