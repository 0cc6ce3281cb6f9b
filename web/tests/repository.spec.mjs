// The repository's own GPU tests (kernels against the f64 twin, gradients, goldens, training with the
// article's net) compiled to WebAssembly and run in the page. WGRAD_WEB_TESTS=kernels_ runs some.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { serve } from './lib/server.mjs';

// A test with thousands of cases on a busy machine with two cores takes its time.
const SECONDS = 600;
// A page waits while its browser's GPU process compiles, and the other way round: two keep two cores busy.
const BROWSERS = 2;

const server = await serve({ root: fileURLToPath(new URL('../..', import.meta.url)) });
const browsers = await Promise.all(Array.from({ length: BROWSERS }, () => launch()));

async function open(browser) {
  const page = await browser.newPage();
  page.on('crash', () => console.error('the page crashed'));
  await page.goto(`${server.url}/web/tests/repository/`);
  await page.waitForFunction(() => globalThis.ready === true);
  return page;
}

const first = await open(browsers[0]);
const wanted = process.env.WGRAD_WEB_TESTS ?? '';
const tests = (await first.evaluate(() => listTests()))
  .filter(({ file, name }) => `${file}::${name}`.includes(wanted));
await first.close();
const files = new Map();
for (const test of tests) files.set(test.file, [...(files.get(test.file) ?? []), test]);

after(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server.close();
});

describe('in the page', { concurrency: BROWSERS }, () => {
  for (const [file, list] of files) {
    describe(file, { concurrency: 1 }, () => {
      // A file has a page, and so a device, of its own; a test that fails leaves it to the next with a new one.
      let browser, page;
      before(async () => {
        browser = browsers.pop();
        page = await open(browser);
      });
      after(async () => {
        await page.close();
        browsers.push(browser);
      });
      for (const { index, name, skipped } of list) {
        test(name, { timeout: SECONDS * 1000, skip: skipped || false }, async () => {
          const trouble = await page.evaluate((index) => runTest(index), index);
          if (trouble !== null) {
            await page.close();
            page = await open(browser);
          }
          assert.equal(trouble, null, trouble ?? '');
        });
      }
    });
  }
});
