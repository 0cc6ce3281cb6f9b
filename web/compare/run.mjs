// Opens the comparison of the assembled pages in headless Chromium and prints its table; see ./run.
// Exits with 1 where it does not show what the README claims.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { launch } from '../tests/lib/browser.mjs';
import { serve } from '../tests/lib/server.mjs';

/** How much faster wgrad is to be, at least. */
const RATIO = 3;
/** How far final losses may be apart, of themselves: both sum in f32, in different orders. */
const APART = 1e-4;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    only: { type: 'string' },
    json: { type: 'string' },
  },
});
const server = await serve({ root: fileURLToPath(new URL('../dist', import.meta.url)) });
const browser = await launch();
try {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(error.message));
  await page.goto(`${server.url}/compare/`);
  const result = await page.evaluate(
    (options) => window.runComparison(options),
    { rounds: Number(values.rounds), seconds: Number(values.seconds), only: values.only },
  );
  result.browser = `Chromium ${browser.version()}`;
  console.log(`${result.browser}, ${result.adapter}, TensorFlow.js ${result.tensorflow}, median of ${result.rounds} rounds`);
  const speed = (s) => `${s.median.toFixed(1)} (${s.least.toFixed(1)}-${s.most.toFixed(1)})`;
  console.table(Object.fromEntries(result.nets.map((r) => [`${r.net} @${r.batch}`, {
    'wgrad loop': speed(r.wgrad.loop),
    'TF.js loop': speed(r.tensorflow.loop),
    'ratio loop': r.ratio.loop.toFixed(2),
    'wgrad fit': speed(r.wgrad.fit),
    'TF.js fit': speed(r.tensorflow.fit),
    'ratio fit': r.ratio.fit.toFixed(2),
    'loss wgrad': r.wgrad.loss.toPrecision(6),
    'loss TF.js': r.tensorflow.loss.toPrecision(6),
  }])));
  for (const { net, wholeStep } of result.nets.filter(({ wholeStep }) => wholeStep)) {
    console.log(`${net} with the wholeStep kernel: loop ${speed(wholeStep.loop)}, fit ${speed(wholeStep.fit)}`);
  }
  for (const { net, ratio, wgrad, tensorflow } of result.nets) {
    const apart = Math.abs(wgrad.loss - tensorflow.loss) / Math.abs(tensorflow.loss);
    for (const way of ['loop', 'fit']) {
      if (!(ratio[way] >= RATIO)) fail(`${net}: ${way} is ${ratio[way].toFixed(2)} times as fast, not ${RATIO}`);
    }
    if (!(apart <= APART)) fail(`${net}: the losses are ${apart.toExponential(1)} apart`);
  }
  if (values.json) await writeFile(values.json, `${JSON.stringify(result, null, 2)}\n`);
} finally {
  await browser.close();
  await server.close();
}

function fail(text) {
  console.error(`FAIL  ${text}`);
  process.exitCode = 1;
}
