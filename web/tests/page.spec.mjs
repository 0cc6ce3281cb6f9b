// What the playground says and shows, in the system's Chromium, and the page of the comparison.
//
//     node web/tests/page.spec.mjs [words of test names]

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import {
  FOLD, PHONE, address, atStart, browser, checkAccess, closePage, figuresOf, idle, note, openPage, pause, picture, runTests,
  server, shoot, step, test, textOf, untilSteps,
} from './lib/playground.mjs';
import { DRAWINGS, draw } from './lib/drawing.mjs';
import { EXPERIMENTS, FOLDER, programsAt } from './lib/programs.mjs';

const until = (page, condition, argument) => page.waitForFunction(condition, argument);

/** What somebody asks who knows nothing of networks, and what of the text answers it. */
const QUESTIONS = {
  'what is this?': /small neural network that is being trained, right now, by your own graphics processor/,
  'what are the points?': /points of two classes: orange discs \(class A\) and blue triangles \(class B\)/,
  'what has the net to do?': /is told where a point lies and has to say which class it is/,
  'what is a unit?': /multiplies each by a weight of its own, adds them up.*its bias, and bends the sum/,
  'what is a small picture?': /Each small picture in the diagram shows what one unit answers at every place of the square/,
  'what do the colours mean?': /blue is positive and orange is negative; the paler a colour, the closer to zero/,
  'what does the background mean?': /where it is blue the net says class B, where it is orange class A, and where it is pale it is unsure/,
  'what is the dark line?': /The dark line runs where it cannot decide/,
  'why are some points hollow?': /hollow ones are kept back for testing/,
  'why is a picture struck out?': /struck out answers nothing anywhere/,
  'what do the lines mean?': /A line is a weight: how much one unit listens to another/,
  'why thick, why dashed?': /Thicker lines are larger weights\. A solid blue line adds what it carries, a dashed orange line subtracts it/,
  'what is forward?': /goes through the net from left to right, and out come its guesses/,
  'what is backward?': /From right to left the net works out, for every single weight, whether the loss would fall/,
  'what is an update?': /Every weight is moved a little in the direction that lowers the loss/,
  'what is an epoch?': /When every point has been used once, an epoch is over/,
  'what is the loss?': /The loss is one number for how wrong they are/,
  'which curve is which?': /dashed grey curve is the loss on the points the net learns from, the solid green one the loss on the test points/,
  'when is a curve bad?': /If the dashed one falls on while the solid one rises.*overfits/,
  'what is accuracy?': /Test accuracy is the share of test points on the right side/,
  'what is weight decay?': /pulls all weights towards zero/,
  'what are the bars of the digits?': /how sure the net is of each/,
  'why that digit?': /which of your pixels the answer comes from: blue ones speak for it, orange ones against it/,
  'what is clustering?': /The machine is to find groups by itself: clustering/,
  'what do the centres do?': /Every point goes to the nearest of k numbered centres; then every centre moves to the middle of its points/,
  'what are the regions?': /all places that are nearest to one centre/,
  'what are the principal axes?': /axis 1 runs along the direction in which the points differ most/,
  'why a GPU?': /for every point of the batch and every unit at once, which is data parallelism/,
};

async function textAnswers(page) {
  const text = (await page.locator('#explained').innerText()).replace(/\s+/g, ' ');
  for (const [question, answer] of Object.entries(QUESTIONS)) assert.match(text, answer, question);
}

/** Follows every link from the playground to pages and files of its own server. */
async function linksLead() {
  const seen = new Set();
  const kinds = new Set();
  for (const open = [address]; open.length > 0;) {
    const at = open.pop();
    if (seen.has(at)) continue;
    seen.add(at);
    const response = await fetch(at);
    assert.equal(response.status, 200, at);
    if (!response.headers.get('content-type').startsWith('text/html')) continue;
    const html = await response.text();
    for (const [, href] of html.matchAll(/<a [^>]*?href="([^"]+)"/g)) {
      const to = new URL(href, at);
      if (to.origin !== server.url) continue; // what documents cite
      kinds.add(to.pathname);
      if (to.hash && !to.pathname.includes('/compare/')) {
        const other = to.pathname === new URL(at).pathname ? html : await (await fetch(to)).text();
        assert.ok(other.includes(`id="${decodeURIComponent(to.hash.slice(1))}"`), `${href} of ${at}`);
      }
      to.hash = '';
      open.push(to.href);
    }
  }
  for (const link of ['/wgrad-source.tar.gz', '/docs/', '/docs/package.html', '/compare/', '/LICENSE-MIT.txt', '/LICENSE-APACHE.txt']) {
    assert.ok(kinds.has(link), link);
  }
  note(`${seen.size} pages and files are linked to`);
}

/** Points, borders, lines, curves and bars against what they lie on, in both themes. */
async function contrasts(page) {
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme });
    await until(page, async () => {
      const { theme } = await import('./colors.js');
      return theme().card === getComputedStyle(document.documentElement).getPropertyValue('--card').trim();
    });
    const poor = await page.evaluate(async () => {
      const { theme } = await import('./colors.js');
      const colors = theme();
      const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
      const luminance = (color) => {
        const [r, g, b] = color.map((value) => {
          const share = value / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const contrast = (a, b) => {
        const [x, y] = [a, b].map(luminance);
        return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
      };
      const style = getComputedStyle(document.documentElement);
      const named = (name) => channels(style.getPropertyValue(`--${name}`).trim());
      const map = [...colors.ramp].map((word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255]);
      const pairs = [];
      // Points, their rims, the undecided line and the axes on all colours that a map can have.
      for (const name of ['zero', 'one', 'ink', 'boundary']) for (const color of map) pairs.push([`${name} on the map`, named(name), color]);
      // Weights, units' borders, the two curves, controls' borders and the timeline on a card and on the paper.
      for (const name of ['zero', 'one', 'muted', 'accent', 'edge', 'forward', 'backward']) {
        for (const ground of ['card', 'paper', 'sunk']) pairs.push([`${name} on ${ground}`, named(name), named(ground)]);
      }
      // Hollow points: the rim against what is within.
      for (const name of ['zero', 'one']) pairs.push([`${name} around card`, named(name), named('card')]);
      return [...new Set(pairs.filter(([, a, b]) => contrast(a, b) < 3).map(([what]) => what))];
    });
    assert.deepEqual(poor, [], theme);
    await checkAccess(page, `plane, ${theme}`);
  }
}

test('says what it is and what to press, answers a newcomer, leads on, and has contrast', async () => {
  const page = await openPage({ viewport: FOLD });
  assert.match(await textOf(page, 'surface-lead'), /answer/);
  assert.equal(await page.locator('h1').innerText(), 'Watch a neural network learn on your own GPU');
  for (const tab of ['plane', 'digits']) {
    await page.click(`#tab-${tab}`);
    await atStart(page, tab);
    const cards = await page.locator(`#${tab} .card:visible, #timeline`).evaluateAll((all) => all.map((card) => [
      card.querySelector('h2').textContent.trim(), card.querySelector('.lead')?.textContent.trim() ?? '']));
    assert.ok(cards.length >= 5, `${cards.length} cards`);
    assert.deepEqual(cards.filter(([, lead]) => lead.length < 15), []);
    assert.match(await page.locator('.intro p').innerText(), tab === 'plane' ? /points apart/ : /digits/);
    // Where nothing was trained nothing is drawn, and the words are there.
    const chart = await picture(page, `${tab}-chart`);
    await page.click(`#${tab}-log`);
    assert.deepEqual(await picture(page, `${tab}-chart`), chart, 'without a step there are no axes that could change');
    await page.click(`#${tab}-log`);
    assert.ok(await page.locator('#timeline .when-empty').isVisible());
    const start = page.locator(`#${tab} .start`);
    await start.click();
    await untilSteps(page, 1);
    assert.ok(await start.isHidden());
    await pause(page);
    assert.notEqual((await picture(page, `${tab}-chart`)).digest, chart.digest);
  }
  // What excites the first layer has shapes: neighbouring pixels are more alike than distant ones.
  await page.click('#run');
  await untilSteps(page, 60);
  await pause(page);
  assert.ok((await picture(page, 'filters')).colors > 50);
  await checkAccess(page, 'digits');
  await textAnswers(page);
  await linksLead();
  await page.click('#tab-plane');
  await contrasts(page);
  await closePage(page);
});

/** What the time line says. */
const timesOf = (page) => page.evaluate(() => ({
  rows: Object.fromEntries([...document.querySelectorAll('#timeline tbody tr')].map((row) => [...row.cells].map(({ textContent }) => textContent)).map(([part, ...rest]) => [part, rest])),
  counts: document.querySelector('#timeline .counts').textContent,
  notes: document.querySelector('#timeline .notes').textContent,
  bars: document.querySelectorAll('#timeline .gpu .bar').length,
  steps: Number(document.querySelector('#timeline').dataset.steps),
}));

test('cards wait for the engine, and say so; without timestamps the time of a step is the processor’s', async () => {
  let release;
  const asked = new Promise((resolve) => { release = resolve; });
  const page = await browser.newPage({ viewport: PHONE });
  await page.addInitScript(() => Object.defineProperty(GPUDevice.prototype, 'features', { get: () => new Set() }));
  await page.route('**/*.wasm', async (route) => { await asked; await route.continue(); });
  await page.goto(`${address}#plane?layers=8,8`);
  assert.ok(await page.locator('#loading').isVisible());
  assert.match(await textOf(page, 'loading-text'), /Loading/);
  assert.equal(await page.locator('.board:visible').count(), 0);
  const { x, width } = await page.locator('#loading').boundingBox();
  assert.ok(x >= 8 && x + width <= PHONE.width - 8, 'the panel is off the edges');
  release();
  await until(page, () => performance.getEntriesByName('ready').length > 0);
  assert.ok(await page.locator('#loading').isHidden());
  await step(page, 1);
  await until(page, () => document.querySelector('#timeline').dataset.steps === '1');
  const found = await timesOf(page);
  assert.equal(found.bars, 1);
  assert.match(found.notes, /no timestamps/);
  assert.equal(found.rows.forward[0], 'not stamped');
  await page.close();
});

/** Goes through the tour: every place in sight, and so is what is said of it. */
async function takeTour(page) {
  const viewport = page.viewportSize();
  assert.ok(await page.locator('#guide').isHidden(), 'only for those who ask');
  await page.click('#tour');
  const titles = [];
  for (;;) {
    await page.waitForTimeout(30);
    titles.push(await textOf(page, 'guide-title'));
    assert.equal(await page.locator('.toured').count(), 1);
    const [target, card] = await page.evaluate(() => ['.toured', '#guide'].map((selector) => {
      const { left, top, right, bottom } = document.querySelector(selector).getBoundingClientRect();
      return { left, top, right, bottom };
    }));
    assert.ok(card.left >= 0 && card.top >= 0 && card.right <= viewport.width && card.bottom <= viewport.height, `${titles.at(-1)}: the card`);
    assert.ok(target.bottom > 0 && target.top < viewport.height, `${titles.at(-1)}: in sight`);
    const next = page.locator('#guide .next');
    if (await next.innerText() === 'Done') break;
    await next.click();
  }
  assert.equal(titles.length, 8);
  await page.click('#guide .back');
  assert.equal(await textOf(page, 'guide-title'), titles[6]);
  if (viewport.width === PHONE.width) await checkAccess(page, 'the tour');
  await page.keyboard.press('Escape');
  assert.ok(await page.locator('#guide').isHidden());
  assert.equal(await page.locator('.toured').count(), 0);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tour');
}

test('nothing is cut, hidden or covered, the main knobs are above the fold, and the tour shows it all', async () => {
  const page = await openPage({ viewport: FOLD });
  for (const tab of ['plane', 'digits']) {
    await page.click(`#tab-${tab}`);
    await atStart(page, tab);
    const problems = await page.evaluate((tab) => {
      const bad = [];
      const context = document.createElement('canvas').getContext('2d');
      for (const select of document.querySelectorAll(`#${tab} select`)) {
        if (!select.checkVisibility()) continue;
        context.font = getComputedStyle(select).font;
        const widest = Math.max(...[...select.options].map(({ text }) => context.measureText(text).width));
        if (widest + 26 > select.clientWidth) bad.push(`a select of ${Math.round(select.clientWidth)} px for ${Math.round(widest)}`);
      }
      const above = tab === 'plane' ? '.strip label, .tiles label, .chips label, .data .row, .layers .layer, .layers .add, #surface, #network' : '.strip label, .layers .add, #pad';
      for (const knob of document.querySelectorAll(above)) {
        if (!knob.checkVisibility()) continue;
        const { bottom, right } = knob.getBoundingClientRect();
        if (bottom > innerHeight || right > innerWidth) bad.push(`${knob.className || knob.id || knob.textContent} ends at ${Math.round(bottom)}`);
      }
      return bad;
    }, tab);
    assert.deepEqual(problems, [], tab);
  }
  await page.click('#tab-plane');
  await page.click('#share'); // says something
  await until(page, () => document.querySelector('#message').classList.contains('shown'));
  const covered = await page.evaluate(() => {
    const { left, right, top, bottom } = document.querySelector('#message').getBoundingClientRect();
    const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    const bar = document.querySelector('#transport').getBoundingClientRect();
    return { at: at.id, inside: top >= bar.top && bottom <= bar.bottom };
  });
  assert.deepEqual(covered, { at: 'message', inside: true });
  await takeTour(page);
  await closePage(page);
});

test('on a phone, in the dark: the main knobs follow the map, the tour fits, and nothing is a barrier', async () => {
  const phone = await openPage({ viewport: PHONE, theme: 'dark' });
  const [map, strip, run, label] = await phone.evaluate(() => ['#plane .map', '#plane .strip', '#run', '#run svg, #run span'].map((selector) => {
    const boxes = [...document.querySelectorAll(selector)].map((element) => element.getBoundingClientRect());
    return { left: Math.min(...boxes.map(({ left }) => left)), right: Math.max(...boxes.map(({ right }) => right)), top: boxes[0].top, bottom: boxes[0].bottom };
  }));
  assert.ok(strip.top - map.bottom < 40, `${strip.top - map.bottom} px from the map to the knobs`);
  assert.ok(Math.abs(label.left + label.right - run.left - run.right) < 4, 'Run is centred');
  await takeTour(phone);
  await checkAccess(phone, 'plane on a phone, dark');
  await phone.click('#tab-digits');
  await atStart(phone, 'digits');
  await step(phone, 1);
  await checkAccess(phone, 'digits on a phone, dark');
  await closePage(phone);
});

test('why it says so: pixels that speak for a digit and against it, which add up to its score', async () => {
  const page = await openPage({ hash: '#digits', viewport: FOLD });
  await atStart(page, 'digits');
  const empty = await picture(page, 'why');
  assert.match(await textOf(page, 'why-text'), /^Run, then draw/);
  await page.click('#run');
  await untilSteps(page, 100);
  await pause(page);
  await draw(page, ...DRAWINGS[3]);
  const said = (pattern) => until(page, (text) => new RegExp(text).test(document.querySelector('#why-text').textContent), pattern);
  /** What the net's score of a digit rises by from an empty pad, and what is said of it. */
  const rises = async () => {
    await idle(page);
    const [, digit, verb, by] = (await textOf(page, 'why-text')).match(/speak for a (\d).* they (raise|lower) the score of \d by ([\d.]+)/);
    const rise = await page.evaluate((digit) => {
      const { session, drawn } = globalThis.playground.tabs.digits.view;
      return session.use(async (model) => (await model.predict(drawn))[digit] - (await model.predict(drawn.map(() => 0)))[digit]);
    }, Number(digit));
    assert.ok(Math.abs(rise - (verb === 'raise' ? by : -by)) < 0.2 + 0.03 * Math.abs(rise), `${verb} by ${by}, not ${rise}`);
  };
  await said('^Blue pixels speak for a \\d, orange ones against it');
  await rises();
  const shown = await picture(page, 'why');
  assert.ok(shown.colors > 8 && shown.digest !== empty.digest, `${shown.colors}`);
  const guess = (await textOf(page, 'guess')).at(-2);
  const other = guess === '8' ? '1' : '8';
  await page.selectOption('#why-of', other);
  await said(`speak for a ${other} \\(its answer is ${guess}\\)`);
  await rises();
  assert.notEqual((await picture(page, 'why')).digest, shown.digest);
  await checkAccess(page, 'a digit and why');
  await shoot(page, 'digits-why');
  await page.click('#clear');
  await said('^Run, then draw');
  assert.equal((await picture(page, 'why')).digest, empty.digest);
  // What was asked of a pad that is cleared meanwhile is not shown, and a model that goes takes its explainer along.
  const late = await page.evaluate(async () => {
    const { Reasons } = await import('./reasons.js');
    let freed = 0;
    const explainer = {
      integratedGradients: async () => ({ attributions: new Float32Array(64).fill(1) }),
      free() { freed += 1; },
    };
    const model = { explainer: async () => explainer };
    const reasons = new Reasons((id) => document.getElementById(id), () => {});
    const texts = [];
    for (const end of [() => reasons.clear(), () => {}]) {
      const asked = reasons.find(model, new Float32Array(64), 3);
      await Promise.resolve();
      end();
      await asked;
      texts.push(document.querySelector('#why-text').textContent.slice(0, 3));
    }
    const before = freed;
    reasons.release();
    return { texts, before, after: freed };
  });
  assert.deepEqual(late.texts, ['Run', 'Blu']);
  assert.equal(late.after - late.before, 1);
  await closePage(page);
});

test('the time of a step is shown, kernel by kernel', async () => {
  const page = await openPage({ hash: '#plane?layers=8,8' });
  await atStart(page);
  await step(page, 1);
  await until(page, () => document.querySelector('#timeline').dataset.steps === '1');
  await page.click('#run');
  await until(page, () => Number(document.querySelector('#timeline').dataset.steps) >= 8);
  await pause(page);
  const { rows, counts, notes, bars } = await timesOf(page);
  note(`${JSON.stringify(rows)} ${counts}`);
  assert.deepEqual(Object.keys(rows), ['upload', 'forward', 'backward', 'update', 'readback']);
  const kernels = ['forward', 'backward', 'update'].map((part) => Number(rows[part][1]));
  assert.equal(kernels[2], 1);
  assert.ok(kernels[0] >= 4 && kernels[1] >= 4, `${kernels}`);
  assert.equal(bars, kernels[0] + kernels[1] + kernels[2], 'a bar for each kernel');
  assert.match(counts, new RegExp(`^Each step: ${bars} kernels`));
  for (const part of Object.keys(rows)) assert.ok(Number.parseFloat(rows[part][0]) >= 0, `${part}: ${rows[part][0]}`);
  assert.ok(['forward', 'backward'].every((part) => Number.parseFloat(rows[part][0]) > 0));
  assert.doesNotMatch(notes, /no timestamps/);
  // What records puts everything back.
  assert.ok(await page.evaluate(() => GPUQueue.prototype.submit.toString().includes('[native code]')));
  await closePage(page);
});

test('the experiment as code: on screen, in JavaScript with the same figures, in Rust as it is compiled', async () => {
  for (const [name, [hash, steps]] of Object.entries(EXPERIMENTS)) {
    assert.equal(programsAt(hash, steps).rust, await readFile(`${FOLDER}${name}.rs`, 'utf8'), `${name}.rs: node web/tests/lib/programs.mjs`);
  }
  const page = await openPage({ hash: EXPERIMENTS.plane[0] });
  await atStart(page);
  const batches = EXPERIMENTS.plane[1]; // an epoch
  for (let i = 1; i <= batches; i++) await step(page, i);
  await idle(page);
  const { testLoss, hash } = await figuresOf(page);
  await page.click('#code');
  const shown = await page.locator('#program pre').textContent();
  assert.equal(shown, programsAt(hash, batches).javascript);
  await checkAccess(page, 'the program');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.url });
  await page.click('#program label:has(input[value="rust"])');
  await page.click('#program .copy');
  await until(page, () => /Copied/.test(document.querySelector('#program [role="status"]').textContent));
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), programsAt(hash, batches).rust);
  await closePage(page);
  // As programs of their own, beside the package; tests/page.rs has those in Rust come to the same losses.
  const losses = JSON.parse(await readFile(`${FOLDER}losses.json`, 'utf8'));
  for (const [name, program] of [['plane', shown], ['digits', programsAt(...EXPERIMENTS.digits).javascript]]) {
    const other = await browser.newPage();
    await other.goto(`${server.url}/LICENSE-MIT.txt`);
    const result = other.waitForEvent('console', { predicate: async (message) => message.args().length === 1 });
    await other.evaluate((text) => {
      const script = document.createElement('script');
      script.type = 'module';
      script.textContent = text;
      document.head.append(script);
    }, program.replace("'wgrad'", "'./pkg/wgrad.js'"));
    const { loss } = await (await result).args()[0].jsonValue();
    note(`${name}: loss ${loss}`);
    if (name === 'plane') assert.equal(loss, testLoss, 'what is on screen');
    assert.ok(Math.abs(loss - losses[name]) <= 1e-4 * losses[name], `${name}: ${loss}, not ${losses[name]}`);
    await other.close();
  }
});

test('the comparison runs here, shows a table, and shares it', async () => {
  const page = await browser.newPage({ viewport: FOLD });
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`${server.url}/compare/#nonsense&net=1`);
  assert.ok(await page.locator('#empty').isVisible());
  await page.evaluate(() => globalThis.runComparison({ rounds: 1, seconds: 0.05, rows: 64, only: '10-64-1' }));
  assert.equal(await page.locator('#rows tr').count(), 1);
  const row = await page.locator('#rows tr').innerText();
  note(row.replace(/\s+/g, ' '));
  assert.match(row, /10–64–1.*10 inputs, 64 units, 1 output; 32 rows a step/s);
  assert.match(row, /times as fast\s+yes: loss/);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: server.url });
  await page.click('#share');
  await until(page, () => /on the clipboard/.test(document.querySelector('#status').textContent));
  const link = await page.evaluate(() => navigator.clipboard.readText());
  const other = await browser.newPage({ viewport: PHONE, colorScheme: 'dark' });
  await other.goto(link);
  await other.locator('#result').waitFor();
  assert.match(await other.locator('#where').textContent(), /swiftshader/i);
  assert.match(await other.locator('#origin').textContent(), /from a link/);
  assert.equal((await other.locator('#rows .ratio').innerText()), await page.locator('#rows .ratio').innerText());
  assert.ok(await other.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await checkAccess(other, 'the comparison, dark');
  await other.close();
  await checkAccess(page, 'the comparison');
  await page.goto(`${server.url}/docs/package.html`);
  await checkAccess(page, 'a document');
  assert.deepEqual(errors, []);
  await page.close();
});

await runTests();
