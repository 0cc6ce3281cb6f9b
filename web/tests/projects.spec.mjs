// Two projects of a user's own, made from the package as npm would ship it: a page in TypeScript, built by Vite, and a
// program for Node.js. Both train, save, load and predict.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { before, test } from 'node:test';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { launch } from './lib/browser.mjs';
import { node } from './lib/node.mjs';
import { serve } from './lib/server.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));
// Within web/, so that they find the tools of web/node_modules; the package is their own.
const folder = `${web}target/projects`;
const run = async (command, options, cwd) => (await promisify(execFile)(command, options, { cwd, timeout: 120_000 })).stdout;

/** What both do. */
const WORK = `
  const x = Array.from({ length: 64 }, (_, i) => [Math.sin(i), Math.cos(3 * i)]);
  const y = x.map(([a, b]) => Number(a > b));
  const model = await Model.create(gpu, {
    inputs: 2,
    layers: [{ type: 'dense', units: 8 }, { type: 'tanh' }, { type: 'dense', units: 2 }],
    loss: 'softmax_cross_entropy',
    optimizer: { name: 'adam', learningRate: 0.05 },
    metrics: ['accuracy'],
  });
  const history = await model.fit(x, y, { epochs: 20, batchSize: 16 });
  const again = await Model.load(gpu, await model.save());
  const wanted = await model.predictClasses(x);
  const found = await again.predictClasses(x);
  const report = {
    accuracy: history.epochs[19].metrics.accuracy,
    same: wanted.every((value, i) => value === found[i]),
    steps: again.steps,
  };`;

function judge({ accuracy, same, steps }) {
  assert.ok(accuracy > 0.85, `accuracy ${accuracy}`);
  assert.equal(same, true);
  assert.equal(steps, 80);
}

before(async () => {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await run('npm', ['pack', '--silent', '--pack-destination', folder], `${web}pkg`);
});

/** A project with the package installed and these files. */
async function project(name, files) {
  const at = `${folder}/${name}`;
  await mkdir(`${at}/src`, { recursive: true });
  const [tarball] = (await readdir(folder)).filter((file) => file.endsWith('.tgz'));
  const manifest = { name, private: true, type: 'module', dependencies: { wgrad: `file:../${tarball}` } };
  await writeFile(`${at}/package.json`, JSON.stringify(manifest));
  for (const [file, text] of Object.entries(files)) await writeFile(`${at}/${file}`, text);
  await run('npm', ['install', '--offline', '--silent', '--no-audit', '--no-fund'], at);
  return at;
}

test('a page in TypeScript, built by Vite', async () => {
  const at = await project('page', {
    'index.html': '<!doctype html><title>A page</title><script type="module" src="/src/main.ts"></script>',
    'src/main.ts': `
      import init, { Gpu, Model, type History } from 'wgrad';
      import initPredict, { Predictor, Gpu as SmallGpu } from 'wgrad/predict';
      await init();
      const gpu: Gpu = await Gpu.create();
      ${WORK.replace('const history', 'const history: History')}
      await initPredict();
      const predictor = await Predictor.load(await SmallGpu.create(), await model.save());
      const alone = await predictor.predictClasses(x);
      Object.assign(globalThis, { report: { ...report, same: report.same && alone.every((value, i) => value === wanted[i]) } });`,
    'tsconfig.json': JSON.stringify({
      compilerOptions: { strict: true, noEmit: true, target: 'es2022', lib: ['es2022', 'dom'], module: 'esnext', moduleResolution: 'bundler', types: [] },
      include: ['src'],
    }),
  });
  const bin = `${web}node_modules`;
  await run(process.execPath, [`${bin}/typescript/bin/tsc`, '-p', '.'], at).catch(({ stdout }) => assert.fail(stdout));
  const said = await run(process.execPath, [`${bin}/vite/bin/vite.js`, 'build', '--base', './', '--target', 'es2022'], at);
  assert.doesNotMatch(said, /warn/i);
  const assets = await readdir(`${at}/dist/assets`);
  assert.equal(assets.filter((file) => file.endsWith('.wasm')).length, 2, `${assets}`);
  const [server, browser] = [await serve({ root: `${at}/dist` }), await launch()];
  try {
    const page = await browser.newPage();
    const faults = [];
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(`${server.url}/`);
    await page.waitForFunction(() => globalThis.report !== undefined, undefined, { timeout: 120_000 })
      .catch((error) => assert.fail(`${error.message} ${faults}`));
    judge(await page.evaluate(() => globalThis.report));
  } finally {
    await browser.close();
    await server.close();
  }
});

const dawn = existsSync(`${web}node_modules/webgpu`) ? false : 'npm has not installed the package webgpu: run `npm ci` in web/';

test('a program for Node.js', { skip: dawn }, async () => {
  const at = await project('program', {
    'src/main.mjs': `
      import { readFile, writeFile } from 'node:fs/promises';
      import { create, globals } from 'webgpu';
      import init, { Gpu, Model, Predictor } from 'wgrad';
      Object.assign(globalThis, globals);
      Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) } });
      await init();
      const gpu = await Gpu.create();
      ${WORK}
      await writeFile('model.wgrad', await model.save());
      const predictor = await Predictor.load(gpu, await readFile('model.wgrad'));
      const alone = await predictor.predictClasses(x);
      report.same &&= alone.every((value, i) => value === wanted[i]);
      console.log(JSON.stringify(report));
      process.exit(0);`,
  });
  judge(await node(['src/main.mjs'], at));
  const file = await readFile(`${at}/model.wgrad`);
  assert.ok(file.includes('dense_0.weight'));
});
