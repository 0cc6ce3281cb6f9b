// The page: starts the engine, and joins tabs, settings, address, buttons and keys.

import { Clusters } from './clusters.js';
import { Form, element } from './controls.js';
import { Digits } from './digits.js';
import { Device, loadEngine, whyNoDevice, whyUnsupported } from './engine.js';
import { Plane } from './plane.js';
import { ProgramDialog } from './program.js';
import { TABS, differences, fromHash, toHash } from './state.js';
import { Timeline } from './timeline.js';
import { Tour } from './tour.js';

const find = (id) => document.getElementById(id);
const device = new Device();
const VIEWS = { plane: Plane, digits: Digits, clusters: Clusters };
const tabs = {}; // name → { view, form }, once opened
let active = null;
let timeline = null;
/** Changes of one value that follow each other so closely, in ms, are undone together. */
const TOGETHER = 1000;

/** What is drawn at most once per frame. */
let painting = false;
function refresh() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    showFigures();
  });
}

const number = (value, digits) => (value === null ? '–' : value.toFixed(digits));

function showFigures() {
  const { session, figures, scoreName, task, readout } = tabs[active].view;
  const { running, steps, epoch, rate } = session;
  find('figures').hidden = readout !== undefined;
  find('readout').hidden = readout === undefined;
  for (const start of document.querySelectorAll('.start')) start.hidden = running || steps > 0;
  const button = find('run');
  button.classList.toggle('running', running);
  button.querySelector('span').textContent = running ? 'Pause' : 'Run';
  if (find('task').textContent !== task) find('task').textContent = task;
  if (readout) {
    showReadout(readout);
    return;
  }
  const texts = {
    epoch: epoch.toLocaleString('en'),
    steps: steps.toLocaleString('en'),
    rate: rate > 0 ? Math.round(rate).toLocaleString('en') : '–',
    'train-loss': number(figures.loss, 4),
    'test-loss': number(figures.testLoss, 4),
    'score-name': scoreName,
    accuracy: scoreOf(figures.accuracy, scoreName),
  };
  for (const [id, text] of Object.entries(texts)) {
    if (find(id).textContent !== text) find(id).textContent = text;
  }
}

/** Figures of a tab that does not train, by their names. */
function showReadout(readout) {
  const places = find('readout').children;
  if (places.length !== readout.length) {
    find('readout').replaceChildren(...readout.map(() => element('div', {}, element('dt'), element('dd'))));
  }
  for (const [i, texts] of readout.entries()) {
    for (const [j, text] of texts.entries()) {
      if (places[i].children[j].textContent !== text) places[i].children[j].textContent = text;
    }
  }
}

const scoreOf = (score, name) => (score === null || name === 'Test R²' ? number(score, 3) : `${(score * 100).toFixed(1)} %`);

let fading = 0;
/** Says something; `lasting` until something else is said. */
function say(text, lasting = false) {
  const message = find('message');
  message.textContent = text;
  message.classList.toggle('shown', text !== '');
  clearTimeout(fading);
  if (!lasting) fading = setTimeout(() => message.classList.remove('shown'), 8000);
}

const watchOf = (name) => ({
  changed: () => name === active && refresh(),
  said: say,
  timed: (record) => name === active && timeline.add(record),
  failed: (error) => say(whyFailed(error), true),
  lost: (steps) => say(`The GPU device was lost. Training goes on from step ${steps.toLocaleString('en')} on a new device.`),
});

/** What stopped training, and what to do about it on this page. */
function whyFailed(error) {
  if (device.isLost) {
    return 'The GPU device was lost, and the browser offers no new one yet. The last weights are kept: press Run to try again.';
  }
  if (error.name === 'NotFinite') {
    const step = error.message.match(/step (\d+)/)?.[1];
    return `Training stopped: the loss ${step ? `of step ${step} ` : ''}is too large for a number. Choose a smaller learning rate, then press Reset.`;
  }
  return `Training stopped: ${error.message}`;
}

/** A panel in place of the experiments. */
function showPanel({ title, lines }) {
  find('loading').hidden = true;
  const panel = find('panel');
  panel.replaceChildren(
    element('h2', { textContent: title }),
    ...lines.map((line) => (Array.isArray(line)
      ? element('ul', {}, ...line.map((item) => element('li', { textContent: item })))
      : element('p', { textContent: line }))),
  );
  const again = element('button', { type: 'button', textContent: 'Try again' });
  again.addEventListener('click', () => location.reload());
  panel.append(again);
  panel.hidden = false;
}

// Tabs and the address.

let written = { at: 0, keys: '' };
/** The address as a stroke makes it, which is written once, when the pointer is up: browsers refuse many changes. */
let late = null;
let pressed = false;

function listenToStrokes() {
  addEventListener('pointerdown', () => { pressed = true; }, true);
  for (const end of ['pointerup', 'pointercancel']) {
    addEventListener(end, () => {
      pressed = false;
      if (late === null) return;
      tabs[active].form.settle();
      writeLate();
    });
  }
}

function writeLate() {
  if (late !== null) put('replaceState', late);
  late = null;
}

/** Puts a hash into the address. What a browser refuses, since there was too much of it, does not stop the page. */
function put(call, hash) {
  try {
    history[call](null, '', hash);
  } catch {
    // Safari takes 100 changes in 10 s, others more; the address is written again when that is over.
    setTimeout(writeAddress, 10_000);
  }
}

/** Changes of which each is undone on its own. */
const EDITS = ['edits', 'points'];

/**
 * Puts the experiment into the address. As a step that Back undoes if `keys` were changed by a person, unless the
 * last one was of the same and only just made, or this goes on with it.
 */
function writeAddress(keys = null, joined = false) {
  const hash = toHash(active, tabs[active].form.values);
  if (joined && pressed) {
    late = hash;
    return;
  }
  // A change that goes on with what is late has it all.
  if (joined) late = null;
  else writeLate();
  if (hash === location.hash) return;
  const now = performance.now();
  const one = keys?.join() ?? '';
  const isSame = one === written.keys && !EDITS.includes(one) && now - written.at < TOGETHER;
  const isNew = keys !== null && !joined && !isSame;
  put(isNew ? 'pushState' : 'replaceState', hash);
  written = { at: now, keys: one };
}

/** Shows a tab; `values` start its experiment, or go on with the one it has. */
function open(name, values = null) {
  if (active && active !== name) tabs[active].view.session.pause();
  const isSwitch = active !== null && active !== name && values === null;
  active = name;
  for (const tab of Object.keys(TABS)) {
    find(tab).hidden = tab !== name;
    find(`tab-${tab}`).ariaSelected = String(tab === name);
    find(`tab-${tab}`).tabIndex = tab === name ? 0 : -1;
  }
  const fresh = values !== null || !tabs[name];
  tabs[name] ??= makeTab(name);
  const { view, form } = tabs[name];
  if (values) form.show(values);
  writeAddress(isSwitch ? ['tab'] : null);
  timeline.clear();
  // Its steps are those of training.
  find('timeline').classList.toggle('unused', view.readout !== undefined);
  refresh();
  if (fresh) return attempt(view.reset(form.values));
}

/** Another address: by Back or Forward, or by hand. What it leaves as it was goes on. */
function follow() {
  // What Back returned to stays a step of its own.
  written = { at: 0, keys: '' };
  late = null;
  const { tab, values } = fromHash(location.hash);
  const made = tabs[tab];
  if (!made) return open(tab, values);
  const keys = differences(made.form.values, values);
  made.form.show(values);
  if (tab === active) writeAddress();
  else open(tab);
  if (keys.length > 0) return attempt(made.view.change(values, keys));
}

async function attempt(promise) {
  try {
    await promise;
  } catch (error) {
    say(error.message, true);
  }
}

function makeTab(name) {
  const { start } = TABS[name];
  const choose = (...change) => form.choose(...change);
  const view = new VIEWS[name](find(name), device, start, watchOf(name), choose);
  const form = new Form(find(name).querySelector('form'), name, start, (values, keys, joined) => {
    if (name === active) writeAddress(keys, joined);
    if (keys.some((key) => key !== 'speed')) timeline.clear();
    attempt(view.change(values, keys));
  });
  return { view, form };
}

function listenToTabs() {
  for (const name of Object.keys(TABS)) {
    const tab = find(`tab-${name}`);
    tab.addEventListener('click', () => open(name));
    tab.addEventListener('keydown', (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!move) return;
      const names = Object.keys(TABS);
      const other = names.at((names.indexOf(name) + move) % names.length);
      open(other);
      find(`tab-${other}`).focus();
    });
  }
}

// Buttons and keys.

const actions = {
  run() {
    const { session } = tabs[active].view;
    if (session.running) session.pause();
    else session.run();
  },
  step: () => tabs[active].view.session.step(),
  reset: () => attempt(tabs[active].view.reset()),
  code: () => program.open(tabs[active].view.experiment),
  tour() {
    if (active !== 'plane') open('plane');
    tour.start();
  },
  help: () => find('shortcuts').showModal(),
  async share() {
    try {
      await navigator.clipboard.writeText(location.href);
      say('The link to this experiment is on the clipboard.');
    } catch {
      say('The address of this page is the link to this experiment.');
    }
  },
};

const program = new ProgramDialog(find('program'));
const tour = new Tour(find('guide'), find('tour'));

const KEYS = {
  r: actions.run,
  s: actions.step,
  0: actions.reset,
  n: () => tabs[active].form.newSeed(),
  c: () => tabs.digits?.view.clear(),
  1: () => open('plane'),
  2: () => open('digits'),
  3: () => open('clusters'),
  '?': actions.help,
};

function onKey(event) {
  const { target, key, ctrlKey, altKey, metaKey } = event;
  if (ctrlKey || altKey || metaKey || event.defaultPrevented || !find('keys-on').checked) return;
  if (target.matches('input[type=number], select, dialog *')) return;
  const action = KEYS[key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

const loading = (text) => { find('loading-text').textContent = text; };

async function start() {
  const unsupported = whyUnsupported();
  if (unsupported) return showPanel(unsupported);
  try {
    await loadEngine();
  } catch (error) {
    return showPanel({
      title: 'The engine did not load',
      lines: ['This page needs the package beside it, in pkg/; web/serve puts it there.', error.message],
    });
  }
  device.onOpen = (gpu) => { find('adapter').textContent = gpu.adapter; };
  loading('Asking for your GPU …');
  try {
    await device.open();
  } catch (error) {
    return showPanel(whyNoDevice(error));
  }
  device.onWait = () => say('The GPU device was lost. Waiting for a new one …', true);
  listenToTabs();
  listenToStrokes();
  timeline = new Timeline(find('timeline'));
  for (const [id, action] of Object.entries(actions)) find(id).addEventListener('click', action);
  for (const button of document.querySelectorAll('.start')) button.addEventListener('click', actions.run);
  document.addEventListener('keydown', onKey);
  addEventListener('hashchange', follow);
  setInterval(() => tabs[active].view.session.check(), 500);
  // For the console, and for the tests.
  globalThis.playground = { device, tabs };
  const { tab, values } = fromHash(location.hash);
  loading('Your GPU compiles the kernels …');
  document.body.classList.add('compiling');
  await open(tab, values);
  document.body.classList.remove('compiling');
  find('loading').hidden = true;
  for (const id of ['transport', 'tabs', 'tools', 'tour', 'timeline', 'runs-on']) find(id).hidden = false;
  performance.mark('ready');
}

start();
