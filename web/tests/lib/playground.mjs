// What the tests of the playground share: the assembled pages (dist) on a server, Chromium, and a runner.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.mjs';
import { serve } from './server.mjs';

export const SCREENSHOTS = fileURLToPath(new URL('../../screenshots/latest/', import.meta.url));
/** A usual small screen: what is above its fold is seen first. */
export const FOLD = { width: 1280, height: 800 };
export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 360, height: 780 };
export const MINUTE = 60_000;

export const server = await serve({ root: fileURLToPath(new URL('../../dist', import.meta.url)) });
export const address = `${server.url}/`;
export const browser = await launch();
const newPage = browser.newPage.bind(browser);
browser.newPage = async (options) => {
  const page = await newPage(options);
  page.setDefaultTimeout(2 * MINUTE); // a busy machine
  return page;
};
mkdirSync(SCREENSHOTS, { recursive: true });

const tests = [];
export const test = (name, body) => tests.push({ name, body });
export const note = (text) => console.log(`      ${text}`);

/** A page that fails the test on an uncaught error or a request to another host. */
export async function openPage({ hash = '', viewport = DESKTOP, theme = 'light', before = null, ready = true, trace = false } = {}) {
  const phone = viewport.width < 500;
  const page = await browser.newPage({ viewport, colorScheme: theme, hasTouch: phone, isMobile: phone });
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error.stack)));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(server.url) && !url.startsWith('data:')) page.problems.push(`asked for ${url}`);
  });
  if (trace) await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
  if (before) await page.addInitScript(before);
  await page.goto(address + hash);
  if (ready) await page.waitForFunction(() => performance.getEntriesByName('ready').length > 0);
  return page;
}

export async function closePage(page) {
  const { problems } = page;
  await page.close();
  assert.deepEqual(problems, [], 'uncaught errors or foreign requests');
}

export const textOf = (page, id) => page.locator(`#${id}`).textContent();
export const stepsOf = async (page) => Number((await textOf(page, 'steps')).replaceAll(',', ''));
export const accuracyOf = async (page) => Number.parseFloat(await textOf(page, 'accuracy'));

export const untilSteps = (page, least) => page.waitForFunction(
  (n) => Number(document.querySelector('#steps').textContent.replaceAll(',', '')) >= n, least, { timeout: 5 * MINUTE });

export const untilAccuracy = (page, least) => page.waitForFunction(
  (percent) => Number.parseFloat(document.querySelector('#accuracy').textContent) >= percent, least, { timeout: 10 * MINUTE });

/** What a canvas shows: a digest of its pixels, and how many colours they have. */
export const picture = (page, id) => page.evaluate(async (id) => {
  const canvas = document.getElementById(id);
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
  return { digest: [...digest].join(' '), colors: new Set(new Uint32Array(data.buffer)).size };
}, id);

/** Waits until an experiment has just begun: no step, and its losses are there. Resolves to its figures. */
export async function atStart(page, tab = 'plane') {
  await page.waitForFunction((name) => {
    const { session, figures } = globalThis.playground.tabs[name].view;
    return session.steps === 0 && figures.testLoss !== null;
  }, tab);
  await page.waitForTimeout(50); // the frame that shows it
  return figuresOf(page, tab);
}

export const figuresOf = (page, tab = 'plane') => page.evaluate((name) => {
  const { loss, testLoss, accuracy } = globalThis.playground.tabs[name].view.figures;
  return { hash: location.hash, loss, testLoss, accuracy };
}, tab);

/** The figures once the last look at the model is over: on a busy machine it takes its time. */
export async function settledFiguresOf(page, tab) {
  await page.waitForFunction(() => Object.values(globalThis.playground.tabs).every(({ view }) => view.session.resting));
  await idle(page);
  return figuresOf(page, tab);
}

/** Pauses, and waits for the last look at the model. */
export async function pause(page) {
  await page.click('#run');
  await page.waitForFunction(() => Object.values(globalThis.playground.tabs).every(({ view }) => view.session.resting));
  await page.evaluate(() => new Promise(requestAnimationFrame)); // the frame that shows it
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Fails if axe-core finds a violation of WCAG 2.2 AA or of its best practices. */
export async function checkAccess(page, what) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  });
  assert.deepEqual(found, [], what);
}

/** Presses Step, for the step of a number. */
export const step = async (page, number) => {
  await page.click('#step');
  await untilSteps(page, number);
};
/** Waits until the jobs on the device are done that were asked for. */
export const idle = (page) => page.evaluate(() => globalThis.playground.device.run(() => {}));

/** Leaves a picture of what is on the screen. */
export async function shoot(page, name) {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(400); // bars move
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png` });
}

/** Texts whose contrast to what is behind them is below 4.5 : 1. */
export function poorContrasts() {
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = numbers(color).slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if ((numbers(color)[3] ?? 1) === 1) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !element.checkVisibility() || element.closest('#message, :disabled, svg, .unseen')) continue;
    const [a, b] = [getComputedStyle(element).color, behind(element)].map(luminance);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) poor.push(`${element.textContent.trim().slice(0, 20)}: ${contrast.toFixed(2)}`);
  }
  return poor;
}

/** Runs the tests whose names hold all words of the command line, says how they went, and ends the process. */
export async function runTests() {
  const words = process.argv.slice(2);
  let failed = 0;
  for (const { name, body } of tests) {
    if (!words.every((word) => name.includes(word))) continue;
    const started = performance.now();
    try {
      await body();
      console.log(`ok    ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed++;
      console.log(`FAIL  ${name}\n${error.stack}`);
    }
    for (const context of browser.contexts()) await context.close();
  }
  await browser.close();
  server.close();
  console.log(failed ? `${failed} failed` : 'all passed');
  process.exit(failed ? 1 : 0);
}
