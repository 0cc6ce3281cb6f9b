// The package in Node.js: it trains on Dawn, and says what is missing where there is no WebGPU.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('..', import.meta.url));

// Dawn wants a newer driver than some systems have; Chromium brings one.
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
const env = { ...process.env, ...(existsSync(SWIFTSHADER) && { VK_DRIVER_FILES: SWIFTSHADER, VK_ICD_FILENAMES: SWIFTSHADER }) };

/** Runs a module with the package in a process of its own; resolves to the JSON that it prints last. */
async function run(body, before = '') {
  const text = `
    import { readFile } from 'node:fs/promises';
    ${before}
    const { default: init, Gpu, Model } = await import('${web}pkg/wgrad.js');
    await init({ module_or_path: await readFile('${web}pkg/wgrad_bg.wasm') });
    ${body}
    process.exit(0);`;
  const { stdout } = await promisify(execFile)(
    process.execPath, ['--input-type=module', '--eval', text], { cwd: web, timeout: 120_000, env });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

test('without WebGPU, Gpu.create() says what to do', async () => {
  const create = `
    const end = await Gpu.create().then(() => ({}), ({ name, message }) => ({ name, message }));
    console.log(JSON.stringify(end));`;
  for (const navigator of ['undefined', '{}', '{ gpu: undefined }']) {
    const { name, message } = await run(create, `Object.defineProperty(globalThis, 'navigator', { value: ${navigator} });`);
    assert.equal(name, 'NoAdapter');
    assert.match(message, /In Node\.js install the package webgpu/);
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
