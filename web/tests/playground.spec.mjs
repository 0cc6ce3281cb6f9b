// Clicks through the playground in the system's Chromium, on its software WebGPU adapter.
//
//     node web/tests/playground.spec.mjs [words of test names]
//
// Pictures go to web/screenshots/latest; the exit status says whether all passed.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { launch } from './lib/browser.mjs';
import { serve } from './lib/server.mjs';

const SCREENSHOTS = fileURLToPath(new URL('../screenshots/latest/', import.meta.url));
const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 360, height: 780 };
const MINUTE = 60_000;

const server = await serve({ root: fileURLToPath(new URL('../dist', import.meta.url)) });
const address = `${server.url}/`;
const browser = await launch();
mkdirSync(SCREENSHOTS, { recursive: true });

const tests = [];
const test = (name, body) => tests.push({ name, body });
const note = (text) => console.log(`      ${text}`);

/** Watches for tasks of the main thread that are long, from the start of the page. */
function watchTasks() {
  globalThis.longTasks = [];
  new PerformanceObserver((list) => {
    globalThis.longTasks.push(...list.getEntries().map(({ duration }) => duration));
  }).observe({ type: 'longtask', buffered: true });
}

/** A page that fails the test on an uncaught error or a request to another host. */
async function openPage({ hash = '', viewport = DESKTOP, theme = 'light', before = null, ready = true, trace = false } = {}) {
  const page = await browser.newPage({ viewport, colorScheme: theme, hasTouch: viewport === PHONE });
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error.stack)));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(server.url) && !url.startsWith('data:')) page.problems.push(`asked for ${url}`);
  });
  await page.addInitScript(watchTasks);
  if (trace) await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
  if (before) await page.addInitScript(before);
  await page.goto(address + hash);
  if (ready) await page.waitForFunction(() => performance.getEntriesByName('ready').length > 0, null, { timeout: MINUTE });
  return page;
}

async function closePage(page) {
  const { problems } = page;
  await page.close();
  assert.deepEqual(problems, [], 'uncaught errors or foreign requests');
}

const textOf = (page, id) => page.locator(`#${id}`).textContent();
const stepsOf = async (page) => Number((await textOf(page, 'steps')).replaceAll(',', ''));
const accuracyOf = async (page) => Number.parseFloat(await textOf(page, 'accuracy'));

const untilSteps = (page, least) => page.waitForFunction(
  (n) => Number(document.querySelector('#steps').textContent.replaceAll(',', '')) >= n, least, { timeout: MINUTE });

const untilAccuracy = (page, least) => page.waitForFunction(
  (percent) => Number.parseFloat(document.querySelector('#accuracy').textContent) >= percent, least, { timeout: MINUTE });

/** Presses Run and returns the seconds until the test accuracy is reached. */
async function train(page, percent) {
  const started = performance.now();
  await page.click('#run');
  await untilSteps(page, 1);
  const first = performance.now() - started;
  await untilAccuracy(page, percent);
  const seconds = (performance.now() - started) / 1000;
  note(`${await textOf(page, 'accuracy')} after ${await textOf(page, 'steps')} steps and ${seconds.toFixed(1)} s, ${await textOf(page, 'rate')} steps/s; first step ${first.toFixed(0)} ms after the click`);
  return seconds;
}

/**
 * No task of the main thread over 100 ms. Here the processor also plays the GPU and takes the main
 * thread off its core at any moment, so a task is judged by its time on a core; its time by the clock
 * is printed beside it.
 */
async function checkTasks(page, what) {
  const longest = Math.max(0, ...(await page.evaluate(() => globalThis.longTasks)));
  const onCore = longestOnCore(JSON.parse((await browser.stopTracing()).toString()).traceEvents);
  note(`${what}: longest task of the main thread ${longest ? `${longest.toFixed(0)} ms` : 'below 50 ms'}, on a core ${onCore.toFixed(0)} ms; load ${loadavg()[0].toFixed(1)} on ${cpus().length} cores`);
  assert.ok(onCore <= 100, `a task of ${longest} ms, ${onCore} ms on a core`);
}

/** The longest task of the page's main thread in a trace, by its time on a core, in ms. */
function longestOnCore(events) {
  const page = events.find(({ name, args }) => name === 'ParseHTML' && args.beginData?.url?.startsWith(server.url));
  const tasks = events.filter(({ name, pid, tid }) => pid === page.pid && tid === page.tid && name.endsWith('RunTask'));
  assert.ok(tasks.length > 0, 'no tasks in the trace');
  return tasks.reduce((most, { tdur = 0 }) => Math.max(most, tdur / 1000), 0);
}

async function shoot(page, name) {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(400); // bars move
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png` });
}

/** Draws strokes, lists of points in [0, 1]², with the mouse. */
async function draw(page, ...strokes) {
  await page.click('#clear');
  const { x, y, width, height } = await page.locator('#pad').boundingBox();
  const place = ([across, down]) => [x + across * width, y + down * height];
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(...place(first));
    await page.mouse.down();
    for (const point of rest) await page.mouse.move(...place(point), { steps: 4 });
    await page.mouse.up();
  }
}

const looksLike = (page, digit) => page.waitForFunction(
  (text) => document.querySelector('#guess').textContent === text, `Looks like a ${digit}.`, { timeout: 10_000 });

const arc = (x, y, rx, ry, from, to) => Array.from({ length: 17 }, (_, i) => {
  const angle = ((from + ((to - from) * i) / 16) * Math.PI) / 180;
  return [x + rx * Math.sin(angle), y - ry * Math.cos(angle)];
});
const DRAWINGS = {
  0: [arc(0.5, 0.5, 0.2, 0.33, 0, 360)],
  1: [[[0.5, 0.15], [0.5, 0.85]]],
  2: [[...arc(0.5, 0.33, 0.2, 0.18, -80, 120), [0.3, 0.82], [0.72, 0.82]]],
  3: [[...arc(0.47, 0.32, 0.19, 0.17, -70, 180), ...arc(0.47, 0.67, 0.22, 0.18, 0, 250)]],
  4: [[[0.5, 0.15], [0.28, 0.58], [0.75, 0.58]], [[0.6, 0.38], [0.57, 0.88]]],
  5: [[[0.68, 0.15], [0.36, 0.15], [0.34, 0.45], ...arc(0.47, 0.63, 0.22, 0.2, -20, 230)]],
  6: [[[0.6, 0.13], [0.42, 0.35], [0.34, 0.6], ...arc(0.5, 0.67, 0.17, 0.17, -90, 270)]],
  7: [[[0.3, 0.18], [0.7, 0.18], [0.42, 0.85]]],
  8: [[...arc(0.5, 0.33, 0.16, 0.17, 180, -180), ...arc(0.5, 0.68, 0.19, 0.18, 0, 360)]],
  9: [[...arc(0.48, 0.35, 0.18, 0.19, 90, -270), [0.64, 0.6], [0.56, 0.88]]],
};

test('spirals reach 95 % within a minute', async () => {
  const page = await openPage({ hash: '#plane?data=circles', trace: true });
  note(`ready ${(await page.evaluate(() => performance.getEntriesByName('ready')[0].startTime)).toFixed(0)} ms after the start of the page load; adapter: ${await textOf(page, 'adapter')}`);
  await page.click('label:has(input[value="spirals"])');
  await page.waitForFunction(() => location.hash.includes('data=spirals'));
  assert.ok(await train(page, 95) < 60);
  await page.click('#run');
  await page.selectOption('#plane [data-key="speed"] select', '0');
  await page.click('#reset');
  await page.waitForFunction(() => document.querySelector('#steps').textContent === '0');
  note('and at full speed:');
  assert.ok(await train(page, 95) < 60);
  await page.waitForTimeout(1500);
  await checkTasks(page, 'spirals');
  await page.click('#run');
  const colors = await page.evaluate(() => {
    const canvas = document.querySelector('#surface');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert.ok(colors > 50, `${colors} colours on the surface`);
  await shoot(page, 'plane-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForTimeout(300);
  await shoot(page, 'plane-dark');
  await closePage(page);
});

test('the largest net stays responsive', async () => {
  const page = await openPage({ hash: '#plane?layers=32,32,32,32,32,32&features=x,y,x2,y2,xy,sinx,siny&rate=0.001&speed=0', trace: true });
  await page.click('#run');
  await page.waitForTimeout(6000);
  await checkTasks(page, `six layers of 32, ${await textOf(page, 'rate')} steps/s`);
  await closePage(page);
});

test('digits reach 96 % within a minute, and drawings are read', async () => {
  const page = await openPage({ trace: true });
  await page.click('#tab-digits');
  await page.waitForFunction(() => location.hash.startsWith('#digits') && document.querySelector('#accuracy').textContent !== '–');
  assert.ok(await train(page, 96) < 60);
  await draw(page, ...DRAWINGS[1]);
  await looksLike(page, 1); // while training goes on
  await page.waitForTimeout(3000);
  await page.click('#run');
  await page.waitForFunction(() => document.querySelector('#run').textContent.includes('Run'));
  for (const [digit, strokes] of Object.entries(DRAWINGS)) {
    await draw(page, ...strokes);
    await looksLike(page, digit);
  }
  await checkTasks(page, 'digits');
  await draw(page, ...DRAWINGS[2]);
  await looksLike(page, 2);
  await shoot(page, 'digits-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForTimeout(300);
  await shoot(page, 'digits-dark');
  await page.locator('#mistakes button').first().click();
  await page.waitForFunction(() => document.querySelector('#guess').textContent.startsWith('Looks like'));
  await closePage(page);
});

test('a link shares an experiment: same settings, same bits', async () => {
  const page = await openPage();
  await page.click('label:has(input[value="gaussians"])');
  await page.locator('[data-key="noise"] input').fill('30');
  await page.click('label:has(input[value="xy"])');
  await page.click('.plane .add, #plane .add');
  await page.selectOption('[data-key="activation"] >> visible=true >> select', 'relu');
  await page.selectOption('[data-key="rate"] >> visible=true >> select', '0.03');
  await page.fill('#plane-seed', '77');
  await page.waitForFunction(() => /seed=77/.test(location.hash) && /layers=16,16,16&/.test(location.hash));
  const run = async (p) => {
    for (let i = 1; i <= 3; i++) {
      await p.click('#step');
      await untilSteps(p, i);
    }
    await p.waitForTimeout(300);
    return p.evaluate(() => {
      const { loss, testLoss, accuracy } = globalThis.playground.tabs.plane.view.figures;
      return { hash: location.hash, loss, testLoss, accuracy };
    });
  };
  const here = await run(page);
  note(here.hash);
  await page.reload();
  await page.waitForFunction(() => performance.getEntriesByName('ready').length > 0);
  assert.equal(await page.locator('[data-key="noise"] input').inputValue(), '30');
  assert.ok(await page.locator('input[value="xy"]').isChecked());
  assert.deepEqual(await run(page), here);
  await closePage(page);
  const other = await openPage({ hash: here.hash });
  assert.deepEqual(await run(other), here);
  await closePage(other);
  const nonsense = await openPage({ hash: '#plane?data=toString&noise=1e9&layers=0,99&features=&rate=-1&seed=x' });
  assert.match(await nonsense.evaluate(() => location.hash), /data=spirals&noise=10&.*layers=16,16&.*rate=0.01&.*seed=1&/);
  await closePage(nonsense);
});

test('everything works with the keyboard', async () => {
  const page = await openPage();
  const running = (on) => page.waitForFunction((want) => document.querySelector('#run').classList.contains('running') === want, on);
  await page.keyboard.press('s');
  await untilSteps(page, 1);
  await page.keyboard.press('r');
  await running(true);
  await untilSteps(page, 20);
  await page.keyboard.press('r');
  await running(false);
  await page.keyboard.press('0');
  await page.waitForFunction(() => document.querySelector('#steps').textContent === '0');
  await page.keyboard.press('?');
  assert.ok(await page.locator('#shortcuts').isVisible());
  await page.keyboard.press('Escape');
  // By Tab from the top: every stop shows a focus ring and has a name.
  await page.evaluate(() => document.activeElement.blur());
  const stops = [];
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      if (at === document.body) return null;
      const ring = [at, at.parentElement.querySelector('canvas'), at.nextElementSibling]
        .some((element) => element && getComputedStyle(element).outlineStyle === 'solid');
      const name = at.ariaLabel || at.labels?.[0]?.textContent.trim() || at.textContent.trim();
      return { id: at.id || at.value || at.type, name, ring };
    });
    if (!stop) break;
    stops.push(stop);
  }
  assert.ok(stops.length > 15, `${stops.length} stops`);
  assert.deepEqual(stops.filter(({ name, ring }) => !name || !ring), []);
  await page.locator('[data-key="data"] input').first().focus();
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => location.hash.includes('data=circles'));
  await page.locator('#plane .layer input').first().focus();
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(() => location.hash.includes('layers=15,16'));
  await page.focus('#network');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  assert.match(await textOf(page, 'surface-of'), /layer 1, unit 1/);
  // To the other tab, and a digit drawn with the arrow keys.
  await page.focus('#tab-plane');
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => location.hash.startsWith('#digits') && document.querySelector('#accuracy').textContent !== '–');
  await page.keyboard.press('r');
  await untilAccuracy(page, 96);
  await page.focus('#pad');
  await page.keyboard.press(' ');
  for (let i = 0; i < 15; i++) await page.keyboard.press('ArrowDown');
  await looksLike(page, 1);
  await page.keyboard.press('Delete');
  await page.waitForFunction(() => document.querySelector('#guess').textContent === 'Nothing drawn yet.');
  await closePage(page);
});

test('a lost device is noticed, and training goes on from the last weights', async () => {
  const page = await openPage();
  await train(page, 90);
  const before = await stepsOf(page);
  await page.evaluate(() => globalThis.playground.device.gpu.destroy());
  await page.waitForFunction(() => /lost/.test(document.querySelector('#message').textContent), null, { timeout: 20_000 });
  const message = await textOf(page, 'message');
  note(message);
  const from = Number(message.match(/step ([\d,]+)/)[1].replaceAll(',', ''));
  assert.ok(from > before * 0.5, `from step ${from}, after ${before}`);
  await untilSteps(page, before + 50);
  assert.ok(await accuracyOf(page) >= 85, `${await accuracyOf(page)} %`);
  // And while it is paused.
  await page.click('#run');
  await page.waitForTimeout(500);
  await page.evaluate(() => {
    document.querySelector('#message').textContent = '';
    globalThis.playground.device.gpu.destroy();
  });
  await page.waitForFunction(() => /lost/.test(document.querySelector('#message').textContent), null, { timeout: 20_000 });
  const at = await stepsOf(page);
  await page.click('#step');
  await untilSteps(page, at + 1);
  await closePage(page);
});

test('a hidden tab pauses', async () => {
  const page = await openPage();
  await page.click('#run');
  await untilSteps(page, 20);
  const hide = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  await page.waitForTimeout(1500);
  const at = await stepsOf(page);
  await page.waitForTimeout(1500);
  assert.equal(await stepsOf(page), at);
  await hide(false);
  await untilSteps(page, at + 20);
  await closePage(page);
});

test('models are given back', async () => {
  const page = await openPage();
  await page.evaluate(async () => {
    const { Model, Trainer } = await import('./pkg/wgrad.js');
    globalThis.freed = { models: 0, trainers: 0, made: 0 };
    const wrap = (type, key) => {
      const { free } = type.prototype;
      type.prototype.free = function () { globalThis.freed[key]++; return free.call(this); };
    };
    wrap(Model, 'models');
    wrap(Trainer, 'trainers');
    const { create } = Model;
    Model.create = function (...rest) { globalThis.freed.made++; return create.apply(this, rest); };
  });
  await page.click('#run');
  for (let i = 0; i < 10; i++) {
    await page.click('#reset');
    await page.waitForTimeout(150);
  }
  await page.click('#run');
  await page.waitForTimeout(500);
  const { models, trainers, made } = await page.evaluate(() => globalThis.freed);
  note(`${made} models made, ${models} given back`);
  assert.ok(made >= 3);
  assert.deepEqual([models, trainers], [made, made]); // the first one is among those given back
  await closePage(page);
});

test('a loss that is not finite stops training and is said', async () => {
  const page = await openPage({ hash: '#plane?optimizer=sgd&rate=1&loss=mean_squared_error&activation=relu&layers=32,32,32' });
  await page.click('#run');
  await page.waitForFunction(() => document.querySelector('#message').textContent.startsWith('Training stopped:'), null, { timeout: MINUTE });
  note(await textOf(page, 'message'));
  assert.match(await textOf(page, 'run'), /Run/);
  await closePage(page);
});

test('every loss and optimizer trains', async () => {
  const page = await openPage({ hash: '#plane?data=gaussians&features=x,y&layers=4' });
  await page.click('#run');
  for (const [key, choices] of [
    ['loss', ['binary_cross_entropy', 'softmax_cross_entropy', 'mean_squared_error', 'mean_absolute_error', 'huber']],
    ['optimizer', ['sgd', 'momentum', 'nesterov', 'adam', 'adamw']],
    ['activation', ['relu', 'leaky_relu', 'sigmoid', 'gelu', 'tanh']],
    ['batch', ['1', '0', '16']],
  ]) {
    for (const choice of choices) {
      await page.selectOption(`#plane [data-key="${key}"] select`, choice);
      await page.waitForFunction((part) => location.hash.includes(part), `${key}=${choice}`);
      await page.waitForTimeout(200);
      const from = await stepsOf(page);
      await page.waitForFunction((n) => {
        const steps = Number(document.querySelector('#steps').textContent.replaceAll(',', ''));
        return steps >= n || steps < n - 20;
      }, from + 20, { timeout: MINUTE });
    }
  }
  await untilAccuracy(page, 95);
  assert.equal(await textOf(page, 'message'), '');
  await closePage(page);
});

test('a browser without WebGPU sees what to do', async () => {
  const without = () => Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined });
  const page = await openPage({ before: without, ready: false });
  await page.locator('#panel h2').waitFor();
  assert.match(await textOf(page, 'panel'), /does not offer WebGPU.*Chrome/s);
  await shoot(page, 'no-webgpu');
  await closePage(page);
  // WebGPU without an adapter.
  const none = () => { GPU.prototype.requestAdapter = async () => null; };
  const bare = await openPage({ before: none, ready: false });
  await bare.locator('#panel h2').waitFor();
  assert.match(await textOf(bare, 'panel'), /found no GPU/);
  await closePage(bare);
});

test('phones and both themes: no sideways scrolling, enough contrast', async () => {
  for (const tab of ['plane', 'digits']) {
    const page = await openPage({ hash: `#${tab}`, viewport: PHONE });
    for (const theme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: theme });
      await page.waitForTimeout(200);
      for (const width of [360, 412, 768, 1024]) {
        await page.setViewportSize({ width, height: 780 });
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${tab} scrolls by ${over} px at ${width}`);
      }
      await page.setViewportSize(PHONE);
      await page.waitForTimeout(200);
      await shoot(page, `${tab}-phone-${theme}`);
      const poor = await page.evaluate(poorContrasts);
      assert.deepEqual(poor, [], `${tab}, ${theme}`);
    }
    await closePage(page);
  }
});

/** Texts whose contrast to what is behind them is below 4.5 : 1. */
function poorContrasts() {
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
