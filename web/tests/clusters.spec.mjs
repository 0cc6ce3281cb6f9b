// The playground's tab of clusters, in the system's Chromium: points that are drawn, centres that move, axes.
//
//     node web/tests/clusters.spec.mjs [words of test names]

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { makeCloud } from '../playground/data.js';
import { withEdit } from '../playground/edits.js';
import { fromHash } from '../playground/state.js';
import {
  FOLD, PHONE, browser, checkAccess, closePage, note, openPage, picture, poorContrasts, runTests, server, shoot, test,
} from './lib/playground.mjs';
import { CLUSTERS, FOLDER, clusterProgramsAt } from './lib/programs.mjs';

/** What the tab knows. */
const state = (page) => page.evaluate(() => {
  const { session, experiment } = globalThis.playground.tabs.clusters.view;
  const { steps, centers, labels, inertias, settled, running, axes, seeds } = session;
  return { steps, centers, labels, inertias, settled, running, axes, seeds, points: experiment.points, hash: decodeURIComponent(location.hash) };
});
const until = (page, condition, argument) => page.waitForFunction(condition, argument);
const ready = (page) => until(page, () => {
  const { session } = globalThis.playground.tabs.clusters?.view ?? {};
  return session?.resting && (session.axes !== null || session.labels.length === 0) && document.querySelector('#readout dd')?.textContent !== '';
});
/** Waits until nothing moves any more, nor is about to. */
const settled = (page) => until(page, () => {
  const { view, form } = globalThis.playground.tabs.clusters;
  return view.session.settled && view.session.resting && form.values.points === view.experiment.values.points;
});
const readout = (page) => page.locator('#readout div').evaluateAll((all) => Object.fromEntries(all.map((one) => [...one.children].map(({ textContent }) => textContent))));

const distance = ({ x, y }, [a, b]) => (x - a) ** 2 + (y - b) ** 2;
const nearestOf = (point, centers) => {
  const all = centers.map((center) => distance(point, center));
  return all.indexOf(Math.min(...all));
};

test('centres move to the middle of their points until they settle; Step, Reset and the link', async () => {
  const page = await openPage({ viewport: FOLD, hash: '#clusters?k=4&seed=5&data=five&speed=0' });
  await ready(page);
  const first = await state(page);
  assert.equal(first.points.length, 150);
  assert.deepEqual(first.points, makeCloud('five', 0.5));
  assert.equal(first.centers.length, 4);
  for (const [x, y] of first.centers) assert.ok(first.points.some((point) => point.x === x && point.y === y), 'a seed is a point');
  const start = await picture(page, 'cluster-map');
  const empty = await picture(page, 'cluster-chart');
  await page.click('#step');
  await until(page, () => globalThis.playground.tabs.clusters.view.session.steps === 1);
  const one = await state(page);
  // The middle of the points that were nearest.
  for (const [group, center] of one.centers.entries()) {
    const own = first.points.filter((point) => nearestOf(point, first.centers) === group);
    const mean = ['x', 'y'].map((axis) => own.reduce((sum, point) => sum + point[axis], 0) / own.length);
    mean.forEach((value, axis) => assert.ok(Math.abs(value - center[axis]) < 1e-5, `centre ${group}: ${center}, not ${mean}`));
  }
  assert.ok(one.inertias[1] < one.inertias[0]);
  assert.notEqual((await picture(page, 'cluster-map')).digest, start.digest);
  assert.notEqual((await picture(page, 'cluster-chart')).digest, empty.digest);
  await page.click('#run');
  await settled(page);
  const end = await state(page);
  assert.equal(end.running, false, 'it ends by itself');
  assert.deepEqual(end.labels, end.points.map((point) => nearestOf(point, end.centers)));
  const inertia = end.points.reduce((sum, point, i) => sum + distance(point, end.centers[end.labels[i]]), 0);
  assert.ok(Math.abs(inertia - end.inertias.at(-1)) < 1e-3 * inertia, `${inertia}`);
  const said = await readout(page);
  note(JSON.stringify(said));
  assert.equal(said.Points, '150');
  assert.equal(said.Inertia, end.inertias.at(-1).toFixed(2));
  assert.equal(said.Centres, 'settled');
  assert.equal(await page.locator('#groups li').count(), 4);
  // Another visitor comes to the same.
  const other = await openPage({ hash: await page.evaluate(() => location.hash) });
  await ready(other);
  await other.click('#run');
  await settled(other);
  assert.deepEqual((await state(other)).centers, end.centers);
  await closePage(other);
  await page.click('#reset');
  await until(page, () => globalThis.playground.tabs.clusters.view.session.steps === 0 && globalThis.playground.tabs.clusters.view.session.resting);
  assert.deepEqual((await state(page)).centers, first.centers);
  await page.click('#clusters .dice');
  await until(page, (seeds) => JSON.stringify(globalThis.playground.tabs.clusters.view.session.seeds) !== seeds, JSON.stringify(first.seeds));
  await page.selectOption('#clusters [data-key="seeding"] select', 'plus_plus');
  await page.selectOption('#clusters [data-key="k"] select', '5');
  await until(page, () => globalThis.playground.tabs.clusters.view.session.centers?.length === 5);
  await page.click('#run');
  await settled(page);
  assert.ok((await state(page)).inertias.at(-1) < 200, 'far apart is a good beginning');
  await checkAccess(page, 'clusters');
  await closePage(page);
});

test('the axes are those of the points', async () => {
  const page = await openPage({ hash: '#clusters?data=ellipse&spread=20' });
  await ready(page);
  const { axes, points } = await state(page);
  const n = points.length;
  const mean = ['x', 'y'].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / n);
  const product = (a, b) => points.reduce((sum, point) => sum + (point[a] - mean['xy'.indexOf(a)]) * (point[b] - mean['xy'.indexOf(b)]), 0) / (n - 1);
  const [xx, xy, yy] = [product('x', 'x'), product('x', 'y'), product('y', 'y')];
  const largest = (xx + yy) / 2 + Math.hypot((xx - yy) / 2, xy);
  assert.ok(Math.abs(axes.deviations[0] ** 2 - largest) < 1e-4 * largest);
  assert.ok(Math.abs(axes.shares[0] - largest / (xx + yy)) < 1e-4);
  const angle = 0.5 * Math.atan2(2 * xy, xx - yy);
  const [x, y] = axes.directions[0];
  assert.ok(Math.abs(x * Math.sin(angle) - y * Math.cos(angle)) < 1e-4, `${[x, y]}, not ${angle}`);
  assert.match(await page.textContent('#axes-text'), /Axis 1 rises at 3\d°/);
  const before = await picture(page, 'cluster-map');
  for (const box of ['show-axes', 'show-regions']) {
    await page.click(`#${box}`);
    assert.notEqual((await picture(page, 'cluster-map')).digest, before.digest, box);
    await page.click(`#${box}`);
    assert.deepEqual(await picture(page, 'cluster-map'), before, `${box} and back`);
  }
  await closePage(page);
});

test('points are grouped as they are drawn, by mouse and by keys, moved and removed; Back undoes', async () => {
  const page = await openPage({ viewport: FOLD, hash: '#clusters?data=none&k=2&speed=0' });
  await ready(page);
  assert.match(await page.textContent('#few'), /No points yet/);
  const map = await page.locator('#cluster-map').boundingBox();
  const place = ([x, y]) => [map.x + ((x + 6) / 12) * map.width, map.y + ((6 - y) / 12) * map.height];
  const stroke = async (...path) => {
    await page.mouse.move(...place(path[0]));
    await page.mouse.down();
    for (const point of path.slice(1)) await page.mouse.move(...place(point), { steps: 12 });
    await page.mouse.up();
  };
  await page.mouse.click(...place([-4, 4]));
  await until(page, () => /a-4:4:1/.test(decodeURIComponent(location.hash)));
  await until(page, () => /^1 point makes no 2 groups/.test(document.querySelector('#few').textContent));
  await settled(page);
  await page.evaluate(() => {
    globalThis.writes = 0;
    for (const name of ['pushState', 'replaceState']) {
      const change = history[name].bind(history);
      history[name] = (...values) => {
        globalThis.writes += 1;
        change(...values);
      };
    }
  });
  await stroke([-4, 3], [-2, 3], [-4, 2]);
  await settled(page);
  assert.ok(await page.evaluate(() => globalThis.writes) <= 3, 'a stroke is a change of the address or two');
  // What a browser refuses of the address is not lost for the page.
  await page.evaluate(() => {
    const { replaceState } = history;
    history.replaceState = () => {
      history.replaceState = replaceState;
      globalThis.refused = true;
      throw new DOMException('too many', 'SecurityError');
    };
  });
  await stroke([3, -3], [5, -3], [5, -4]);
  await until(page, () => globalThis.refused);
  await settled(page);
  const drawn = await state(page);
  assert.ok(drawn.points.length >= 10 && drawn.points.length <= 30, `${drawn.points.length} points`);
  assert.equal(drawn.centers.length, 2);
  const sides = drawn.points.map(({ x }) => x > 0);
  assert.ok(drawn.labels.every((label, i) => (label === drawn.labels[0]) === (sides[i] === sides[0])), 'one group left, one right');
  assert.ok(fromHash(drawn.hash).values.points.split(',').length < drawn.points.length);
  // By keys: a crosshair, and Space.
  await page.focus('#cluster-map');
  for (const key of ['ArrowUp', 'ArrowRight', 'Space']) await page.keyboard.press(key);
  await until(page, () => /a0.25:0.25:1$/.test(decodeURIComponent(location.hash)));
  assert.equal(fromHash((await state(page)).hash).values.points.split(',').length, drawn.points.length + 1, 'the address has all again');
  await page.click('#draw label:has(input[value="remove"])');
  await page.mouse.click(...place([-4, 4]));
  await until(page, () => /,r0$/.test(decodeURIComponent(location.hash)));
  await settled(page);
  assert.equal((await state(page)).points.length, drawn.points.length);
  await page.goBack();
  await until(page, () => !/,r0$/.test(decodeURIComponent(location.hash)));
  await settled(page);
  assert.equal((await state(page)).points.length, drawn.points.length + 1);
  await page.click('#draw label:has(input[value="move"])');
  await stroke([-4, 4], [4, 4]);
  await until(page, () => /,m0:4:4$/.test(decodeURIComponent(location.hash)));
  await settled(page);
  // Two edits at once: neither is lost.
  await page.click('#draw label:has(input[value="draw"])');
  await page.evaluate(() => {
    const { playground } = globalThis;
    const canvas = document.querySelector('#cluster-map');
    const { left, top, width } = canvas.getBoundingClientRect();
    canvas.setPointerCapture = () => {};
    for (const share of [0.1, 0.2, 0.3]) {
      const where = { bubbles: true, pointerId: 7, clientX: left + share * width, clientY: top + 0.9 * width };
      canvas.dispatchEvent(new PointerEvent('pointerdown', where));
      canvas.dispatchEvent(new PointerEvent('pointerup', where));
    }
    return playground.tabs.clusters.form.values.points;
  });
  await settled(page);
  assert.equal((await state(page)).points.length, drawn.points.length + 4);
  await closePage(page);
});

test('it says what it is, nothing is cut, and its colours have contrast, on a desktop and a phone', async () => {
  const page = await openPage({ viewport: FOLD, hash: '#clusters?k=8&seeding=plus_plus&data=even&speed=0' });
  await ready(page);
  await page.locator('#clusters .start').click();
  await settled(page);
  const cards = await page.locator('#clusters .card:visible').evaluateAll((all) => all.map((card) => [
    card.querySelector('h2').textContent.trim(), card.querySelector('.lead')?.textContent.trim() ?? '']));
  assert.equal(cards.length, 5);
  assert.deepEqual(cards.filter(([, lead]) => lead.length < 15), []);
  assert.match(await page.locator('.intro p').innerText(), /centres start somewhere/);
  assert.ok(await page.locator('#timeline').isHidden());
  const low = await page.evaluate(() => ['.strip label', '.tiles label', '#cluster-map', '#draw label'].flatMap((part) =>
    [...document.querySelectorAll(`#clusters ${part}`)].map((element) => [part, Math.round(element.getBoundingClientRect().bottom)]))
    .filter(([, bottom]) => bottom > innerHeight));
  assert.deepEqual(low, [], 'above the fold');
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme });
    await page.waitForTimeout(200);
    await shoot(page, `clusters-${theme}`);
    const poor = await page.evaluate(async () => {
      const { theme } = await import('./colors.js');
      const { clusters, tints, card, ink, boundary, muted } = theme();
      const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
      const luminance = (hex) => {
        const [r, g, b] = channels(hex).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);
      const found = [];
      for (const [i, color] of clusters.entries()) {
        for (const [what, a, b, least] of [
          ['points on their ground', color, tints[i], 3], ['the number on a centre', card, color, 4.5], ['a bar', color, card, 3],
          ['axes', ink, tints[i], 3], ['borders', boundary, tints[i], 3],
        ]) if (contrast(a, b) < least) found.push(`${what} ${i + 1}: ${contrast(a, b).toFixed(2)}`);
      }
      if (contrast(muted, card) < 3) found.push('points without a group');
      return found;
    });
    assert.deepEqual(poor, [], theme);
    assert.deepEqual(await page.evaluate(poorContrasts), [], theme);
    await checkAccess(page, `clusters, ${theme}`);
  }
  for (const width of [360, 390, 768, 1024]) {
    await page.setViewportSize({ width, height: 780 });
    const over = await page.evaluate((width) => document.documentElement.scrollWidth - width, width);
    assert.ok(over <= 0, `scrolls by ${over} px at ${width}`);
  }
  await closePage(page);
  const phone = await openPage({ viewport: { ...PHONE, width: 390 }, hash: '#clusters?k=3&speed=0', theme: 'dark' });
  await ready(phone);
  await phone.tap('#run');
  await settled(phone);
  await shoot(phone, 'clusters-phone-dark');
  await checkAccess(phone, 'clusters on a phone, dark');
  await closePage(phone);
});

test('a device that is lost is replaced, and the tab as code does what the tab does', async () => {
  const page = await openPage({ hash: CLUSTERS });
  await ready(page);
  await page.click('#run');
  await settled(page);
  const here = await state(page);
  await page.evaluate(() => globalThis.playground.device.gpu.destroy());
  await page.click('#reset');
  await until(page, () => globalThis.playground.tabs.clusters.view.session.steps === 0);
  await page.click('#run');
  await settled(page);
  assert.deepEqual((await state(page)).centers, here.centers);
  await page.click('#code');
  const shown = await page.locator('#program pre').textContent();
  const programs = clusterProgramsAt(CLUSTERS);
  assert.equal(shown, programs.javascript);
  assert.equal(programs.rust, await readFile(`${FOLDER}clusters.rs`, 'utf8'), 'node web/tests/lib/programs.mjs');
  const other = await browser.newPage();
  await other.goto(`${server.url}/LICENSE-MIT.txt`);
  const result = other.waitForEvent('console', { predicate: async (message) => message.args().length === 1 });
  await other.evaluate((text) => {
    const script = document.createElement('script');
    script.type = 'module';
    script.textContent = text;
    document.head.append(script);
  }, shown.replace("'wgrad/tasks'", "'./pkg/tasks.js'"));
  const { inertia, labels, shares } = await (await result).args()[0].jsonValue();
  assert.ok(Math.abs(inertia - here.inertias.at(-1)) < 1e-4 * inertia, `${inertia}, not ${here.inertias.at(-1)}`);
  assert.deepEqual(Object.values(labels), here.labels);
  assert.ok(Math.abs(shares[0] - here.axes.shares[0]) < 1e-5);
  await other.close();
  await page.keyboard.press('Escape');
  await closePage(page);
});

test('changes by hand make room, a refused one leaves nothing drawn; groups have shapes; Spread leaves points of one’s own', async () => {
  const most = 4;
  const edit = (text, one, count = 0) => withEdit(text, one, { most, count });
  const full = 'a1:1:1,a2:2:1,m0:3:3,a4:4:1';
  assert.equal(edit(full, 'a5:5:1'), null);
  assert.equal(edit(full, 'r0'), 'a2:2:1,a4:4:1');
  assert.equal(edit(full, 'r1'), 'a1:1:1,m0:3:3,a4:4:1');
  assert.equal(edit('a1:1:1,a2:2:1,a4:4:1,m2:0:0', 'r0'), 'a2:2:1,a4:4:1,m1:0:0');
  assert.equal(edit('m3:1:1,a1:1:1,a2:2:1,m11:0:0', 'r3', 10), 'a1:1:1,a2:2:1,m11:0:0,r3');
  assert.equal(edit('r1,r2,r3,r4', 'r5', 10), null, 'nothing to be left out');
  const own = Array.from({ length: 250 }, (_, i) => `a${((i % 25) / 5 - 2.4).toFixed(1)}:${Math.floor(i / 25) / 5}:1`).join(',');
  const page = await openPage({ viewport: FOLD, hash: `#clusters?data=none&k=8&speed=0&points=${own}` });
  await ready(page);
  assert.equal((await state(page)).points.length, 250);
  const map = await page.locator('#cluster-map').boundingBox();
  const place = ([x, y]) => [map.x + ((x + 6) / 12) * map.width, map.y + ((6 - y) / 12) * map.height];
  const before = await picture(page, 'cluster-map');
  await page.click('#draw label:has(input[value="move"])');
  await page.mouse.move(...place([-2.4, 0]));
  await page.mouse.down();
  await page.mouse.move(...place([-4, -4]), { steps: 3 });
  assert.notEqual((await picture(page, 'cluster-map')).digest, before.digest);
  await page.mouse.up();
  assert.match(await page.textContent('#message'), /250 points and changes fit/);
  assert.equal((await picture(page, 'cluster-map')).digest, before.digest, 'a refused move');
  await page.click('#draw label:has(input[value="remove"])');
  await page.mouse.click(...place([-2.4, 0]));
  await until(page, () => globalThis.playground.tabs.clusters.view.experiment.points.length === 249);
  await page.locator('#clusters [data-key="spread"] input').fill('80');
  await until(page, () => /spread=80/.test(location.hash));
  await ready(page);
  assert.equal((await state(page)).points.length, 249);
  const shapes = await page.evaluate(async () => {
    const { trace } = await import('./marks.js');
    const pathOf = (group) => {
      const calls = [];
      trace(new Proxy({}, { get: (_, name) => (...values) => calls.push([name, ...values]) }), 0, 0, 4, group);
      return JSON.stringify(calls);
    };
    return new Set([0, 1, 2, 3, 4, 5, 6, 7].map(pathOf)).size;
  });
  assert.equal(shapes, 8);
  await closePage(page);
});

await runTests();
