// What a person can change in the playground: every control, points, weights by hand, and Back.
//
//     node web/tests/knobs.spec.mjs [words of test names]

import assert from 'node:assert/strict';
import {
  FOLD, accuracyOf, atStart, checkAccess, closePage, figuresOf, idle, note, openPage, pause, picture, runTests, step, test, textOf,
  untilSteps,
} from './lib/playground.mjs';
import { pointsAt } from './lib/programs.mjs';

const until = (page, condition, argument) => page.waitForFunction(condition, argument);
export const weightsOf = (page) => page.evaluate(() => globalThis.playground.tabs.plane.view.session.use(
  async (model) => (await model.weights()).map(({ data }) => [...data])));

test('test share, seed and layers can be changed', async () => {
  const page = await openPage();
  const first = await atStart(page);
  const share = page.locator('#plane [data-key="test"]');
  // 400 points in batches of 32: with a tenth of them for tests an epoch has 12 steps, with 60 % 5.
  for (const [percent, epoch] of [['10', '1'], ['60', '2']]) {
    await share.locator('input').fill(percent);
    await page.waitForFunction((part) => location.hash.includes(part), `test=${percent}&`);
    assert.equal(await share.locator('output').textContent(), `${percent} %`);
    await atStart(page);
    for (let i = 1; i <= 6; i++) {
      await page.click('#step');
      await untilSteps(page, i);
    }
    assert.equal(await textOf(page, 'epoch'), epoch, `the epoch after 6 steps, ${percent} % for tests`);
  }
  await page.click('#plane .dice');
  await page.waitForFunction(() => !location.hash.includes('seed=1&'));
  const seeded = await atStart(page);
  assert.match(seeded.hash, new RegExp(`seed=${await page.inputValue('#plane-seed')}&`));
  assert.notEqual(seeded.testLoss, first.testLoss, 'other points and weights');
  await page.click('#plane [aria-label="Remove layer 2"]');
  await page.waitForFunction(() => location.hash.includes('layers=16&'));
  await atStart(page);
  assert.equal(await page.locator('#plane .layer').count(), 1);
  assert.match(await page.evaluate(() => globalThis.playground.tabs.plane.view.session.model.summary()), /dense_2 /);
  await page.click('#plane [aria-label="Remove layer 1"]');
  await page.waitForFunction(() => location.hash.includes('layers=&'));
  await atStart(page);
  assert.doesNotMatch(await page.evaluate(() => globalThis.playground.tabs.plane.view.session.model.summary()), /dense_2 /);
  await page.click('#step');
  await untilSteps(page, 1);
  assert.equal(await textOf(page, 'message'), '');
  await closePage(page);
});

test('with every loss, optimizer, activation and batch size the loss falls', async () => {
  const page = await openPage({ hash: '#plane?data=gaussians&features=x,y&layers=4&rate=0.03&speed=0' });
  for (const [key, choices] of [
    ['loss', ['softmax_cross_entropy', 'mean_squared_error', 'mean_absolute_error', 'huber', 'binary_cross_entropy']],
    ['optimizer', ['sgd', 'momentum', 'nesterov', 'adamw', 'rmsprop', 'adagrad', 'adam']],
    ['activation', ['relu', 'leaky_relu', 'sigmoid', 'gelu', 'tanh']],
    ['batch', ['1', '0', '16']],
  ]) {
    for (const choice of choices) {
      await page.selectOption(`#plane [data-key="${key}"] select`, choice);
      await page.waitForFunction((part) => location.hash.includes(part), `${key}=${choice}`);
      await page.click('#reset');
      const before = await atStart(page);
      await page.click('#run');
      await untilSteps(page, 100);
      await pause(page);
      const after = await figuresOf(page);
      const fall = 1 - after.testLoss / before.testLoss;
      note(`${choice}: test loss ${before.testLoss.toFixed(4)} → ${after.testLoss.toFixed(4)} in ${await textOf(page, 'steps')} steps`);
      assert.ok(fall > 0.1, `${key}=${choice}: test loss ${before.testLoss} → ${after.testLoss}`);
    }
  }
  assert.ok(await accuracyOf(page) >= 95);
  assert.equal(await textOf(page, 'message'), '');
  await closePage(page);
});

test('a reset starts again, whatever is under way', async () => {
  const page = await openPage({ hash: '#plane?data=gaussians&features=x,y&layers=4&speed=0' });
  const first = await atStart(page);
  for (const optimizer of ['sgd', 'momentum', 'nesterov', 'adam']) {
    await page.click('#run');
    await untilSteps(page, 20);
    await page.click('#run');
    // The weights go on to another model, which is in the making when it is no longer asked for.
    await page.evaluate(async (optimizer) => {
      const select = document.querySelector('#plane [data-key="optimizer"] select');
      select.value = optimizer;
      select.dispatchEvent(new Event('input', { bubbles: true }));
      const { session } = globalThis.playground.tabs.plane.view;
      while (session.model !== null) await new Promise((resolve) => setTimeout(resolve));
      document.querySelector('#reset').click();
    }, optimizer);
    assert.equal((await atStart(page)).testLoss, first.testLoss, optimizer);
  }
  await closePage(page);
});

test('weight decay, regression, one colour per answer, and pictures of units', async () => {
  const page = await openPage({ hash: '#plane?data=slope&features=x,y&layers=8&speed=0&rate=0.03' });
  assert.equal((await atStart(page)).hash.match(/loss=(\w+)/)[1], 'mean_squared_error', 'a loss of values');
  assert.equal(await page.locator('[data-key="loss"] option').count(), 3);
  assert.equal(await textOf(page, 'score-name'), 'Test R²');
  await page.click('#run');
  await until(page, () => globalThis.playground.tabs.plane.view.figures.accuracy > 0.9);
  assert.match(await textOf(page, 'accuracy'), /^0\.\d{3}$/);
  await page.click('label:has(input[value="hills"])');
  await until(page, () => /data=hills/.test(location.hash));
  await until(page, () => globalThis.playground.tabs.plane.view.figures.accuracy > 0.5);
  await pause(page);
  // What is only on which side has two colours, and the lines that lie on them.
  const smooth = await picture(page, 'surface');
  await page.click('#discrete');
  const sharp = await picture(page, 'surface');
  assert.ok(sharp.digest !== smooth.digest && sharp.colors < smooth.colors, `${smooth.colors} → ${sharp.colors} colours`);
  await page.click('#discrete');
  assert.equal((await picture(page, 'surface')).digest, smooth.digest);
  await page.click('label:has(input[value="gaussians"])');
  await until(page, () => /data=gaussians&.*loss=mean_squared_error/.test(location.hash));
  await atStart(page);
  assert.equal(await page.locator('[data-key="loss"] option').count(), 5);
  assert.equal(await textOf(page, 'score-name'), 'Test accuracy');
  const norm = async () => Math.hypot(...(await weightsOf(page)).flat());
  await page.click('#run');
  await untilSteps(page, 200);
  await pause(page);
  const free = await norm();
  await page.selectOption('#plane [data-key="decay"] select', '0.1');
  await until(page, () => /decay=0.1/.test(location.hash));
  const from = await page.evaluate(() => globalThis.playground.tabs.plane.view.session.steps);
  assert.ok(from >= 200, 'the weights stay');
  await page.click('#run');
  await untilSteps(page, from + 300);
  await pause(page);
  const decayed = await norm();
  note(`norm of the weights ${free.toFixed(2)}, with weight decay ${decayed.toFixed(2)}`);
  assert.ok(decayed < 0.8 * free);
  // The output's picture is the map, and a unit that answers nothing is struck out.
  await page.evaluate(() => { location.hash = '#plane?data=circles&features=x,y&layers=6&activation=relu&speed=0'; });
  await until(page, () => /data=circles/.test(location.hash) && document.querySelector('#plane [data-key="activation"] select').value === 'relu');
  await atStart(page);
  await page.click('#run');
  await untilSteps(page, 150);
  await pause(page);
  const { rows, alike } = await page.evaluate(() => {
    const pixels = (id) => {
      const canvas = document.getElementById(id);
      return { canvas, data: canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data };
    };
    const [map, net] = [pixels('surface'), pixels('network')];
    const isBlue = ({ canvas, data }, x, y) => {
      const at = 4 * (Math.round(y) * canvas.width + Math.round(x));
      return data[at + 2] > data[at];
    };
    // The last column of the diagram is one square, at its right edge, in the middle.
    const scale = net.canvas.width / net.canvas.clientWidth;
    const size = Math.min(88 - 12, ((net.canvas.clientWidth - 42) / 3) * 0.5) * scale;
    const left = net.canvas.width - 6 * scale - size;
    const top = (net.canvas.height - size) / 2;
    let [rows, alike] = [0, 0];
    for (let i = 0.1; i < 0.95; i += 0.1) for (let j = 0.1; j < 0.95; j += 0.1) {
      rows++;
      alike += isBlue(map, i * map.canvas.width, j * map.canvas.height) === isBlue(net, left + i * size, top + j * size);
    }
    return { rows, alike };
  });
  note(`${alike} of ${rows} places are of the map's colour`);
  assert.ok(alike >= 0.85 * rows, 'points lie on the map, and not on the picture');
  // Lines from a corner of a square to the one across, while `edit` draws.
  const struckAfter = (bias) => page.evaluate(async (value) => {
    const { prototype } = CanvasRenderingContext2D;
    const { moveTo, lineTo } = prototype;
    const struck = new Set();
    let from = null;
    prototype.moveTo = function (x, y) { from = [x, y]; moveTo.call(this, x, y); };
    prototype.lineTo = function (x, y) {
      if (from && x - from[0] > 10 && Math.abs(x - from[0] - (y - from[1])) < 0.01) struck.add(from.join());
      lineTo.call(this, x, y);
    };
    try {
      await globalThis.playground.tabs.plane.view.session.edit((weights) => weights[1].data.fill(value));
      await new Promise((done) => { setTimeout(done, 500); });
    } finally {
      Object.assign(prototype, { moveTo, lineTo });
    }
    return struck.size;
  }, bias);
  assert.equal(await struckAfter(1), 0);
  assert.equal(await struckAfter(-1000), 6);
  const dead = await page.evaluate(async () => {
    const { scaled } = await import('./forward.js');
    return { dead: [...scaled(new Float32Array(4))], one: [...scaled(Float32Array.of(0, 1, 4))], both: [...scaled(Float32Array.of(-1, 2))] };
  });
  assert.deepEqual(dead, { dead: [0, 0, 0, 0], one: [0, 0.5, 1], both: [-0.5, 1] });
  await closePage(page);
});

test('points are added, moved and removed, by pointer and by keys; the link has them, and Back undoes', async () => {
  const page = await openPage({ hash: '#plane?data=gaussians&features=x,y&layers=4' });
  await atStart(page);
  await step(page, 1);
  const points = () => page.evaluate(() => {
    const { train, test } = globalThis.playground.tabs.plane.view.experiment.points;
    return { train: train.length, test: test.length, all: [...train, ...test] };
  });
  const surface = await page.locator('#surface').boundingBox();
  const place = ({ x, y }) => [surface.x + ((x + 6) / 12) * surface.width, surface.y + ((6 - y) / 12) * surface.height];
  const edits = async (pattern) => {
    await until(page, (text) => new RegExp(text).test(decodeURIComponent(location.hash)), `edits=${pattern}$`);
    await idle(page);
  };
  const mode = (name) => page.click(`#edit label:has(input[value="${name}"])`);
  const before = await points();
  await page.mouse.click(...place({ x: -3, y: 3 }));
  await mode('b');
  await page.mouse.click(...place({ x: -3, y: 3 }));
  await edits('a-3:3:1');
  await mode('a');
  await page.mouse.click(...place({ x: 3, y: -3 }));
  await edits('a-3:3:1,a3:-3:-1');
  assert.equal((await points()).train, before.train + 2, 'a click where nothing is edited adds nothing');
  assert.equal(await page.evaluate(() => globalThis.playground.tabs.plane.view.session.steps), 1, 'the weights stay');
  await mode('move');
  await page.mouse.move(...place({ x: -3, y: 3 }));
  await page.mouse.down();
  await page.mouse.move(...place({ x: 0, y: 4 }), { steps: 3 });
  await page.mouse.up();
  await edits('a-3:3:1,a3:-3:-1,m400:0:4');
  await mode('remove');
  await page.mouse.click(...place({ x: 3, y: -3 }));
  await edits('a-3:3:1,a3:-3:-1,m400:0:4,r401');
  const after = await points();
  assert.equal(after.train, before.train + 1);
  assert.deepEqual(after.all.filter(({ index }) => index >= 400).map(({ x, y, value }) => [x, y, value]), [[0, 4, 1]]);
  // The same by keys.
  await mode('a');
  await page.focus('#surface');
  for (const key of ['ArrowLeft', 'ArrowUp', 'ArrowUp', 'Space']) await page.keyboard.press(key);
  await edits('a-3:3:1,a3:-3:-1,m400:0:4,r401,a-0.25:0.5:-1');
  await mode('move');
  await page.focus('#surface');
  for (const key of ['ArrowLeft', 'ArrowUp', 'ArrowUp', 'Space', 'ArrowRight', 'Space']) await page.keyboard.press(key);
  await edits('.*,m402:0:0.5');
  // A link has them all; Back undoes one by one.
  assert.deepEqual(pointsAt(await page.evaluate(() => location.hash)), await page.evaluate(() => globalThis.playground.tabs.plane.view.experiment.points));
  await page.goBack();
  await edits('a-3:3:1,a3:-3:-1,m400:0:4,r401,a-0.25:0.5:-1');
  await page.goBack();
  await edits('a-3:3:1,a3:-3:-1,m400:0:4,r401');
  assert.equal((await points()).train, before.train + 1);
  // Other settings, too; and what Back undid Forward does again.
  await page.selectOption('#plane [data-key="batch"] select', '8');
  await until(page, () => /batch=8/.test(location.hash));
  await page.click('#tab-digits');
  await until(page, () => location.hash.startsWith('#digits'));
  await page.goBack();
  await until(page, () => location.hash.startsWith('#plane'));
  await page.goBack();
  await until(page, () => /batch=32/.test(location.hash));
  assert.equal(await page.locator('#plane [data-key="batch"] select').inputValue(), '32');
  await page.goForward();
  await until(page, () => document.querySelector('#plane [data-key="batch"] select').value === '8');
  // Changes are of those points: other points are as they are made.
  await page.locator('[data-key="noise"] input').fill('0');
  await edits('');
  await closePage(page);
});

test('edits that follow each other at once are all kept, and Back undoes them one by one', async () => {
  const page = await openPage({ hash: '#plane?data=gaussians&features=x,y&layers=2' });
  await atStart(page);
  await page.click('#edit label:has(input[value="b"])');
  await page.evaluate(() => {
    const canvas = document.querySelector('#surface');
    canvas.setPointerCapture = () => {};
    const { left, top, width } = canvas.getBoundingClientRect();
    for (const share of [0.25, 0.5, 0.75]) {
      const where = { bubbles: true, pointerId: 7, clientX: left + share * width, clientY: top + 0.5 * width };
      for (const type of ['pointerdown', 'pointerup']) canvas.dispatchEvent(new PointerEvent(type, where));
    }
  });
  for (const edits of ['a-3:0:1,a0:0:1,a3:0:1', 'a-3:0:1,a0:0:1', 'a-3:0:1', '']) {
    // Whole pixels are not whole places.
    const pattern = edits.replaceAll(/-?\d(?=:)/g, (number) => (number === '0' ? '-?0(\\.\\d+)?' : `${number.replace(/\d/, (digit) => `(${digit - 1}|${digit})`)}(\\.\\d+)?`));
    await until(page, (text) => new RegExp(text).test(decodeURIComponent(location.hash)), `edits=${pattern}$`);
    if (edits !== '') await page.goBack();
  }
  await idle(page);
  assert.equal(await page.evaluate(() => globalThis.playground.tabs.plane.view.experiment.points.train.length), 280);
  await closePage(page);
});

test('a weight is read and set by hand', async () => {
  const page = await openPage({ viewport: FOLD, hash: '#plane?data=gaussians&features=x,y&layers=3,2' });
  const first = await atStart(page);
  const canvas = await page.locator('#network').boundingBox();
  const find = (condition) => page.evaluate(([condition, width, height]) => {
    // By what the diagram says of places; a pointer that rests on a unit shows it.
    const canvas = document.querySelector('#network');
    const send = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, { bubbles: true, clientX: canvas.getBoundingClientRect().left + x, clientY: canvas.getBoundingClientRect().top + y, pointerType: 'mouse' }));
    for (let x = 4; x < width; x += 14) for (let y = 4; y < height; y += 14) {
      send('pointermove', x, y);
      if (document.querySelector('#surface-of').textContent.startsWith(condition)) return [x, y];
    }
    return null;
  }, [condition, canvas.width, canvas.height]);
  const at = await find('layer 1, unit 2');
  await page.mouse.click(canvas.x + at[0], canvas.y + at[1]);
  const editor = page.locator('#weights');
  assert.equal(await editor.locator('b').textContent(), 'layer 1, unit 2');
  await editor.locator('select').selectOption({ label: 'from feature y' });
  const value = editor.locator('input');
  const [matrix] = await weightsOf(page);
  assert.ok(Math.abs(Number(await value.inputValue()) - matrix[1 * 3 + 1]) < 1e-3);
  await value.fill('2.5');
  await value.press('Enter');
  await until(page, (loss) => globalThis.playground.tabs.plane.view.figures.testLoss !== loss, first.testLoss);
  assert.equal((await weightsOf(page))[0][1 * 3 + 1], 2.5);
  await editor.locator('select').selectOption({ label: 'the bias' });
  await value.fill('-1');
  await value.press('Enter');
  await until(page, () => /bias −1.00/.test(document.querySelector('#surface-of').textContent));
  assert.equal((await weightsOf(page))[1][1], -1);
  await checkAccess(page, 'with the weights of a unit');
  // Training goes on with it.
  await step(page, 1);
  await idle(page);
  const moved = (await weightsOf(page))[0][4];
  assert.ok(moved !== 2.5 && Math.abs(moved - 2.5) < 0.1, `${moved}`);
  await editor.locator('button').click();
  assert.ok(await editor.isHidden());
  // A line leads to the same, and so do keys.
  const lines = await page.evaluate(async ([width, height]) => {
    const canvas = document.querySelector('#network');
    const box = canvas.getBoundingClientRect();
    const found = new Set();
    for (let y = 4; y < height; y += 6) {
      const event = { bubbles: true, clientX: box.left + width * 0.25, clientY: box.top + y, pointerType: 'mouse' };
      canvas.dispatchEvent(new PointerEvent('pointerdown', event));
      if (!document.querySelector('#weights').hidden) found.add(`${document.querySelector('#weights b').textContent} ${document.querySelector('#weights select').selectedOptions[0].textContent}`);
    }
    return [...found];
  }, [canvas.width, canvas.height]);
  assert.ok(lines.length >= 2 && lines.every((line) => /^layer 1, unit \d from feature [xy]$/.test(line)), `${lines}`);
  await page.focus('#network');
  await page.keyboard.press('Escape');
  for (const key of ['ArrowRight', 'ArrowRight', 'Enter']) await page.keyboard.press(key);
  assert.equal(await editor.locator('b').textContent(), 'layer 1, unit 1');
  assert.ok(await value.evaluate((input) => document.activeElement === input));
  await page.keyboard.press('Escape');
  assert.ok(await editor.isHidden());
  await closePage(page);
});

await runTests();
