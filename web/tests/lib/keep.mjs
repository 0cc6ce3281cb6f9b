// node web/tests/lib/keep.mjs: writes tests/browser.wgrad anew, and what it does to tests/kept.json.
import { readFile, writeFile } from 'node:fs/promises';
import { launch } from './browser.mjs';
import { define } from './kept.mjs';
import { serve } from './server.mjs';

const at = (name) => new URL(`../${name}`, import.meta.url);
const server = await serve();
const browser = await launch();
const page = await browser.newPage();
await page.goto(`${server.url}/tests/lib/page.html`);
await page.waitForFunction(() => globalThis.ready === true);
await page.evaluate(define);
const { bytes, figures } = await page.evaluate(async () => {
  globalThis.gpu = await wgrad.Gpu.create();
  const model = await keptModel();
  return { bytes: [...await model.save()], figures: await keptFigures(model) };
});
const { native } = JSON.parse(await readFile(at('kept.json'), 'utf8'));
await writeFile(at('browser.wgrad'), Uint8Array.from(bytes));
await writeFile(at('kept.json'), `${JSON.stringify({ native, browser: figures }, null, 2)}\n`);
await browser.close();
await server.close();
